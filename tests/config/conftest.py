"""Another installation for the tests of restoring."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import embedded


@pytest.fixture(scope="module")
def new_home() -> Iterator[Path]:
    """It has never been used; its servers run."""
    folder = Path(tempfile.mkdtemp(prefix="bellwether-restore-"))
    folder.chmod(0o711)
    embedded.start(folder, follow=os.getpid())
    yield folder
    embedded.remove(folder)
