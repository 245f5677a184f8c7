"""What Prometheus reads: complete over processes, bounded, and without a tenant's name."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from prometheus_client import REGISTRY

from analytics import trace
from analytics.models import Tenant
from config import figures, queries, telemetry
from config.celery import app
from tests.analytics.events import event, write
from tests.api import caller
from tests.architecture.routes import api_routes

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are asked anew."""
    monkeypatch.setattr(figures, "_last", None)


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def scrape(client: Client, **more: Any) -> str:
    answer = client.get("/metrics", **more)
    assert answer.status_code == 200
    return answer.content.decode()


def series(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


# --- Who may read -----------------------------------------------------------------------------------------------------


def test_this_machine_reads_and_nobody_else(client: Client) -> None:
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="203.0.113.9").status_code == 404
    # A proxy on this machine speaks for others.
    assert client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 404


def test_with_a_token_only_the_token_counts(client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = "a long secret"

    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 404
    remote: dict[str, Any] = {"REMOTE_ADDR": "203.0.113.9", "headers": {"Authorization": "Bearer a long secret"}}
    assert client.get("/metrics", **remote).status_code == 200


# --- What they tell ---------------------------------------------------------------------------------------------------


def test_requests_are_counted_by_route_and_never_by_address(client: Client, acme: Tenant) -> None:
    before = [sample("bellwether_http_requests_total", route=route, status="2xx") for route in ("jobs", "health-live")]
    missing = sample("bellwether_http_requests_total", route="none", status="4xx")
    api = caller(acme)
    for n in range(3):
        api.get(f"jobs/?page={n}")
        client.get("/health/live")
        client.get(f"/no/such/page/{n}")

    after = [sample("bellwether_http_requests_total", route=route, status="2xx") for route in ("jobs", "health-live")]
    assert (after[0] >= before[0], after[1] - before[1]) == (True, 3)
    assert sample("bellwether_http_requests_total", route="none", status="4xx") - missing == 3
    assert "no/such" not in scrape(client)


def test_every_page_of_the_admin_is_one_route(admin_client: Client) -> None:
    before = sample("bellwether_http_requests_total", route="admin", status="2xx")
    admin_client.get("/admin/")
    admin_client.get("/admin/operation/scheduler/")

    assert sample("bellwether_http_requests_total", route="admin", status="2xx") - before == 2


def test_statements_are_timed_and_slow_ones_listed_without_values(
    client: Client, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    queries.slow_queries_forget()
    settings.SLOW_QUERY_MS = 50
    before = sample("bellwether_query_seconds_count", role="default")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.06), %s", ["ann@example.org"])
        cursor.execute("SELECT 1")

    assert sample("bellwether_query_seconds_count", role="default") - before >= 2
    # On a busy machine another statement may be slow as well; it says nothing against this one.
    (found,) = (each for each in queries.slow_queries() or [] if "pg_sleep" in each.statement)
    assert (found.statement, found.role, found.milliseconds >= 50) == ("SELECT pg_sleep(0.06), %s", "default", True)
    assert "ann@" not in caplog.text


def test_a_slow_statement_of_a_job_is_no_news_for_a_console_unless_nobody_could_list_it(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    queries.slow_queries_forget()
    caplog.set_level(logging.DEBUG, "bellwether.slow")
    with trace.traced("", job="kpis.refresh 1"):
        queries.slow("default", "SELECT 1", 0.7)
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        queries.slow("default", "SELECT 2", 0.8)
    queries.slow("default", "SELECT 3", 0.9)

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "a statement took 700 ms: SELECT 1"),
        ("WARNING", "a statement took 800 ms: SELECT 2"),
        ("DEBUG", "a statement took 900 ms: SELECT 3"),
    ]
    assert settings.LOGGING["loggers"]["bellwether.slow"] == {"level": "WARNING"}  # the tests' format is for people


def test_the_list_of_slow_statements_is_bounded(settings: Any) -> None:
    queries.slow_queries_forget()
    for n in range(queries.KEPT + 5):
        queries.slow("default", f"SELECT {n} " + "x" * 5_000, 0.5)

    found = queries.slow_queries() or []
    assert len(found) == queries.KEPT
    assert max(len(each.statement) for each in found) == queries.LONGEST


def test_the_domain_is_told_over_all_tenants(client: Client, acme: Tenant, globex: Tenant) -> None:
    now = datetime.now(UTC)
    for tenant, many in ((acme, 3), (globex, 4)):
        write(tenant, [event(tenant, f"{tenant.slug}{n}", timestamp=now, received_at=now) for n in range(many)])

    text = scrape(client)

    assert 'bellwether_events_24h{outcome="stored"} 7.0' in text
    assert "bellwether_active_tenants 2.0" in text
    assert re.search(r"bellwether_dirty_marks [1-9]", text)
    assert 'bellwether_up{part="database"} 1.0' in text
    assert 'bellwether_up{part="redis"} 1.0' in text
    assert re.search(r"bellwether_queue_messages \d", text)
    assert not {"acme", "globex"} & set(re.findall(r"[a-z]+", text.lower()))


