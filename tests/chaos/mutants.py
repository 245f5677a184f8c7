"""Proof that the harness can fail: the product with a known fault, run for ten seconds.

A mutant that is not caught is a hole in the checks, and "0 lost" would be no evidence.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.chaos.harness import Plan, chaos_run
from tests.chaos.invariants import (
    Check,
    clocks_corrected,
    everything_accounted_for,
    nothing_doubled,
    nothing_lost,
    rollups_equal_a_recompute,
    tenants_walled_off,
)
from tests.chaos.mutation.faults import FAULTS
from tests.chaos.product import ROOT, Product

SHORT = Plan(seconds=10, clients=5, kills=0, freezes=0, flushes=0)


@dataclass(frozen=True)
class Mutant:
    """What is broken, how hard the run has to be to show it, and which checks have to notice (one of them at least): no
    others are made.
    """

    caught_by: tuple[Check, ...]
    plan: Plan = SHORT
    environment: dict[str, str] = field(default_factory=dict)
    sabotage: Callable[[Product], None] | None = None


def _force_removed(product: Product) -> None:
    with product.admin() as admin:
        admin.execute("ALTER TABLE bw_event NO FORCE ROW LEVEL SECURITY")


def _made_safe(product: Product) -> None:
    """What stood before the load is on the disk: the tenants themselves are not to be lost."""
    with product.admin() as admin:
        admin.execute("CHECKPOINT")


def _outcomes_overwritten(product: Product) -> None:
    """The ledger forgets, as one that is kept in a cache does."""
    with product.admin() as admin:
        admin.execute("CREATE RULE forget AS ON INSERT TO bw_outcome WHERE NEW.n < 3 DO INSTEAD NOTHING")


MUTANTS: dict[str, Mutant] = {
    "ack_before_commit": Mutant((nothing_lost,), plan=replace(SHORT, kills=2, kinds=("web", "postgres"), flushes=0)),
    # The log's writer sleeps: a kill takes what was committed since it woke last, not just the half page at the end.
    "commit_not_durable": Mutant(
        (nothing_lost,),
        plan=replace(SHORT, kills=3, kinds=("postgres",)),
        environment={
            "POSTGRES_OPTIONS": "synchronous_commit=off wal_buffers=64MB "
            "wal_writer_delay=10s wal_writer_flush_after=2GB"
        },
        sabotage=_made_safe,
    ),
    "no_dedupe": Mutant((nothing_doubled,)),
    "time_in_key": Mutant((nothing_doubled,)),
    "no_marks": Mutant((rollups_equal_a_recompute,)),
    "late_commits_skipped": Mutant((rollups_equal_a_recompute,)),
    "merges_unmarked": Mutant((rollups_equal_a_recompute,)),
    "uncounted": Mutant((everything_accounted_for,)),
    "poison_spoils_batch": Mutant((nothing_lost,)),
    "clocks_believed": Mutant((nothing_lost, clocks_corrected)),
    "tenants_crossed": Mutant((nothing_lost,)),
    "force_removed": Mutant((tenants_walled_off,), sabotage=_force_removed),
    "outcomes_overwritten": Mutant((everything_accounted_for,), sabotage=_outcomes_overwritten),
}


def mutant_run(name: str, home: Path) -> dict[str, Any]:
    """The result of a chaos run on the broken product, with `caught`: a check that should notice did."""
    mutant = MUTANTS[name]
    environment = {**mutant.environment, **environment_of(name)}
    plan = replace(mutant.plan, environment=environment, checks=mutant.caught_by)
    result = chaos_run(plan, home, sabotage=mutant.sabotage)
    return {**result, "caught": any(check.__name__ in result["breaches"] for check in mutant.caught_by)}


def environment_of(name: str) -> dict[str, str]:
    """What makes the product's processes have this fault; nothing when it is not one of code."""
    if name not in FAULTS:
        return {}
    path = os.pathsep.join([str(ROOT / "tests/chaos/mutation"), str(ROOT)])
    return {"BELLWETHER_MUTANT": name, "PYTHONPATH": path}
