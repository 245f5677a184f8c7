"""R1, R3, R6, R9, R15 and R16 in one short run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.harness import Plan, chaos_run

pytestmark = pytest.mark.chaos


def test_nothing_is_lost_doubled_or_miscounted_while_everything_is_killed(chaos_home: Path) -> None:
    result = chaos_run(Plan(seed=7, seconds=60), chaos_home)
    assert result["breaches"] == {}
    assert result["acknowledged"] > 5_000
    hurt = {fault for fault, n in result["faults"].items() if n}
    assert {f"kill {kind}" for kind in ("web", "worker", "beat", "redis", "postgres")} <= hurt