def test_a_part_that_is_away_leaves_its_series_out(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "unix:///nowhere/redis.sock"

    text = scrape(client)

    assert 'bellwether_up{part="redis"} 0.0' in text
    assert "bellwether_queue_messages" not in text


def test_tasks_are_counted_by_how_they_end(acme: Tenant) -> None:
    app.loader.import_default_modules()
    known = telemetry.task_named("analytics.sweep", app.tasks)
    assert (known, telemetry.task_named("evil" * 100, app.tasks)) == ("analytics.sweep", "other")
    before = sample("bellwether_tasks_total", task="analytics.sweep", state="done")

    app.tasks["analytics.sweep"].apply()

    assert sample("bellwether_tasks_total", task="analytics.sweep", state="done") - before == 1


# --- Bounds -----------------------------------------------------------------------------------------------------------


def test_the_number_of_series_is_bounded(client: Client, acme: Tenant, settings: Any) -> None:
    """Every route of the API in every method, then the upper bound by arithmetic."""
    settings.API_RATE_PER_MINUTE = 0
    api = caller(acme)
    for route in api_routes():
        for method in route.methods:
            api.send(method, route.path())

    assert len(series(scrape(client))) <= 2_000
    statuses, request_buckets = 4, len(telemetry.SECONDS._upper_bounds)
    states, task_buckets = 3, len(telemetry.TASK_SECONDS._upper_bounds)
    most_routes = (telemetry.ROUTES_LIMIT + 4) * (statuses + request_buckets + 2)
    most_tasks = (telemetry.TASKS_LIMIT + 1) * (states + task_buckets + 2)
    assert most_routes + most_tasks + 200 <= 2_000


def test_counts_of_other_processes_are_added_up(client: Client) -> None:
    script = (
        "import django; django.setup()\n"
        "from config import telemetry\n"
        "telemetry.CAPTURES.labels('elsewhere', '2xx').inc(5)\n"
        "telemetry.SOCKETS.inc(9)\n"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", script], check=True, env=environment, cwd=Path(__file__).parents[2])

    text = scrape(client)

    assert 'bellwether_capture_requests_total{door="elsewhere",status="2xx"} 10.0' in text
    assert "bellwether_live_sockets 9.0" not in text  # their processes have ended, and with them the sockets


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return tmp_path


def test_files_of_ended_processes_become_one(folder: Path) -> None:
    key = '["a_total", "a_total", {"x": "1"}, "help"]'
    for pid in range(4_000_001, 4_000_004):
        written = telemetry.CountFile(str(folder / f"counter_{pid}.db"))
        written.write_value(key, 7.0, 1.0)
        written.close()
    (folder / "gauge_livesum_4000009.db").write_bytes(b"")
    mine = telemetry.CountFile(str(folder / f"counter_{os.getpid()}.db"))
    mine.write_value(key, 1.0, 1.0)
    mine.close()

    assert telemetry.tidy(limit=10) == 1
    assert telemetry.tidy(limit=2) == 3

    assert sorted(path.name for path in folder.glob("*.db")) == sorted(["counter_0.db", f"counter_{os.getpid()}.db"])
    ((_, total, _, _),) = telemetry.CountFile.read_all_values_from_file(str(folder / "counter_0.db"))
    assert total == 21.0


def test_files_that_a_power_cut_tore_are_removed_and_the_rest_is_told(folder: Path, client: Client) -> None:
    key = '["a_total", "a_total", {"x": "1"}, "help"]'
    whole = folder / "counter_4000001.db"
    written = telemetry.CountFile(str(whole))
    written.write_value(key, 7.0, 1.0)
    written.close()
    content = whole.read_bytes()
    torn = [folder / f"counter_{pid}.db" for pid in (4_000_002, 4_000_003, 1)]  # the last number lives again
    torn[0].write_bytes(b"")
    for path in torn[1:]:
        path.write_bytes(content[:8] + bytes(len(content) - 8))
    young = folder / "histogram_1.db"
    young.write_bytes(b"")
    os.utime(torn[2], (0, 0))

    assert 'a_total{x="1"} 7.0' in scrape(client)

    left = {path.name for path in folder.glob("*.db")}
    assert left >= {whole.name, young.name}
    assert not left & {path.name for path in torn}


def test_a_process_whose_number_a_torn_file_has_counts(tmp_path: Path) -> None:
    script = (
        "import os\n"
        "from pathlib import Path\n"
        "torn = Path(os.environ['PROMETHEUS_MULTIPROC_DIR']) / f'counter_{os.getpid()}.db'\n"
        "torn.write_bytes((64).to_bytes(4, 'little') + bytes(4092))\n"
        "import django; django.setup()\n"
        "from config import telemetry\n"
        "telemetry.CAPTURES.labels('elsewhere', '2xx').inc(5)\n"
        "assert telemetry.is_readable(torn)\n"
    )
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
    }
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, cwd=Path(__file__).parents[2])
