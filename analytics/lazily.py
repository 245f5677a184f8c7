"""Libraries that only some processes need, imported when something of them is first used.

Ibis and DuckDB are some 60 MB. A web process that answers from roll-ups never touches them.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any


class Lazily(ModuleType):
    """Stands for a module until it is used: `ibis = Lazily("ibis")`. Safe in threads, as imports are."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)
