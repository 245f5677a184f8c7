"""Reads of boards and links. A board that somebody may not see is not there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Count, Q, QuerySet

from analytics.access.keys import KeyInfo
from analytics.access.roles import Scope
from reports.boards.draft import Draft, draft_shape
from reports.boards.models import Board, ShareLink


class NoBoard(LookupError):
    """There is no board of that id for this visitor."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks. A key has no `user_id`, so it sees the team's boards."""

    tenant_id: int
    user_id: int | None
    actor: str
    may_edit: bool


def visitor_of(credential: KeyInfo) -> Visitor:
    """The visitor behind a credential of the API."""
    return Visitor(credential.tenant.id, credential.user_id, credential.actor, Scope.KPIS_WRITE in credential.scopes)


def name_of(visitor: Visitor) -> str:
    """What others read of whoever changed something."""
    if visitor.user_id is None:
        return "an API key"
    found = get_user_model().objects.filter(pk=visitor.user_id).values_list("username", flat=True).first()
    return found or visitor.actor


def boards_seen(*, visitor: Visitor) -> QuerySet[Board]:
    """The team's boards and the visitor's own, by title."""
    seen = Q(visibility=Board.Visibility.TEAM)
    if visitor.user_id is not None:
        seen |= Q(owner_id=visitor.user_id)
    return Board.objects.filter(seen, tenant_id=visitor.tenant_id).order_by("title", "id")


def boards_listed(*, visitor: Visitor, now: datetime) -> QuerySet[Board]:
    """As `boards_seen`, with their owners and the number of links (`open_links`) that still open them."""
    is_open = Q(links__revoked_at=None, links__expires_at__gt=now)
    return boards_seen(visitor=visitor).select_related("owner").annotate(open_links=Count("links", filter=is_open))


def board_found(*, visitor: Visitor, board_id: UUID) -> Board:
    """One board. Raises NoBoard, for a foreign one as for a missing one."""
    board = boards_seen(visitor=visitor).filter(pk=board_id).select_related("owner").first()
    if board is None:
        raise NoBoard
    return board


def board_draft(board: Board) -> Draft:
    """What the board says."""
    own = {"title": board.title, "description": board.description, "visibility": board.visibility}
    return draft_shape({**board.document, **own})


def links_of(*, visitor: Visitor, board_id: UUID) -> QuerySet[ShareLink]:
    """The links of one board, newest first. Raises NoBoard."""
    board = board_found(visitor=visitor, board_id=board_id)
    return ShareLink.objects.filter(tenant_id=visitor.tenant_id, board=board).order_by("-created_at")
