"""A lake of its own for every test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def lake(settings: Any, tmp_path: Path) -> Path:
    """Its folder."""
    folder = tmp_path / "lake"
    settings.ANALYTICS_LAKE_URL = str(folder)
    return folder
