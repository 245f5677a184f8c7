"""The comparison can fail: each fault put into the product on purpose is found by a few stories.

Without this, "no divergence" would be no evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import seed
from hypothesis.stateful import run_state_machine_as_test

from analytics import sessions
from analytics.writing import merging, refusals, staging
from kpis.rollup import refresh
from tests.model.machine import Story
from tests.model.test_stateful import profile

Fault = Callable[[pytest.MonkeyPatch], None]


def _set(module: Any, name: str, value: Any) -> Fault:
    return lambda monkeypatch: monkeypatch.setattr(module, name, value)


def _day_of(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _marked_at(minute: str) -> str:
    return staging.STORE.replace("date_trunc('minute', ts)", minute)


COMPARE_NOTHING = staging.COMPARE.replace("s.payload_hash = k.payload_hash", "true")

FAULTS: dict[str, Fault] = {
    "a merge marks nothing": _set(merging, "MARK", "SELECT %s, unnest(%s::int4[]), %s, %s"),
    "an event marks nothing": _set(staging, "STORE", _marked_at("'2000-01-01'::timestamptz")),
    "an event marks the minute of its receipt": _set(staging, "STORE", _marked_at("date_trunc('minute', received_at)")),
    "a pause of 20 minutes ends a session": _set(sessions, "GAP", 20 * 60_000_000),
    "outcomes are counted by the day": _set(refusals, "hour_of", _day_of),
    "a conflict is taken for a repetition": _set(staging, "COMPARE", COMPARE_NOTHING),
    "days are not merged again": _set(refresh, "merge_days", lambda *args, **kwargs: None),
}


@pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> None:
    settings.ANALYTICS_SPOOL_DIR = str(tmp_path / "spool")
    FAULTS[fault](monkeypatch)

    @seed(3)
    class Seeded(Story):
        """The same stories for every fault."""

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Seeded, settings=profile(stories=30, steps=30))
