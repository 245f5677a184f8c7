"""R1, R3, R6, R9, R15 and R16 in one short run, and mutants that the same checks must catch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.harness import Plan, chaos_run
from tests.chaos.mutants import MUTANTS, mutant_run

pytestmark = pytest.mark.chaos
# What CI repeats on two cores; `python -m tests.chaos --mutants` runs them all.
IN_CI = sorted(set(MUTANTS) - {"poison_spoils_batch", "outcomes_overwritten", "no_dedupe"})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that the services' account can pass to."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o711)
    return tmp_path / "home"


def test_nothing_is_lost_doubled_or_miscounted_while_everything_is_killed(home: Path) -> None:
    result = chaos_run(Plan(seed=7, seconds=60), home)
    assert result["breaches"] == {}
    assert result["acknowledged"] > 20_000
    hurt = {fault for fault, n in result["faults"].items() if n}
    assert {f"kill {kind}" for kind in ("web", "worker", "beat", "redis", "postgres")} <= hurt


@pytest.mark.parametrize("name", IN_CI)
def test_a_product_with_a_known_fault_is_caught(name: str, home: Path) -> None:
    result = mutant_run(name, home)
    assert result["caught"], result
