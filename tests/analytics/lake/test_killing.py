"""Sealing may be killed anywhere. Full size: python -m tests.analytics.lake.killing --rounds 50."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from analytics.failpoints import POINTS, FailpointReached, failpoint
from analytics.lake import manifest, snapshot
from analytics.lake.selection import Selection
from analytics.writing import staging
from tests.analytics.lake.killing import Tally, run, steps

ROOT = Path(__file__).resolve().parents[3]
everything = pytest.mark.django_db(transaction=True, databases=["default", "owner", "erasure"])


def test_the_list_of_failpoints_is_the_failpoints_that_there_are() -> None:
    sources = [file.read_text() for app in ("analytics", "config") for file in (ROOT / app).rglob("*.py")]
    used = [name for source in sources for name in re.findall(r"\bfailpoint\(\"([^\"]+)\"\)", source)]
    assert set(used) == set(POINTS)
    families = {step.split(".")[0] for step in steps()}
    assert families == {"seal", "garbage", "erasure"}
    assert {step.split(":")[0] for step in steps()} == {name for name in POINTS if name.split(".")[0] in families}


def test_a_failpoint_fires_at_the_time_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_FAILPOINT", "seal.after_take:raise:2")
    failpoint("seal.after_take")
    failpoint("seal.after_read")
    with pytest.raises(FailpointReached):
        failpoint("seal.after_take")
    failpoint("seal.after_take")


@everything
@pytest.mark.slow
def test_a_kill_at_any_step_loses_nothing_doubles_nothing_and_fails_no_reader(settings: Any, tmp_path: Path) -> None:
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    tally = run(1, tmp_path)
    assert (tally.kills, tally.unreached) == (len(steps()), [])
    assert (tally.lost, tally.doubled, tally.failed_reads, tally.wrong) == (0, 0, 0, [])
    assert tally.reads > 2 * len(steps())


# --- The harness can fail ---------------------------------------------------------------------------------------------


def _globbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that lists the folder instead of asking the manifest."""
    honest = snapshot.LakeSource.selection

    def selection(self: snapshot.LakeSource) -> Selection:
        chosen = honest(self)
        found = {which: tuple(map(str, self.folder.rglob(f"*.{which}.parquet"))) for which in chosen.paths}
        return Selection(chosen.shape, chosen.start, chosen.end, chosen.names, found)

    monkeypatch.setattr(snapshot.LakeSource, "selection", selection)


def _marks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks are gone before the seal is safe: as if their deletion had been committed on its own."""
    honest = manifest.flip

    def flip(*args: Any, **kwargs: Any) -> None:
        """Forgets the new pieces, as a seal that died after such a COMMIT would."""
        honest(args[0], args[1], [], **kwargs)

    monkeypatch.setattr("analytics.lake.sealing.flip", flip)


def _other_hours_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event marks an hour that is not its own."""
    spoilt = staging.STORE.replace("date_trunc('hour', ts, 'UTC'), 'event'", "'2026-03-02'::timestamptz, 'event'")
    assert spoilt != staging.STORE
    monkeypatch.setattr(staging, "STORE", spoilt)


MUTANTS = {
    "the folder is listed": _globbed,
    "the manifest forgets": _marks_first,
    "another hour is marked": _other_hours_marked,
}


@everything
@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_lake_is_noticed(mutant: str, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    MUTANTS[mutant](monkeypatch)
    monkeypatch.setattr(
        "tests.analytics.lake.killing.steps", lambda: ["seal.before_commit:kill:1", "seal.after_commit:kill:1"]
    )
    tally: Tally = run(1, tmp_path)
    assert tally.lost or tally.doubled or tally.failed_reads or tally.wrong
