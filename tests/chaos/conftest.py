"""What chaos runs share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def chaos_home() -> Iterator[Path]:
    """A folder that the services' account can pass to; that of pytest is closed by whoever runs it beside us."""
    with tempfile.TemporaryDirectory(prefix="bw-chaos-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "home"
