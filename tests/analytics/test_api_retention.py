"""How long events are kept, by the API: who may say so, what is refused, what would go, and that it is written down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from analytics.access.services import membership_remove, membership_set
from analytics.models import AuditEntry, Event, EventRetention, Tenant
from analytics.privacy import erase_subject
from analytics.tenancy import tenant_context
from kpis.rollup.refresh import refresh_tenant
from tests.analytics.events import event, write
from tests.analytics.test_retention_rules import browser_of
from tests.api import caller, logged_in, problem

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is Monday, 2 March 2026, one in the afternoon in Paris."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


def trail(tenant: Tenant) -> list[tuple[str, str, str, dict[str, Any]]]:
    with tenant_context(tenant.pk):
        return list(AuditEntry.objects.order_by("id").values_list("actor", "action", "what", "detail"))


def forget_trail(tenant: Tenant) -> int:
    """How much was written down so far: the keys and members that tests make are in it too."""
    return len(trail(tenant))


def test_an_owner_changes_it_and_the_trail_says_who_what_and_from_what(
    acme: Tenant, globex: Tenant, owner_user: Any
) -> None:
    api = logged_in("olga")
    known = forget_trail(acme)
    assert api.get("tenant/retention/").json() == {
        "days": None, "platform_days": None, "events": {}, "events_gone_before": None, "events_kept_from": None,
    }  # fmt: skip

    changed = api.send("PUT", "tenant/retention/", {"days": 365, "events": {"page_view": 90, "$pageleave": 7}})
    again = api.send("PUT", "tenant/retention/", {"days": 365, "events": {"page_view": 30}})
    same = api.send("PUT", "tenant/retention/", {"days": 365, "events": {"page_view": 30}})

    assert [answer.status_code for answer in (changed, again, same)] == [200, 200, 200]
    assert changed.json()["events"] == {"$pageleave": 7, "page_view": 90}
    assert api.get("tenant/retention/").json()["events"] == {"page_view": 30}
    assert api.get("tenant/").json()["retention_days"] == 365
    actor = f"user:{owner_user.pk}"
    assert trail(acme)[known:] == [
        (
            actor, "retention.changed", "",
            {"days": [None, 365], "events.$pageleave": [None, 7], "events.page_view": [None, 90]},
        ),
        (actor, "retention.changed", "", {"events.$pageleave": [7, None], "events.page_view": [90, 30]}),
    ]  # fmt: skip
    assert caller(globex).get("tenant/retention/").json()["events"] == {}


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, "days", "required"),
        ({"days": 6}, "days", "greater than or equal to 7"),
        ({"days": 401}, "days", "The platform keeps events for 400 days"),
        ({"days": 90, "events": {"page_view": 500}}, "events.page_view", "The platform keeps events for 400 days"),
        ({"days": 90, "events": {"page_view": 1}}, "events.page_view", "greater than or equal to 7"),
        ({"days": 90, "events": {" ": 30}}, "events", "1 to 200 characters"),
        ({"days": 90, "events": {"a\0b": 30}}, "events", "1 to 200 characters"),
        ({"days": 90, "events": {f"event_{n}": 30 for n in range(101)}}, "events", "At most 100"),
        ({"days": 90, "colour": "red"}, "colour", "no parameter"),
        ({"days": "many"}, "days", "valid integer"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field_and_nothing_changes(
    acme: Tenant, globex: Tenant, settings: Any, body: dict[str, Any], field: str, says: str
) -> None:
    settings.ANALYTICS_RETENTION_DAYS = 400
    refused = problem(caller(acme).send("PUT", "tenant/retention/", body))

    assert [error["field"] for error in refused["errors"]][:1] == [field]
    assert says in refused["detail"]
    with tenant_context(acme.pk):
        assert (Tenant.objects.get(pk=acme.pk).retention_days, EventRetention.objects.count()) == (None, 0)


def test_a_dry_run_says_what_would_go_and_changes_nothing(acme: Tenant, globex: Tenant) -> None:
    """Ten events on ten days. Thirty days are kept from 31 January on: six are older, and of the views two more."""
    for tenant in (acme, globex):
        days = (40, 39, 38, 37, 36, 35, 20, 15, 5, 1)
        names = ("order_completed",) * 6 + ("page_view", "page_view", "page_view", "order_completed")
        for number, (ago, name) in enumerate(zip(days, names, strict=True)):
            at = NOW - ago * DAY
            write(tenant, [event(tenant, f"e{number}", name=name, timestamp=at, received_at=at)], now=at)
        refresh_tenant(tenant.pk, now=NOW)
    api = caller(acme)

    wanted = {"days": 30, "events": {"page_view": 10}, "dry_run": True}
    plan = api.send("PUT", "tenant/retention/", wanted).json()

    assert plan["gone_before"] == "2026-01-30T23:00:00+00:00"
    assert plan["kept_from"] == "2026-02-19T23:00:00+00:00"
    assert {name: rows for name, rows in plan["rows"].items() if name.startswith("events")} == {
        "events": 6, "events: page_view": 2,
    }  # fmt: skip
    assert api.get("tenant/retention/").json()["days"] is None
    with tenant_context(acme.pk):
        assert Event.objects.count() == 10


def test_changes_in_the_admin_are_in_the_trail_too(acme: Tenant, globex: Tenant) -> None:
    from django.urls import reverse

    browser = browser_of(acme, "owner")
    known = forget_trail(acme)
    add = reverse("admin:bellwether_analytics_eventretention_add")
    assert browser.post(add, {"name": "page_view", "days": "30"}).status_code == 302
    page = reverse("admin:bellwether_analytics_tenant_change", args=[acme.pk])
    assert browser.post(page, {"name": "Acme", "settings": "{}", "retention_days": "90"}).status_code == 302
    with tenant_context(acme.pk):
        row = EventRetention.objects.get()
    gone = reverse("admin:bellwether_analytics_eventretention_delete", args=[row.pk])
    assert browser.post(gone, {"post": "yes"}).status_code == 302

    assert [(action, what, detail) for _, action, what, detail in trail(acme)[known:]] == [
        ("retention.added", "page_view: 30 days", {"name": [None, "page_view"], "days": [None, 30]}),
        ("tenant.changed", "acme", {"retention_days": [None, 90]}),
        ("retention.removed", "page_view: 30 days", {}),
    ]
    listed = browser.get(reverse("admin:bellwether_analytics_auditentry_changelist")).content.decode()
    assert "retention.removed" in listed


def test_keys_members_and_erased_people_are_in_the_trail_without_a_name_or_a_secret(
    acme: Tenant, globex: Tenant, owner_user: Any, teammate: Any
) -> None:
    write(acme, [event(acme, "e1", distinct_id="ada@example.org", timestamp=NOW, received_at=NOW)], now=NOW)
    api = logged_in("olga")
    known = forget_trail(acme)
    made = api.post("keys/", {"kind": "sk", "name": "CI", "scopes": ["kpis:read"]}).json()
    next_one = api.post(f"keys/{made['id']}/rotate/").json()
    assert api.send("DELETE", f"keys/{made['id']}/").status_code == 204
    membership_set(tenant_id=acme.pk, user=teammate, role="viewer")
    membership_remove(tenant_id=acme.pk, user=teammate)
    erase_subject(tenant_id=acme.pk, distinct_id="ada@example.org", now=NOW, settle_seconds=0, using="default")

    actor, person = f"user:{owner_user.pk}", f"user:{teammate.pk}"
    rights = {"name": "CI", "scopes": ["kpis:read"]}
    assert trail(acme)[known:] == [
        (actor, "key.added", made["prefix"], rights),
        (actor, "key.added", next_one["prefix"], {**rights, "rotated_from": made["prefix"]}),
        (actor, "key.revoked", made["prefix"], {}),
        ("command", "member.set", person, {"role": "viewer"}),
        ("command", "member.removed", person, {}),
        ("command", "subject.erased", "1", {}),
    ]
    told = str(trail(acme))
    assert made["token"] not in told
    assert "ada" not in told


def test_the_trail_is_read_page_by_page_by_those_who_may(acme: Tenant, globex: Tenant, teammate: Any) -> None:
    api = caller(acme)
    for days in (100, 200, 300):
        api.send("PUT", "tenant/retention/", {"days": days})
    caller(globex).send("PUT", "tenant/retention/", {"days": 77})

    first = api.get("audit/", action="retention", limit=2).json()
    second = api.get(first["next"].partition("/api/v1/")[2]).json()

    assert [row["detail"]["days"] for row in (*first["results"], *second["results"])] == [
        [200, 300], [100, 200], [None, 100],
    ]  # fmt: skip
    assert second["next"] is None
    assert {row["actor"].split(":")[0] for row in first["results"]} == {"key"}
    assert {row["action"] for row in api.get("audit/", action="key.added").json()["results"]} == {"key.added"}
    assert api.get("audit/", to="2026-03-01").json()["results"] == []
    assert problem(api.get("audit/", colour="red"))["errors"][0]["field"] == "colour"
    assert logged_in("theo").get("audit/").status_code == 403


def test_not_even_the_products_own_role_can_change_the_trail(acme: Tenant, globex: Tenant) -> None:
    caller(acme)
    for change in (AuditEntry.objects.all().delete, lambda: AuditEntry.objects.update(actor="nobody")):
        with tenant_context(acme.pk), pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            change()
    assert trail(acme) != []
