"""Annotations: written by CI and by people, shown on the charts they concern."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from analytics.models import Tenant
from kpis.annotations import annotations_between
from tests.api import caller, problem

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_ci_writes_a_deploy_down_with_two_words(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOON)
    answer = caller(acme).post("annotations/", {"kind": "deploy", "title": "v1.4.2"})

    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert (body["at"], body["until"], body["title"], body["metric"]) == ("2026-03-02T12:00:00Z", None, "v1.4.2", "")
    assert body["author"].startswith("key:")
    (seen,) = annotations_between(tenant_id=acme.pk, start=NOON - HOUR, end=NOON + HOUR)
    assert (seen.kind, seen.title, seen.at) == ("deploy", "v1.4.2", NOON)
    assert annotations_between(tenant_id=globex.pk, start=NOON - HOUR, end=NOON + HOUR) == ()


def test_what_lasts_shows_wherever_it_touches(acme: Tenant, globex: Tenant) -> None:
    """A campaign from ten to two shows in the hour after one, not in the hour after three."""
    api = caller(acme)
    times = {"at": "2026-03-02T10:00:00Z", "until": "2026-03-02T14:00:00Z"}
    api.post("annotations/", {"kind": "campaign", "title": "Spring", **times})
    api.post(
        "annotations/", {"kind": "price", "title": "Dearer", "at": "2026-03-02T13:30:00Z", "metric": "orders.count"}
    )

    def titles(**asked: Any) -> list[str]:
        return [row["title"] for row in api.get("annotations/", **asked).json()["results"]]

    afternoon = {"from_": "2026-03-02T13:00:00Z", "to": "2026-03-02T14:00:00Z"}
    assert titles(**afternoon) == ["Dearer", "Spring"]
    assert titles(from_="2026-03-02T15:00:00Z", to="2026-03-02T16:00:00Z") == []
    assert titles(**afternoon, kind="campaign") == ["Spring"]
    assert titles(**afternoon, metric="revenue.gross") == ["Spring"]
    assert titles(**afternoon, metric="orders.count") == ["Dearer", "Spring"]


def test_an_incident_ends_and_a_mistake_goes(acme: Tenant, globex: Tenant) -> None:
    api = caller(acme)
    body = {"kind": "incident", "title": "Down", "at": "2026-03-02T10:00:00Z"}
    address = f"annotations/{api.post('annotations/', body).json()['id']}/"

    changed = api.send("PATCH", address, {"until": "2026-03-02T11:00:00Z"})
    assert (changed.status_code, changed.json()["until"], changed.json()["title"]) == (
        200, "2026-03-02T11:00:00Z", "Down",
    )  # fmt: skip
    assert caller(globex).send("PATCH", address, {"title": "x"}).status_code == 404
    assert caller(globex).send("DELETE", address).status_code == 404
    assert api.send("DELETE", address).status_code == 204
    assert api.get("annotations/").json()["count"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": " "}, "title"),
        ({"kind": "party"}, "kind"),
        ({"at": "2026-03-02T10:00:00Z", "until": "2026-03-02T09:00:00Z"}, "until"),
        ({"at": "0001-01-01T00:00:00Z"}, "at"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"metric": "nobody.knows"}, "metric"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_nonsense_is_refused_by_its_field(acme: Tenant, body: dict[str, str], field: str) -> None:
    answer = caller(acme).post("annotations/", {"kind": "note", "title": "x", **body})

    assert answer.status_code == 400
    assert {error["field"] for error in problem(answer)["errors"]} == {field}
