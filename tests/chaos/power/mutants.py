"""Proof that a run with lost power can fail: the product with one fsync missing, for a few cycles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.chaos.mutants import environment_of
from tests.chaos.power.harness import PowerPlan, power_run

CYCLES: Final = 6

POWER_MUTANTS: Final[Mapping[str, frozenset[str]]] = {
    "postgres_not_synced": frozenset({"starts_again", "nothing_lost", "postgres_recovers"}),
    "spool_not_synced": frozenset({"nothing_lost"}),
    "lake_not_synced": frozenset({"lake_is_whole"}),
    "lake_names_not_synced": frozenset({"lake_is_whole"}),
}
"""Which check has to notice, one of them at least."""


def power_mutant_run(name: str, folder: Path, *, seed: int = 7, cycles: int = CYCLES) -> dict[str, Any]:
    """The result of a run of the broken product, with `caught`."""
    environment = environment_of(name) or {"POSTGRES_OPTIONS": "fsync=off"}
    result = power_run(PowerPlan(cycles=cycles, seed=seed, environment=environment), folder)
    return {**result, "caught": bool(POWER_MUTANTS[name] & result["breaches"].keys())}
