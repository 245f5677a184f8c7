"""Two tenants over every route: nothing of the neighbour shows, and its ids look like ids that never were."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from analytics.access.selectors import places_of_user
from analytics.access.services import api_key_create, membership_set
from analytics.access.tokens import TokenPair
from analytics.contracts import Outcome, Refusal
from analytics.identity import identity_merge
from analytics.jobs import enqueue
from analytics.models import ApiKey, Event, ExchangeRate, IdentityEdge, Job, Quarantine, Subject, Tenant
from analytics.tenancy import tenant_context
from kpis.goals.models import Objective
from kpis.models import Annotation, CheckIn, Goal, MetricDefinition, MetricThreshold
from kpis.rollup.refresh import refresh_tenant
from tests.analytics.events import event, write
from tests.api import Caller
from tests.architecture.routes import NOBODYS, Route, api_routes

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
AT = NOW - timedelta(hours=1)
SAME_ID = {"X-Request-ID": "the-same-request"}


def fill(tenant: Tenant, canary: str, amount: int) -> dict[str, Any]:
    """Something in every table that a route shows, each marked; the ids of what was made."""
    fields = (
        "country",
        "platform",
        "campaign",
        "channel",
        "method",
        "tier",
        "reason",
        "object_type",
        "object_id",
        "action",
    )
    marked: dict[str, Any] = {name: f"{canary}-{name}" for name in fields}
    money: dict[str, Any] = {"amount": amount, "currency": tenant.base_currency}
    names = (
        "order_completed",
        "payment_created",
        "payment_settled",
        "payment_failed",
        "item_purchased",
        f"{canary}_event",
    )
    write(
        tenant,
        [
            event(
                tenant,
                f"{canary}-{number}",
                name=name,
                distinct_id=f"{canary}-{who}",
                timestamp=AT,
                received_at=AT,
                session_id=f"{canary}-session",
                properties={f"{canary}-key": f"{canary}-value"},
                duration_ms=float(amount),
                **marked,
                **money,
            )
            for number, (name, who) in enumerate((name, who) for name in names for who in ("ann", "bob"))
        ],
        [
            Refusal(
                tenant_id=tenant.pk,
                outcome=Outcome.QUARANTINED,
                reason=f"{canary}-why",
                received_at=AT,
                name=f"{canary}-odd",
            )
        ],
        now=AT,
    )
    refresh_tenant(tenant.pk, now=NOW)
    job = enqueue(kind="outcomes.compact", tenant_id=tenant.pk, params={"note": canary}, created_by=canary)
    key, _ = api_key_create(tenant_id=tenant.pk, kind="sk", name=f"{canary}-key")
    user = get_user_model().objects.create_user(username=f"{canary}-owner")
    membership_set(tenant_id=tenant.pk, user=user, role="owner")
    with tenant_context(tenant.pk):
        MetricDefinition.objects.create(
            tenant_id=tenant.pk, metric=f"own.{canary}", name=canary, formula="orders.count * 1"
        )
        MetricThreshold.objects.create(
            tenant_id=tenant.pk, metric=f"own.{canary}", warning=amount + 1, critical=amount, updated_at=NOW
        )
        ExchangeRate.objects.create(tenant_id=tenant.pk, day=date(2026, 3, 2), currency="USD", rate=amount)
        subjects = list(Subject.objects.order_by("id").values_list("id", flat=True))
        span = {"first": date(2026, 3, 1), "end": date(2026, 4, 1)}
        objective = Objective.objects.create(tenant_id=tenant.pk, name=f"{canary}-objective", **span)
        goal = Goal.objects.create(
            tenant_id=tenant.pk, name=f"{canary}-goal", metric="orders.count", target=amount, objective=objective,
            **span,
        )  # fmt: skip
        CheckIn.objects.create(tenant_id=tenant.pk, goal=goal, confidence=0.5, note=f"{canary}-check-in")
        note = Annotation.objects.create(tenant_id=tenant.pk, at=AT, title=f"{canary}-note")
        edge = identity_merge(
            tenant_id=tenant.pk, left=subjects[0], right=subjects[1], actor=canary, reason=canary, now=NOW
        )
        return {
            "event_id": Event.objects.values_list("id", flat=True)[0],
            "held_id": Quarantine.objects.values_list("id", flat=True)[0],
            "key_id": key.pk,
            "job_id": job.pk,
            "goal_id": goal.pk,
            "objective_id": objective.pk,
            "annotation_id": note.pk,
            "metric": f"own.{canary}",
            "edge": edge.pk,
            "caller": Caller(TokenPair(user, places_of_user(user)[0]).access),
        }


@pytest.fixture
def worlds(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any) -> dict[str, dict[str, Any]]:
    """Both tenants full; it is 2026-03-03, 12:00 UTC."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    settings.API_RATE_PER_MINUTE = 0
    return {"acme": fill(acme, "aardvark", 111), "globex": fill(globex, "gazelle", 777_777)}


def readable() -> list[Route]:
    return [route for route in api_routes() if "GET" in route.methods]


