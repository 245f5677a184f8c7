"""What members keep (boards, links, segments) is as missing for a neighbour as what never was, on every route."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.models import PeopleSegment
from reports.boards.models import Board, ShareLink
from tests.api import Caller, caller
from tests.architecture.routes import NOBODYS, Route, api_routes

SAME_ID = {"X-Request-ID": "the-same-request", "If-Match": '"1"'}
KEPT = {"board_id", "link_id", "segment_id"}
BOARD = {"title": "Sales", "cards": [{"kind": "text", "text": "x"}]}


def kept(tenant: Tenant, canary: str) -> dict[str, Any]:
    """A board with a link, and a segment; their ids."""
    now = timezone.now()
    with tenant_context(tenant.pk):
        board = Board.objects.create(
            tenant_id=tenant.pk, title=f"{canary}-board", document={"cards": []}, created_at=now, updated_at=now
        )
        link = ShareLink.objects.create(
            tenant_id=tenant.pk, board=board, name=f"{canary}-link", created_at=now, expires_at=now + timedelta(days=9)
        )
        segment = PeopleSegment.objects.create(
            tenant_id=tenant.pk, name=f"{canary}-segment", source="measure", definition={}, created_at=now
        )
    return {"board_id": board.pk, "link_id": link.pk, "segment_id": segment.pk}


@pytest.fixture
def worlds(acme: Tenant, globex: Tenant, settings: Any) -> dict[str, Any]:
    settings.API_RATE_PER_MINUTE = 0
    return {"api": caller(acme), "mine": kept(acme, "aardvark"), "theirs": kept(globex, "gazelle")}


def cases() -> list[tuple[Route, str]]:
    return [(route, method) for route in api_routes() for method in route.methods if KEPT & set(route.arguments)]


def test_every_kind_of_id_of_the_api_is_tried_somewhere() -> None:
    """Those that are not kept here are tried by `test_api_isolation`; subjects and metrics are numbered by tenant."""
    tried = {"event_id", "held_id", "key_id", "job_id", "goal_id", "objective_id", "annotation_id", "metric"}

    assert {name for route in api_routes() for name in route.arguments} - KEPT - tried == {
        "subject",
        "period",
        "action",
    }


@pytest.mark.django_db
@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case[1]} {case[0].name}")
def test_a_neighbours_thing_is_answered_like_a_missing_one(worlds: dict[str, Any], case: tuple[Route, str]) -> None:
    route, method = case
    foreign, missing = (
        worlds["api"].send(method, route.path(**ids), BOARD, headers=SAME_ID) for ids in (worlds["theirs"], NOBODYS)
    )

    assert foreign.status_code == missing.status_code == 404
    assert foreign.content == missing.content


@pytest.mark.django_db
def test_a_neighbours_link_below_ones_own_board_is_missing_too(worlds: dict[str, Any]) -> None:
    board, link = worlds["mine"]["board_id"], worlds["theirs"]["link_id"]
    answers = [
        worlds["api"].send("DELETE", f"boards/{board}/links/{each}/", headers=SAME_ID)
        for each in (link, UUID(int=7), worlds["mine"]["link_id"])
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 204]
    assert answers[0].content == answers[1].content


@pytest.mark.django_db
def test_lists_and_overlaps_hold_nothing_of_the_neighbour(worlds: dict[str, Any], globex: Tenant) -> None:
    api: Caller = worlds["api"]
    own, theirs = worlds["mine"]["segment_id"], worlds["theirs"]["segment_id"]
    pages = [api.get("boards/"), api.get("segments/"), api.get(f"boards/{worlds['mine']['board_id']}/links/")]
    overlaps = [
        api.send("GET", f"segments/{own}/overlap/?with={other}", headers=SAME_ID) for other in (theirs, UUID(int=7))
    ]

    assert all(b"aardvark" in page.content and b"gazelle" not in page.content for page in pages)
    assert [answer.status_code for answer in overlaps] == [400, 400]
    assert overlaps[0].content == overlaps[1].content
    with tenant_context(globex.pk):
        assert (Board.objects.count(), ShareLink.objects.filter(revoked_at=None).count()) == (1, 1)
        assert PeopleSegment.objects.count() == 1
