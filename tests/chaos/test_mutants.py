"""The product with known faults, which the checks of a chaos run must notice: one of writing and one of counting.

`python -m tests.chaos --mutants` runs every one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.mutants import mutant_run

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("name", ["ack_before_commit", "no_marks"])
def test_it_is_caught(name: str, chaos_home: Path) -> None:
    result = mutant_run(name, chaos_home)
    assert result["caught"], result
