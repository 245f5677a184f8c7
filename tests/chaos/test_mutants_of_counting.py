"""The product with known faults of counting, which the checks of a chaos run must notice.

Eight in all are repeated here and beside it; `python -m tests.chaos --mutants` runs every one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.mutants import mutant_run

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("name", ["no_marks", "late_commits_skipped", "merges_unmarked", "clocks_believed"])
def test_it_is_caught(name: str, chaos_home: Path) -> None:
    result = mutant_run(name, chaos_home)
    assert result["caught"], result
