"""The API of jobs and exchange rates."""

from __future__ import annotations

import uuid
from datetime import date

import pytest

from analytics import jobs
from analytics.jobs import run_due
from analytics.models import ExchangeRate, Job, Tenant
from analytics.tenancy import tenant_context
from tests.analytics.events import event, write
from tests.api import Caller, caller, problem


@pytest.fixture
def api(acme: Tenant, globex: Tenant) -> Caller:
    """Acme with one order of 100 US dollars on 2026-03-02 in Paris; Globex with one event."""
    write(acme, [event(acme, "e1", name="order_completed", distinct_id="ann", amount=10000, currency="USD")])
    write(globex, [event(globex, "e1", distinct_id="ann")])
    return caller(acme)


def test_a_backfill_is_started_watched_and_done(api: Caller, acme: Tenant) -> None:
    started = api.post("jobs/", {"kind": "backfill", "from": "2026-03-01", "to": "2026-03-04"})

    assert started.status_code == 202, started.content
    assert started["Location"].endswith(f"/api/v1/jobs/{started.json()['id']}/")
    path = started["Location"].partition("/api/v1/")[2]
    assert (api.get(path).json()["state"], api.get(path).json()["progress"]) == ("queued", None)

    assert run_due() == 1

    done = api.get(path).json()
    assert (done["state"], done["progress"], done["result"]["events"], done["error"]) == ("done", 1.0, 1, "")
    assert done["created_by"].startswith("key:")
    assert api.get("kpis/orders.count/series/", from_="2026-03-01", to="2026-03-04").json()["total"] == 1


def test_a_dry_run_says_what_would_be_done_and_does_nothing(api: Caller) -> None:
    answer = api.post("jobs/", {"kind": "backfill", "dry_run": True})

    assert answer.status_code == 200, answer.content
    assert answer.json()["plan"]["events"] == 1
    assert api.get("jobs/").json()["count"] == 0


def test_a_roll_up_counts_what_is_dirty(api: Caller) -> None:
    assert api.post("jobs/", {"kind": "rollup", "dry_run": True}).json()["plan"] == {"minutes": 1}
    assert api.post("jobs/", {"kind": "rollup"}).status_code == 202

    assert run_due() == 1

    (job,) = api.get("jobs/", state="done").json()["results"]
    assert (job["kind"], job["result"]["minutes"]) == ("rollup.refresh", 1)
    assert api.post("jobs/", {"kind": "rollup", "dry_run": True}).json()["plan"] == {"minutes": 0}


def test_the_same_order_twice_is_one_job(api: Caller) -> None:
    answers = [api.post("jobs/", {"kind": "backfill"}).json()["id"] for _ in range(3)]

    assert len(set(answers)) == 1
    assert api.get("jobs/").json()["count"] == 1


def test_a_job_is_cancelled_once(api: Caller) -> None:
    job = api.post("jobs/", {"kind": "backfill"}).json()["id"]

    assert [api.post(f"jobs/{job}/cancel/").json()["state"] for _ in range(2)] == ["cancelled"] * 2
    assert run_due() == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "reboot"}, "kind"),
        ({}, "kind"),
        ({"kind": "backfill", "from": "2026-03-04", "to": "2026-03-01"}, "to"),
        ({"kind": "backfill", "from": "March"}, "from"),
        ({"kind": "backfill", "form": "2026-03-01"}, "form"),
        ({"kind": "backfill", "from": "2030-01-01"}, "from"),
    ],
)
def test_a_bad_order_names_the_field(api: Caller, body: dict[str, str], field: str) -> None:
    assert [error["field"] for error in problem(api.post("jobs/", body))["errors"]] == [field]


def test_jobs_of_others_and_of_the_platform_are_not_found(api: Caller, globex: Tenant) -> None:
    theirs = jobs.enqueue(kind="outcomes.compact", tenant_id=globex.pk)
    platform = jobs.enqueue(kind="outcomes.compact")

    for id_ in (theirs.pk, platform.pk, uuid.uuid4()):
        assert api.get(f"jobs/{id_}/").status_code == 404
        assert api.post(f"jobs/{id_}/cancel/").status_code == 404
    assert api.get("jobs/").json()["results"] == []
    with tenant_context(globex.pk):
        assert Job.objects.get().state == "queued"


def test_jobs_are_paged_with_their_count(api: Caller, acme: Tenant) -> None:
    for _ in range(3):
        jobs.enqueue(kind="outcomes.compact", tenant_id=acme.pk)

    page = api.get("jobs/", limit=2).json()

    assert (page["count"], len(page["results"]), page["previous"]) == (3, 2, None)
    assert len(api.get(page["next"].partition("/api/v1/")[2]).json()["results"]) == 1
    assert problem(api.get("jobs/", limit=0))["errors"][0]["field"] == "limit"


# --- Exchange rates ---------------------------------------------------------------------------------------------------


def test_rates_revalue_the_events_of_their_day(api: Caller, acme: Tenant, globex: Tenant) -> None:
    answer = api.post("exchange-rates/", {"rates": [{"day": "2026-03-02", "currency": "usd", "rate": "0.92"}]})

    assert answer.json() == {"rates": 1, "events": 1}
    (row,) = api.get("events/").json()["results"]
    assert (row["amount"], row["currency"], row["amount_base"]) == ("100.00", "USD", "92.00")
    assert api.get("exchange-rates/", currency="USD").json()["results"] == [
        {"day": "2026-03-02", "currency": "USD", "rate": "0.920000000000"}
    ]
    assert caller(globex).get("exchange-rates/").json()["count"] == 0


def test_rates_by_day(acme: Tenant, globex: Tenant) -> None:
    with tenant_context(acme.pk):
        for day in (1, 2, 3):
            ExchangeRate.objects.create(tenant_id=acme.pk, day=date(2026, 3, day), currency="USD", rate=day)

    found = caller(acme).get("exchange-rates/", from_="2026-03-02", to="2026-03-03").json()["results"]

    assert [row["day"] for row in found] == ["2026-03-02"]


@pytest.mark.parametrize(
    ("rate", "field"),
    [
        ({"day": "2026-02-30", "currency": "USD", "rate": "1"}, "rates.0.day"),
        ({"day": "2026-03-02", "currency": "ZZZ", "rate": "1"}, "rates.0.currency"),
        ({"day": "2026-03-02", "currency": "USD", "rate": "0"}, "rates.0.rate"),
        ({"day": "2026-03-02", "currency": "USD", "rate": "NaN"}, "rates.0.rate"),
        ({"day": "2026-03-02", "currency": "USD"}, "rates.0.rate"),
    ],
)
def test_a_bad_rate_names_its_row_and_field(api: Caller, rate: dict[str, str], field: str) -> None:
    assert [error["field"] for error in problem(api.post("exchange-rates/", {"rates": [rate]}))["errors"]] == [field]
