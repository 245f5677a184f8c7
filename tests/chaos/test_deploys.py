"""R20 in a short run: what clients notice of a deploy, which is nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.chaos.deploys import WEB_PROCESSES, Deploys, deploys_run

pytestmark = pytest.mark.chaos
RELOADS = 2


def test_every_process_is_replaced_under_load_and_no_request_fails(chaos_home: Path) -> None:
    result = deploys_run(Deploys(seed=7, reloads=RELOADS, rate=200, clients=4), chaos_home)
    sys.stdout.write(f"{result}\n")  # with the longest stall, which no busy machine can be held to
    assert result["breaches"] == {}
    assert result["acknowledged"] == result["stored"] > 1_000
    assert result["replaced"]["web"] == RELOADS * WEB_PROCESSES
    assert min(result["replaced"][kind] for kind in ("worker", "beat")) >= RELOADS
    for asked in (result["events"], result["questions"]):
        assert list(asked["statuses"]) == ["200"]
        assert asked["unanswered"] == {"refused": 0, "fresh": 0, "reused": 0, "cut": 0}
        assert asked["longest_stall_ms"] < 15_000
