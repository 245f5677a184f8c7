"""Runs are what the engine would have answered, sorted; and they keep to the same walls."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analytics.lake import runs
from analytics.lake.schema import OWN_GROUP
from analytics.models import Tenant
from analytics.periods import to_micros
from analytics.store import EventStore, LakeFileBroken, Run, StoreCancelled, UnknownColumn, event_store
from tests.analytics.events import event, write
from tests.analytics.lake.lakes import FIRST, LAST, files_of, seal
from tests.bench import lakes
from tests.lake_tables import lake_store

HOUR = timedelta(hours=1)
FLAGS = ("is_bot", "is_internal")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Two days: a name that fills its own groups, small ones, people who are not known, bots, and equal times."""
    dice = np.random.default_rng(5)
    for day in range(2):
        rows = OWN_GROUP * 3
        name = np.array(["big", "a", "b", "z"])[dice.choice(4, rows, p=[0.7, 0.1, 0.1, 0.1])]
        ts = to_micros(lakes.START) + day * lakes.MICROS + dice.integers(0, 24, rows) * 3_600_000_000
        columns: dict[str, Any] = {
            "name": pa.array(name),
            "person_id": pa.array(dice.integers(1, 300, rows).astype(np.int32), mask=dice.random(rows) < 0.05 * day),
            "ts": ts,
            "seq": np.arange(rows),
            "channel": pa.array(np.array(["google", "bing"])[dice.integers(0, 2, rows)], mask=dice.random(rows) < 0.5),
            "is_bot": pa.array(dice.random(rows) < 0.1 * day),
        }
        lakes.written(tmp_path, day, columns)
    return tmp_path


def told(run: Run) -> list[tuple[Any, ...]]:
    channel = run.texts["channel"]
    values = [None if code < 0 else channel.values[code] for code in channel.codes.tolist()]
    columns = [run.numbers[name].tolist() for name in ("person_id", "ts", "seq")]
    return [(run.name, *row) for row in zip(*columns, values, strict=True)]


def taken(store: EventStore, *names: str, **options: Any) -> list[list[tuple[Any, ...]]]:
    span = {"start": lakes.START, "end": lakes.START + 2 * lakes.DAY, **options}
    return store.each_run(told, columns=("person_id", "ts", "seq", "channel"), names=names, **span)


def asked(store: EventStore, *names: str, without: tuple[str, ...] = (), hours: tuple[int, int] = (0, 48)) -> list[Any]:
    events = store.events
    first, last = (to_micros(lakes.START + hour * HOUR) for hour in hours)
    found = events.filter(events.name.isin(names), events.person_id.notnull(), events.ts >= first, events.ts < last)
    for flag in without:
        found = found.filter(~found[flag])
    table = store.run(found.select("name", "person_id", "ts", "seq", "channel"))
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True), key=repr)


@pytest.mark.parametrize("names", [("big",), ("a", "z"), ("big", "a", "b", "z"), ("missing",)])
@pytest.mark.parametrize("without", [(), FLAGS])
@pytest.mark.parametrize("hours", [(0, 48), (5, 30)])
def test_runs_hold_what_the_engine_answers(
    made: Path, names: tuple[str, ...], without: tuple[str, ...], hours: tuple[int, int]
) -> None:
    with lakes.opened(made, ("big", "a", "b", "z"), (0, 2)) as store:
        span = {"start": lakes.START + hours[0] * HOUR, "end": lakes.START + hours[1] * HOUR}
        found = taken(store, *names, without=without, **span)
        assert sorted((row for run in found for row in run), key=repr) == asked(
            store, *names, without=without, hours=hours
        )
    for run in found:
        assert run == sorted(run, key=lambda row: row[1:4])
        assert len({row[0] for row in run}) == 1


def test_names_that_the_store_was_not_opened_for_are_not_read(made: Path) -> None:
    with lakes.opened(made, ("a",), (0, 1)) as store:
        assert {row[0] for run in taken(store, "a", "b") for row in run} == {"a"}


def test_row_groups_of_other_names_stay_closed(made: Path) -> None:
    file = pq.ParquetFile(made / "000.parquet")
    spans = [file.metadata.row_group(at).column(0).statistics for at in range(file.num_row_groups)]
    assert [(span.min, span.max) for span in spans] == [("a", "b"), ("big", "big"), ("z", "z")]


def test_a_store_in_memory_has_runs_too() -> None:
    rows = [{"name": n, "person_id": p, "ts": t} for n, p, t in (("b", 2, 5), ("a", 1, 9), ("b", 1, 7), ("b", 2, 3))]
    store = lake_store([*rows, {"name": "b", "person_id": None, "ts": 1}])
    found = store.each_run(
        lambda run: (run.name, run.numbers["person_id"].tolist(), run.numbers["ts"].tolist()),
        columns=("person_id", "ts"), names=("a", "b"), start=FIRST, end=LAST,
    )  # fmt: skip
    assert found == []
    epoch = FIRST - timedelta(microseconds=to_micros(FIRST))
    found = store.each_run(
        lambda run: (run.name, run.numbers["person_id"].tolist(), run.numbers["ts"].tolist()),
        columns=("person_id", "ts"), names=("a", "b"), start=epoch, end=LAST,
    )  # fmt: skip
    assert sorted(found) == [("a", [1], [9]), ("b", [1, 2, 2], [7, 3, 5])]


def test_only_typed_columns_can_be_read(made: Path) -> None:
    with lakes.opened(made, ("a",), (0, 1)) as store, pytest.raises(UnknownColumn):
        store.each_run(len, columns=("session_id",), names=("a",), start=FIRST, end=LAST)  # type: ignore[arg-type]


def test_a_file_outside_of_the_tenants_folder_is_not_opened(made: Path) -> None:
    wanted = runs.Wanted(("ts",), frozenset(("a",)), 0, 2**62)
    for folder in (None, made / "t1", Path(f"{made}0")):
        reader = runs.Reader(folder, 1)
        with pytest.raises(LakeFileBroken):
            list(reader._of_file(str(made / "000.parquet"), wanted))
        with pytest.raises(LakeFileBroken):
            list(reader._of_file(f"{folder}/../{made.name}/000.parquet", wanted))


def test_reading_ends_when_it_is_told_to(made: Path) -> None:
    with lakes.opened(made, ("big",), (0, 2)) as store:
        reader = runs.Reader(made, 1)
        seen = []

        def work(run: Run) -> None:
            seen.append(run.rows)
            reader.interrupt()

        shown = store._source.selection()
        with pytest.raises(StoreCancelled):
            reader.each(shown, runs.Wanted(("ts",), frozenset(("big",)), 0, 2**62), work)
    assert len(seen) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("damage", ["gone", "cut", "other bytes"])
def test_a_damaged_file_is_made_again_from_the_database(acme: Tenant, globex: Tenant, lake: Path, damage: str) -> None:
    for tenant, count in ((acme, 40), (globex, 7)):
        write(tenant, [event(tenant, f"e{n}", minute=n, distinct_id=f"p{n % 3}") for n in range(count)])
        seal(tenant)
    name = event(acme, "x").name
    file = next(path for path in files_of(lake, acme) if ".events." in path.name)
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content[:-9] if damage == "cut" else b"\x07" * len(content))
    with event_store(tenant_id=acme.pk, start=FIRST, end=LAST) as store:
        found = store.each_run(lambda run: run.rows, columns=("ts",), names=(name,), start=FIRST, end=LAST)
    assert sum(found) == 40
