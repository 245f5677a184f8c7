"""A tenant's zone and first day of the week, changed by command and API."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from analytics.contracts import Grain
from analytics.jobs import run_due
from analytics.models import Tenant
from analytics.signals import buckets_refreshed
from analytics.tenancy import tenant_context
from kpis.models import Bucket
from kpis.rollup.refresh import refresh_tenant
from kpis.selectors import calendar_state
from tests.api import caller, problem
from tests.kpis.telling import event, store

pytestmark = pytest.mark.django_db
PARIS = {"zone": "Europe/Paris", "week_start": 0, "base_currency": "EUR", "version": 1, "building": None, "job": None}


@pytest.fixture
def shop(acme: Tenant, globex: Tenant, t0: datetime) -> Tenant:
    """Acme has a page view at 23:30 UTC of Monday, which is Tuesday in Paris and Monday in New York."""
    store(event(acme, "page_view", t0 + timedelta(hours=23, minutes=30), "ann"))
    refresh_tenant(acme.pk, now=t0 + timedelta(days=3))
    return acme


def days(tenant: Tenant) -> list[datetime]:
    with tenant_context(tenant.pk):
        found = Bucket.objects.filter(measure="pageviews.count", dimension="", grain=Grain.DAY)
        return list(found.values_list("start", flat=True))


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.strip()


def test_a_command_says_how_time_is_cut_and_changes_it(
    shop: Tenant, t0: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("calendar", "--tenant", "acme")
    assert told(capsys) == "acme: days of Europe/Paris, weeks from Monday, EUR"
    assert days(shop) == [t0 + timedelta(hours=23)]

    call_command("calendar", "--tenant", "acme", "--zone", "America/New_York", "--week-start", "sunday")

    assert told(capsys) == "acme: days of America/New_York, weeks from Sunday, EUR"
    assert days(shop) == [t0 + timedelta(hours=5)]
    assert calendar_state(tenant_id=shop.pk).version == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--tenant", "nobody"), "There is no tenant 'nobody'"),
        (("--tenant", "acme", "--zone", "Paris", "--week-start", "sunday"), "there is no time zone 'Paris'"),
        (("--tenant", "acme", "--week-start", "someday"), "invalid choice"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_has_changed(shop: Tenant, options: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        call_command("calendar", *options)
    assert calendar_state(tenant_id=shop.pk).week_start == 0


def test_the_api_has_history_counted_for_another_zone(shop: Tenant, globex: Tenant, t0: datetime) -> None:
    api = caller(shop)
    assert api.get("kpis/calendar/").json() == PARIS

    answer = api.send("PATCH", "kpis/calendar/", {"zone": "America/New_York"})

    waiting = answer.json()
    assert (answer.status_code, waiting) == (202, PARIS | {"building": "America/New_York", "job": waiting["job"]})
    assert api.get(f"jobs/{waiting['job']}/").json()["kind"] == "rollup.switch_calendar"
    assert days(shop) == [t0 + timedelta(hours=23)], "until it is done everything is as before"
    assert run_due(only=["rollup.switch_calendar"]) == 1
    assert api.get("kpis/calendar/").json() == PARIS | {"zone": "America/New_York", "version": 2}
    assert days(shop) == [t0 + timedelta(hours=5)]
    assert caller(globex).get("kpis/calendar/").json()["zone"] == "Asia/Kathmandu"


def test_the_former_zone_again_is_no_change_or_ends_the_one_that_was_begun(shop: Tenant, t0: datetime) -> None:
    api = caller(shop)
    same = api.send("PATCH", "kpis/calendar/", {"zone": "Europe/Paris"})
    assert (same.status_code, same.json()) == (200, PARIS)
    api.send("PATCH", "kpis/calendar/", {"zone": "America/New_York"})
    api.send("PATCH", "kpis/calendar/", {"zone": "Europe/Paris"})
    run_due(only=["rollup.switch_calendar"])
    assert calendar_state(tenant_id=shop.pk).zone == "Europe/Paris"
    assert days(shop) == [t0 + timedelta(hours=23)]


def test_another_week_start_holds_at_once_in_the_version_that_is_being_counted_too(
    shop: Tenant, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[int] = []

    def hear(tenant_id: int, **_: Any) -> None:
        heard.append(tenant_id)

    api = caller(shop)
    question = {"from_": "2026-02-23", "to": "2026-03-09", "granularity": "week"}
    monday = api.get("kpis/pageviews.count/series/", **question)
    api.send("PATCH", "kpis/calendar/", {"zone": "America/New_York"})
    buckets_refreshed.connect(hear)
    with django_capture_on_commit_callbacks(execute=True):
        assert api.send("PATCH", "kpis/calendar/", {"week_start": 6}).json()["week_start"] == 6
    buckets_refreshed.disconnect(hear)
    sunday = api.get("kpis/pageviews.count/series/", **question)
    assert heard == [shop.pk]
    assert monday["ETag"] != sunday["ETag"]
    midnights = [point["start"] for point in monday.json()["points"]]
    assert midnights == ["2026-02-22T23:00:00+00:00", "2026-03-01T23:00:00+00:00"]
    assert sunday.json()["points"][1]["start"] == "2026-02-28T23:00:00+00:00"
    run_due(only=["rollup.switch_calendar"])
    assert calendar_state(tenant_id=shop.pk).week_start == 6


@pytest.mark.parametrize("wrong", [{"zone": "Paris"}, {"week_start": 7}, {"week_start": "sunday"}, {"zome": "UTC"}])
def test_a_wrong_change_names_its_field(shop: Tenant, wrong: dict[str, Any]) -> None:
    answer = caller(shop).send("PATCH", "kpis/calendar/", wrong)
    assert answer.status_code == 400
    assert problem(answer)["errors"][0]["field"] == next(iter(wrong))
    assert calendar_state(tenant_id=shop.pk).zone == "Europe/Paris"