def test_each_route_shows_ones_own_and_nothing_of_the_neighbour(worlds: dict[str, dict[str, Any]]) -> None:
    shown = ""
    for route in readable():
        mine = {name: worlds["acme"].get(name, NOBODYS[name]) for name in route.arguments}
        for query in (
            "",
            "?period=2026-03&by=country&limit=50",
            "?period=2026-03&granularity=total&by=properties.gazelle-key",
        ):
            answer = worlds["acme"]["caller"].send("GET", route.path(**mine) + query)
            content = answer.getvalue()  # streamed files too
            assert b"gazelle" not in content.replace(b"properties.gazelle-key", b""), (route.name, query)
            assert b"globex" not in content, route.name
            assert b"7777.77" not in content, route.name
            assert b"777777" not in content, route.name
            shown += content.decode(errors="replace")

    # The test sees what is there: each kind of canary of one's own shows somewhere.
    for own in (
        "aardvark-owner",
        "aardvark-key",
        "aardvark-value",
        "aardvark-why",
        "aardvark-country",
        "own.aardvark",
        "aardvark-goal",
        "aardvark-objective",
        "aardvark-check-in",
        "aardvark-note",
        "1.11",
    ):
        assert own in shown, own


def with_arguments() -> list[tuple[Route, str]]:
    return [
        (route, method)
        for route in api_routes()
        for method in route.methods
        if set(route.arguments) - {"period", "action"}
    ]


BODIES: dict[str, Any] = {"definition": {"metric": "own.gazelle", "name": "x", "formula": "orders.count"}}


@pytest.mark.parametrize("case", with_arguments(), ids=lambda case: f"{case[1]} {case[0].name}")
def test_a_foreign_id_is_answered_like_a_missing_one(
    worlds: dict[str, dict[str, Any]], case: tuple[Route, str]
) -> None:
    route, method = case
    api = worlds["acme"]["caller"]
    theirs = {name: worlds["globex"].get(name, NOBODYS[name]) for name in route.arguments}
    missing = {"metric": "own.gazellf"} if "metric" in route.arguments else {}

    foreign, nowhere = (
        api.send(method, route.path(**values), BODIES.get(route.name), headers=SAME_ID) for values in (theirs, missing)
    )

    assert foreign.status_code == nowhere.status_code == 404
    assert foreign.content.replace(b"own.gazelle", b"own.gazellf") == nowhere.content
    assert dict(foreign.items()) | {"Content-Length": ""} == dict(nowhere.items()) | {"Content-Length": ""}


def test_ids_in_bodies_are_no_oracle_either(worlds: dict[str, dict[str, Any]]) -> None:
    api, theirs = worlds["acme"]["caller"], worlds["globex"]
    nobody = str(UUID(int=1))
    pairs = [
        ("identities/unmerge/", {"edge": str(theirs["edge"])}, {"edge": nobody}),
        (
            "identities/merge/",
            {"distinct_id": "gazelle-ann", "other": "x"},
            {"distinct_id": "gazelle-zzz", "other": "x"},
        ),
        ("quarantine/replay/", {"ids": [str(theirs["held_id"])]}, {"ids": [nobody]}),
        ("quarantine/discard/", {"ids": [str(theirs["held_id"])]}, {"ids": [nobody]}),
        ("kpis/calculate/", {"metrics": ["own.gazelle"]}, {"metrics": ["own.gazellf"]}),
    ]

    for path, foreign, missing in pairs:
        answers = [api.send("POST", path, body, headers=SAME_ID) for body in (foreign, missing)]
        assert answers[0].status_code == answers[1].status_code, path
        assert answers[0].content.replace(b"own.gazelle", b"own.gazellf") == answers[1].content, path
    lists = [
        ("events/?event_id=gazelle-0", "events/?event_id=gazelle-x"),
        ("events/gazelle-0/", "events/gazelle-x/"),
        ("events/?user=gazelle-ann", "events/?user=gazelle-x"),
    ]
    for foreign_path, missing_path in [
        *lists,
        ("identities/?distinct_id=gazelle-ann", "identities/?distinct_id=gazelle-x"),
    ]:
        bodies = [api.send("GET", path, headers=SAME_ID).content for path in (foreign_path, missing_path)]
        assert bodies[0] == bodies[1], foreign_path


def test_writes_of_one_tenant_leave_the_other_as_it_was(worlds: dict[str, dict[str, Any]], globex: Tenant) -> None:
    before = snapshot(globex)
    api, theirs = worlds["acme"]["caller"], worlds["globex"]
    for route in api_routes():
        for method in route.methods:
            if method != "GET" and route.name not in ("events", "subject-erase", "scheduler-switch"):
                values = {name: theirs.get(name, NOBODYS[name]) for name in route.arguments}
                api.send(method, route.path(**values), BODIES.get(route.name))
    api.post("quarantine/discard/", {"ids": [str(theirs["held_id"])]})
    api.post("identities/unmerge/", {"edge": str(theirs["edge"])})
    api.post("exchange-rates/", {"rates": [{"day": "2026-03-02", "currency": "USD", "rate": "9"}]})

    assert snapshot(globex) == before


def snapshot(tenant: Tenant) -> str:
    """Every row of the tables that routes may change."""
    models = (
        Annotation,
        ApiKey,
        CheckIn,
        Event,
        ExchangeRate,
        Goal,
        IdentityEdge,
        Job,
        MetricDefinition,
        MetricThreshold,
        Objective,
        Quarantine,
        Subject,
    )
    with tenant_context(tenant.pk):
        rows = {model.__name__: list(model.objects.order_by("pk").values()) for model in models}
    return json.dumps(rows, default=str)
