"""R17 in a short run: overloaded, nothing is lost, and every refusal says when to come again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.chaos.overload import NOISY, QUIET, Overload, overload_run

pytestmark = pytest.mark.chaos


def test_a_noisy_tenant_and_a_crowd_lose_nothing_and_quiet_ones_are_answered(chaos_home: Path) -> None:
    result = overload_run(Overload(seed=7, seconds=3, rate=200, noisy_connections=48), chaos_home)
    sys.stdout.write(f"{result}\n")  # with the times, to which no busy machine can be held
    assert set(result["breaches"]) <= {"fairness"}
    assert result["tenants"] == sorted((*QUIET, NOISY))
    assert result["stored"] >= result["acknowledged"] > 2_000
    for phase in ("calm", "noisy", "after"):
        assert result[phase]["quiet"]["statuses"]["200"] > 50
    assert result["noisy"]["noisy"]["statuses"]["200"] > 0
