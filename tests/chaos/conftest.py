"""What chaos runs share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def chaos_home(tmp_path: Path) -> Path:
    """A folder that the services' account can pass to."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o711)
    return tmp_path / "home"
