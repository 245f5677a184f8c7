"""The product with known faults of writing, which the checks of a chaos run must notice.

Eight in all are repeated here and beside it; `python -m tests.chaos --mutants` runs every one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.mutants import mutant_run

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("name", ["ack_before_commit", "commit_not_durable", "time_in_key", "tenants_crossed"])
def test_it_is_caught(name: str, chaos_home: Path) -> None:
    result = mutant_run(name, chaos_home)
    assert result["caught"], result
