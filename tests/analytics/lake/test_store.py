"""A store opens its own tenant's files and nothing else, whatever it is asked; it answers, or says why not."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pytest

from analytics.engines import DuckDBEngine
from analytics.models import Tenant
from analytics.store import (
    EngineUnavailable,
    EventStore,
    LakeFileBroken,
    StoreCancelled,
    StoreTimeout,
    UnknownColumn,
    event_store,
)
from tests.analytics.events import NOON, event, rows, write
from tests.analytics.lake.lakes import FIRST, LAST, event_ids, files_of, seal, stored_ids
from tests.lake_tables import lake_store

pytestmark = pytest.mark.django_db

HOSTILE = [
    "plan", "$browser", "a.b", "a/b", "a~1b", 'q"uote', "it's", "back\\slash", "%s", "%(x)s",
    "; DROP VIEW events; --", "ü",
    "日本",    "line\nbreak", "*", "$", "$.plan", "[0]", "0", "__proto__", "a b", "{}", "{{x}}", "\u202eabc",
    "e.name", "property_0", " ",
    "'||(SELECT 1)||'", "`tick`", "\\u0041", "a\tb", "NULL", "null", "?", ":x", "x" * 200,
]  # fmt: skip


@contextmanager
def opened(tenant: Tenant, **options: Any) -> Iterator[EventStore]:
    with event_store(tenant_id=tenant.pk, start=FIRST, end=LAST, **options) as store:
        yield store


def count(store: EventStore) -> int:
    return int(store.run(store.events.count().name("n").as_table()).column(0)[0].as_py())


def three(tenant: Tenant) -> None:
    write(
        tenant,
        [event(tenant, f"e{n}", minute=1440 * n, distinct_id="ann", properties={"plan": "pro"}) for n in range(3)],
    )
    seal(tenant)


# --- Walls ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_lakes(acme: Tenant, globex: Tenant, lake: Path) -> tuple[Path, Path]:
    """A file of each tenant."""
    three(acme)
    three(globex)
    return files_of(lake, acme)[0], files_of(lake, globex)[0]


def test_a_locked_connection_opens_no_file_outside_its_tenants_folder(
    two_lakes: tuple[Path, Path], acme: Tenant, lake: Path
) -> None:
    own, foreign = two_lakes
    twin = lake / f"t{acme.pk}0" / "x.parquet"  # a folder whose name begins like the tenant's
    twin.parent.mkdir()
    twin.write_bytes(own.read_bytes())
    raw = DuckDBEngine(lake / f"t{acme.pk}")._raw
    assert raw.execute(f"SELECT count(*) FROM read_parquet('{own}')").fetchall() == [(1,)]
    paths = [
        str(foreign),
        str(twin),
        "/etc/passwd",
        f"{own.parent}/../../../../../t{foreign}",
        f"{lake}/t{acme.pk}/../t{acme.pk}0/x.parquet",
        f"{lake}/**/*.parquet",
        f"{lake}/t*/x.parquet",
        f"file://{foreign}",
        f"{lake}/t{acme.pk}/./../t{acme.pk}0/x.parquet",
        "https://example.org/x.parquet",
        "s3://bucket/x.parquet",
    ]
    statements = [
        "SELECT * FROM read_parquet('{}')",
        "SELECT * FROM '{}'",
        "SELECT * FROM read_text('{}')",
        "SELECT * FROM read_blob('{}')",
        "COPY (SELECT 1) TO '{}'",
        "ATTACH '{}' AS other",
        "SELECT * FROM read_csv('{}')",
        "SELECT * FROM glob('{}')",
    ]
    opened_outside = []
    for path in paths:
        for statement in statements:
            try:
                found = raw.execute(statement.format(path)).fetchall()
            except duckdb.Error:
                continue
            if found:
                opened_outside.append((statement, path))
    assert opened_outside == []


@pytest.mark.parametrize(
    "statement",
    [
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "RESET allowed_directories",
        "SET threads = 64",
        "SET memory_limit = '64GB'",
        "SET lock_configuration = false",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA enable_object_cache = true",
    ],
)
def test_the_configuration_of_a_connection_stays_locked(statement: str, tmp_path: Path) -> None:
    raw = DuckDBEngine(tmp_path)._raw
    before = raw.execute(
        "SELECT value FROM duckdb_settings() WHERE name IN ('allowed_directories', 'threads') ORDER BY name"
    ).fetchall()
    with pytest.raises(duckdb.Error):
        raw.execute(statement)
    after = raw.execute(
        "SELECT value FROM duckdb_settings() WHERE name IN ('allowed_directories', 'threads') ORDER BY name"
    ).fetchall()
    assert before == after


def test_the_process_opens_files_of_the_tenant_only(
    two_lakes: tuple[Path, Path], acme: Tenant, globex: Tenant, lake: Path
) -> None:
    """Python's own openings, through an audit hook; DuckDB's are tried above."""
    seen: list[str] = []
    is_on = True

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if is_on and name == "open" and isinstance(arguments[0], str | bytes):
            seen.append(str(arguments[0]))

    sys.addaudithook(hook)
    with opened(acme, columns=("event_id",), properties=tuple(HOSTILE), names=tuple(HOSTILE)) as store:
        count(store)
    is_on = False
    assert [path for path in seen if f"/t{globex.pk}/" in path] == []


def test_hostile_names_of_properties_and_events_are_only_names(acme: Tenant, globex: Tenant, lake: Path) -> None:
    sent = {name: f"value of {place}" for place, name in enumerate(HOSTILE)}
    write(
        acme, [event(acme, f"e{place}", name=name, minute=place, properties=sent) for place, name in enumerate(HOSTILE)]
    )
    write(globex, [event(globex, "g", properties=dict.fromkeys(HOSTILE, "theirs"))])
    seal(acme)
    seal(globex)
    with opened(acme, properties=tuple(HOSTILE), names=tuple(HOSTILE)) as store:
        one = store.run(
            store.events.filter(store.events.name == HOSTILE[3]).select(*[f"property_{n}" for n in range(len(HOSTILE))])
        )
        assert list(one.to_pylist()[0].values()) == list(sent.values())
        assert count(store) == len(HOSTILE)
        assert [
            store.run(store.events.filter(store.property(name) == sent[name]).count().as_table()).column(0)[0].as_py()
            for name in HOSTILE
        ] == [len(HOSTILE)] * len(HOSTILE)
    for name in HOSTILE:
        with opened(acme, names=(name,)) as store:
            assert count(store) == 1


@pytest.mark.parametrize("name", ["x", "utm_medium", "$referring_domain"])
def test_properties_read_as_postgresql_reads_them(acme: Tenant, lake: Path, name: str) -> None:
    values = [1, 1.5, -0.25, True, False, None, "", "text", "12", [1, 2], {"a": 1}, 12345678901234567890, "ü\n"]
    write(acme, [event(acme, f"e{n}", minute=n, properties={name: value}) for n, value in enumerate(values)])
    seal(acme)
    with opened(acme, properties=(name,)) as store:
        found = store.run(store.events.order_by("ts").select("property_0")).column(0).to_pylist()
    expected = [row[0] for row in rows(acme, f"SELECT properties ->> '{name}' FROM bw_event ORDER BY ts")]
    flat = [place for place, value in enumerate(values) if not isinstance(value, list | dict)]
    assert [found[place] for place in flat] == [expected[place] for place in flat]
    nested = [place for place, value in enumerate(values) if isinstance(value, list | dict)]
    assert [json.loads(found[p]) for p in nested] == [json.loads(expected[p]) for p in nested], "equal but for blanks"


def test_unknown_columns_and_properties_are_named(acme: Tenant, lake: Path) -> None:
    with pytest.raises(UnknownColumn, match=r"'nmae'.*name, person_id"), opened(acme, columns=("nmae",)):
        pass
    with opened(acme) as store, pytest.raises(UnknownColumn, match="name it in `properties`"):
        store.property("plan")


def test_an_empty_lake_answers_with_nothing(acme: Tenant, lake: Path) -> None:
    with opened(acme, columns=("event_id",), properties=("plan",), names=()) as store:
        assert (count(store), store.files, store.rows) == (0, (), 0)
        assert store.arrow(("name", "ts")).num_rows == 0


def test_edges_of_the_range_are_exact_wherever_they_lie(acme: Tenant, lake: Path) -> None:
    three(acme)
    for start, end, expected in [
        (NOON, NOON, 0),
        (NOON, LAST, 3),
        (NOON + (LAST - NOON) * 0, NOON.replace(microsecond=1), 1),
    ]:
        with event_store(tenant_id=acme.pk, start=start, end=end) as store:
            assert count(store) == expected


def test_kernels_get_arrow_and_batches(acme: Tenant, lake: Path) -> None:
    three(acme)
    with opened(acme) as store:
        table = store.arrow(("person_id", "ts", "name"), order_by=("ts",))
        assert pa.types.is_dictionary(table.schema.field("name").type)
        assert table.column("ts").to_pylist() == sorted(table.column("ts").to_pylist())
        assert sum(batch.num_rows for batch in store.batches(("ts",), names=("page_viewed",))) == 3
        joined = store.table(pa.table({"name": pa.array(["page_viewed"]), "weight": pa.array([2.5])}), "weights")
        answer = store.run(store.events.join(joined, "name").aggregate(total=joined.weight.sum()))
        assert answer.to_pylist() == [{"total": 7.5}]
        with pytest.raises(ValueError, match="no name"):
            store.table(table, "x; DROP VIEW events")


# --- Damage -----------------------------------------------------------------------------------------------------------


HARMS: dict[str, Callable[[Path], object]] = {
    "gone": lambda file: file.unlink(),
    "another": lambda file: file.write_bytes(b"PAR1"),
    "shortened": lambda file: file.write_bytes(file.read_bytes()[:-9]),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_lost_or_shortened_file_is_made_again_and_the_question_answered(
    acme: Tenant, lake: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    three(acme)
    broken = files_of(lake, acme)[0]
    HARMS[harm](broken)
    assert event_ids(acme) == stored_ids(acme)
    assert broken.name.split(".")[0] in caplog.text, "the log names it"
    assert event_ids(acme) == stored_ids(acme)


def test_a_file_that_breaks_while_it_is_read_is_made_again(acme: Tenant, lake: Path) -> None:
    three(acme)
    with opened(acme) as store:
        assert count(store) == 3
        for file in files_of(lake, acme):
            size = file.stat().st_size
            file.write_bytes(bytes(size))  # the right size, so that only reading it tells
        total = store.run(store.events.agg(n=store.events.count(), t=store.events.ts.sum()))
    assert total.to_pylist()[0]["n"] == 3


def test_more_damage_than_a_question_should_heal_is_said(acme: Tenant, lake: Path) -> None:
    write(acme, [event(acme, f"e{n}", minute=1440 * n) for n in range(12)])
    seal(acme)
    for file in files_of(lake, acme):
        file.unlink()
    with pytest.raises(LakeFileBroken, match=r"12 pieces .*lake verify --repair"), opened(acme) as store:
        count(store)


# --- Time and engines -------------------------------------------------------------------------------------------------

LONG = 400_000


def _endless(store: EventStore) -> Any:
    left = store.events.select(a=store.events.line % 3)
    right = store.events.select(b=store.events.line % 3)
    return left.cross_join(right).filter(ibis._.a + ibis._.b == 17).count().name("n").as_table()


def _much() -> list[dict[str, Any]]:
    return [{"name": "a", "ts": n} for n in range(LONG)]


def test_a_question_that_takes_too_long_is_stopped() -> None:
    store = lake_store(_much(), timeout=0.5)
    begun = time.monotonic()
    with pytest.raises(StoreTimeout, match=r"within 0\.5 seconds"):
        store.run(_endless(store))
    assert time.monotonic() - begun < 5
    assert count(store) == LONG, "the store answers again"


def test_a_question_that_nobody_wants_any_more_is_stopped() -> None:
    store = lake_store(_much())
    gone = threading.Event()
    store._cancelled = gone.is_set
    threading.Timer(0.3, gone.set).start()
    with pytest.raises(StoreCancelled):
        store.run(_endless(store))


def test_an_unknown_engine_and_a_cluster_that_is_away_are_named(acme: Tenant, lake: Path) -> None:
    with pytest.raises(EngineUnavailable, match="'clickhouse'"), opened(acme, engine="clickhouse"):
        pass
    begun = time.monotonic()
    expected = r"spark://127\.0\.0\.1:9 .*ANALYTICS_ENGINE=duckdb"
    with pytest.raises(EngineUnavailable, match=expected), opened(acme, engine="spark://127.0.0.1:9"):
        pass
    assert time.monotonic() - begun < 15
