"""The doctor finds what is broken, says how to mend it, mends what is safe, and gives no secret away."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django_celery_beat.models import PeriodicTask

from analytics.contracts import Outcome, Refusal
from analytics.jobs import enqueue
from analytics.models import Job, OutcomeCount, Tenant
from analytics.partitions import partitions_ensure
from analytics.tenancy import tenant_context
from config import figures
from config.doctor import Result, checks, examine
from config.schedule import PREFIX, schedule_apply
from kpis.models import Bucket
from kpis.rollup.refresh import refresh_tenant
from tests.analytics.events import event, write

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])
NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)


@pytest.fixture
def well(acme: Tenant, globex: Tenant, redis_url: str) -> None:
    """An installation in which nothing is wrong."""
    schedule_apply()
    partitions_ensure(now=datetime.now(UTC))
    with figures.redis_client() as client:
        for key in (figures.BEAT_KEY, figures.WORKER_KEY):
            client.set(key, int(datetime.now(UTC).timestamp()))


def look(name: str, now: datetime | None = None) -> Result:
    (found,) = examine(now=now or datetime.now(UTC), only=[name])
    return found


def problems(name: str, now: datetime | None = None) -> list[tuple[str, str]]:
    return [(each.level, each.problem) for each in look(name, now).findings]


# --- All is well ------------------------------------------------------------------------------------------------------


def test_nothing_is_wrong_with_an_installation_that_is_well(well: None) -> None:
    # Of a test run: no collected files, and no browser's library.
    found = {result.check.id: result for result in examine(now=datetime.now(UTC)) if result.check.id != "static"}

    assert {name: result.findings for name, result in found.items() if result.state == "error"} == {}
    assert {"database.roles", "redis", "beat", "parity", "rates", "secrets", "disk", "spool"} <= set(found)


def test_every_finding_has_a_fix_in_words(well: None, settings: Any) -> None:
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    settings.DEBUG = True
    settings.SECRET_KEY = "short"

    findings = [finding for result in examine(now=datetime.now(UTC)) for finding in result.findings]

    assert len(findings) >= 4
    assert all(finding.problem.endswith(".") and len(finding.fix) > 8 for finding in findings)


# --- Each thing that can be wrong ------------------------------------------------------------------------------------


def test_redis_that_is_away_is_an_error_and_no_crash(settings: Any) -> None:
    settings.REDIS_URL = "redis://:hunter2@127.0.0.1:1/0"

    assert problems("redis") == [("error", "It cannot be reached.")]
    assert problems("beat") == [("error", "It cannot be reached.")]
    assert "hunter2" not in repr(examine(now=NOW))


def test_a_database_that_is_away_is_an_error_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise psycopg.OperationalError("connection to postgresql://app:hunter2@db failed")

    monkeypatch.setattr(psycopg, "connect", refuse)

    assert problems("database") == [("error", "PostgreSQL did not answer this.")]
    assert "hunter2" not in repr(examine(now=NOW, only=["database", "rollup", "database.clock"]))


def test_a_check_that_fails_itself_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(now: datetime) -> Any:
        raise RuntimeError("sk_secret")

    look("database")
    broken = checks["spool"]
    monkeypatch.setitem(checks._items, "spool", type(broken)("spool", broken.title, fails))

    assert problems("spool") == [("error", "The check itself failed: RuntimeError.")]


@pytest.mark.parametrize(
    ("key", "age", "wanted"),
    [
        (figures.BEAT_KEY, 300, ("error", "No sign of life of beat for 300 s.")),
        (figures.BEAT_KEY, None, ("warning", "No sign of life of beat yet.")),
        (figures.WORKER_KEY, 300, ("error", "No sign of life of worker for 300 s.")),
    ],
)
def test_a_process_without_a_sign_of_life(
    well: None, key: str, age: int | None, wanted: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = figures.heartbeat_age
    monkeypatch.setattr(figures, "heartbeat_age", lambda name, now: age if name == key else real(name, now=now))

    assert problems("beat" if key == figures.BEAT_KEY else "worker") == [wanted]


def test_a_schedule_with_holes_is_mended_and_a_pause_is_only_told(well: None) -> None:
    PeriodicTask.objects.filter(task="kpis.refresh").delete()
    PeriodicTask.objects.filter(name=PREFIX + "count dirty minutes").delete()
    PeriodicTask.objects.filter(task="analytics.sweep").update(enabled=False)

    missing, paused = look("schedule").findings
    assert (missing.level, missing.problem) == ("error", "Nothing rings for: count dirty minutes.")
    assert (paused.level, paused.problem) == ("warning", "Paused: ring for jobs that nobody runs.")
    assert missing.repair is not None
    assert missing.repair() == "wrote the list"
    assert [finding.level for finding in look("schedule").findings] == ["warning"]


def test_partitions_that_end_soon_are_mended(well: None, monkeypatch: pytest.MonkeyPatch) -> None:
    far = datetime.now(UTC) + timedelta(days=400)

    (finding,) = look("database.partitions", far).findings

    assert (finding.level, finding.problem) == ("error", "Partitions reach 0 days ahead; 28 are wanted.")
    assert finding.repair is not None
    assert finding.repair().startswith("made the partitions of ")
    assert look("database.partitions", far).state == "ok"


def test_clocks_that_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    from config.doctor import database

    for seconds, level in ((3, "warning"), (-60, "error")):
        at = timedelta(seconds=seconds)
        monkeypatch.setattr(database, "query", lambda *args, at=at: [(datetime.now(UTC) + at,)])
        ((found, words),) = problems("database.clock")
        assert (found, "s apart" in words) == (level, True)


def test_servers_with_known_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    from config.doctor import database

    def told(number: int) -> list[tuple[str, str]]:
        monkeypatch.setattr(database, "query", lambda *args: [(number, "")])
        return problems("database.version")

    assert told(180_007) == told(170_013) == told(190_001) == []
    assert told(180_006) == [("warning", "PostgreSQL 18.6 has known leaks past row-level security.")]
    assert told(140_020) == [("error", "PostgreSQL 14 is too old.")]


def test_a_table_without_walls_is_named(well: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute("CREATE TABLE bw_open (tenant_id int)")
    try:
        assert problems("database.walls") == [("error", "bw_open shows every tenant's rows.")]
    finally:
        with connections["owner"].cursor() as cursor:
            cursor.execute("DROP TABLE bw_open")


def test_a_zone_that_one_side_does_not_know(well: None, acme: Tenant) -> None:
    assert problems("database.zones") == []
    with tenant_context(acme.pk):
        Tenant.objects.filter(pk=acme.pk).update(zone="Europe/Atlantis")

    assert problems("database.zones") == [("error", "PostgreSQL does not know Europe/Atlantis.")]


def test_work_that_waits(well: None, acme: Tenant, globex: Tenant) -> None:
    now = datetime.now(UTC)
    late, stuck, failed = (enqueue(kind="upkeep.clean", tenant_id=acme.pk) for _ in range(3))
    with tenant_context(acme.pk):
        Job.objects.filter(pk=late.pk).update(run_at=now - timedelta(minutes=10))
        Job.objects.filter(pk=stuck.pk).update(state="running", lease_until=now - timedelta(minutes=5))
        Job.objects.filter(pk=failed.pk).update(state="failed", finished_at=now)

    assert [words for _, words in problems("jobs")] == [
        "1 jobs have lost their worker and nobody has taken them up.",
        "1 jobs have been due for more than five minutes.",
        "1 jobs failed in the last day.",
    ]


def test_events_that_are_refused(well: None, acme: Tenant) -> None:
    now = datetime.now(UTC)
    with tenant_context(acme.pk):
        for outcome, many in (("stored", 900), ("rejected", 100)):
            OutcomeCount.objects.create(tenant_id=acme.pk, hour=now, outcome=outcome, reason="", n=many)

    assert problems("outcomes") == [("warning", "100 of 1000 events of the last day were not stored.")]
    assert Refusal is not None
    assert Outcome.REJECTED == "rejected"


def test_money_without_a_rate_names_its_tenant(well: None, acme: Tenant, globex: Tenant) -> None:
    at = datetime.now(UTC) - timedelta(days=2)
    write(
        acme,
        [
            event(acme, f"usd{n}", name="order_completed", amount=500, currency="USD", timestamp=at, received_at=at)
            for n in range(3)
        ],
    )
    refresh_tenant(acme.pk, now=datetime.now(UTC))

    assert problems("rates") == [
        ("warning", "acme: 3 amounts of the last 35 days have no rate, so revenue is incomplete.")
    ]


def test_a_stored_day_that_is_not_as_its_events_say(well: None, acme: Tenant, globex: Tenant) -> None:
    at = NOW - timedelta(days=1)
    for tenant in (acme, globex):
        write(tenant, [event(tenant, f"e{n}", timestamp=at, received_at=at) for n in range(5)])
        refresh_tenant(tenant.pk, now=NOW)
    assert problems("parity", NOW) == []

    for tenant in (acme, globex):
        with tenant_context(tenant.pk):
            Bucket.objects.filter(tenant_id=tenant.pk, measure="events.count", grain=3).update(n=6)

    ((level, words),) = problems("parity", NOW)
    assert (level, "of 2026-03-02 are not as their events say" in words) == ("error", True)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SECRET_KEY", "x" * 60, "SECRET_KEY is short or simple: sessions can be forged."),
        ("SECRET_KEY", "django-insecure-0123456789abcdefghijklmnopqrstuvw", "SECRET_KEY is short or simple: sessions"),
        ("FIELD_ENCRYPTION_KEY", "c2hvcnQ=", "FIELD_ENCRYPTION_KEY is not 32 random bytes in base64."),
        ("METRICS_TOKEN", "guess-me", "METRICS_TOKEN can be guessed."),
        ("DEBUG", True, "DEBUG shows settings and code"),
        ("ALLOWED_HOSTS", ["*"], "ALLOWED_HOSTS takes any name."),
    ],
)
def test_secrets_that_are_weak_are_named_and_not_shown(settings: Any, name: str, value: Any, words: str) -> None:
    setattr(settings, name, value)

    ((_, found),) = problems("secrets")

    assert found.startswith(words)
    assert not isinstance(value, str) or value not in repr(look("secrets"))


def test_a_file_of_secrets_that_others_can_read_is_closed(settings: Any, tmp_path: Path) -> None:
    settings.BELLWETHER_HOME = tmp_path
    path = tmp_path / "secrets.json"
    path.write_text("{}")
    path.chmod(0o644)

    (finding,) = look("files").findings
    assert (finding.level, finding.problem) == ("error", "secrets.json can be read by other users.")
    assert finding.repair is not None
    finding.repair()
    assert look("files").state == "ok"


def test_a_disk_that_fills_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from config.doctor import installation

    def told(free: float, a_day: float) -> list[tuple[str, str]]:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": free}))
        monkeypatch.setattr(installation, "_bytes_a_day", lambda now: a_day)
        return problems("disk")

    assert told(2**40, 2**30) == []
    assert told(20 * 2**30, 2**30) == [("warning", "20.0 GiB are free, 20 days at the present rate.")]
    assert told(5 * 2**30, 2**30) == [("error", "5.0 GiB are free, 5 days at the present rate.")]
    assert told(2**20, 0) == [("error", "0.0 GiB are free.")]


# --- The command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Exit code, output and remarks of the command."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = 0
        try:
            call_command("doctor", *arguments)
        except SystemExit as error:
            code = int(error.code or 0)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


def test_the_command_says_each_problem_with_its_fix(well: None, run: Callable[..., tuple[int, str, str]]) -> None:
    PeriodicTask.objects.filter(name=PREFIX + "count dirty minutes").delete()

    code, shown, _ = run("--only", "schedule", "database.roles")

    assert code == 1
    assert shown.splitlines() == [
        "FAIL  Everything that has to ring is on the list (schedule)",
        "      Nothing rings for: count dirty minutes.",
        "      -> manage.py migrate writes the list (or manage.py doctor --fix).",
        "ok    No role looks past row-level security (database.roles)",
    ]


def test_fix_lists_first_and_mends_when_told(well: None, run: Callable[..., tuple[int, str, str]]) -> None:
    entry = PeriodicTask.objects.filter(name=PREFIX + "count dirty minutes")
    entry.delete()

    code, _, remarks = run("--only", "schedule", "--fix")
    assert (code, entry.exists()) == (1, False)
    assert remarks.splitlines()[0] == "would mend schedule: Nothing rings for: count dirty minutes."

    code, _, remarks = run("--only", "schedule", "--fix", "--yes")
    assert (code, entry.exists()) == (0, True)
    assert remarks.strip() == "schedule: wrote the list"


def test_machines_get_one_object(well: None, run: Callable[..., tuple[int, str, str]]) -> None:
    code, shown, _ = run("--only", "database", "--json")

    assert (code, json.loads(shown)) == (
        0,
        {
            "errors": 0,
            "warnings": 0,
            "checks": [{"check": "database", "title": "PostgreSQL answers", "state": "ok", "findings": []}],
        },
    )


def test_a_check_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(CommandError, match="did you mean schedule"):
        call_command("doctor", "--only", "shedule")
