"""Breaks the product on purpose. Python imports this by itself at start when this folder is on PYTHONPATH.

BELLWETHER_MUTANT names the fault. The product's own files hold no trace of it.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from tests.chaos.mutation.faults import FAULTS

_patches = FAULTS.get(os.environ.get("BELLWETHER_MUTANT", ""), {})


class _Spoiler(importlib.abc.MetaPathFinder):
    """Finds the modules to break, and breaks them right after they are loaded."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname not in _patches:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = _then(spec.loader.exec_module, _patches[fullname])  # type: ignore[method-assign, assignment]
        return spec


def _then(load: Callable[[ModuleType], None], spoil: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def both(module: ModuleType) -> None:
        load(module)
        spoil(module)

    return both


if _patches:
    sys.meta_path.insert(0, _Spoiler())
