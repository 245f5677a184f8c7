"""Puts an answer on a board as a card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST
from rest_framework.exceptions import ValidationError

from analytics.access.roles import Scope
from kpis.catalogue import Catalogue
from reports.boards.draft import Card, DraftError, draft_plain, draft_read
from reports.boards.kinds import KINDS
from reports.boards.models import Board
from reports.boards.selectors import NoBoard, Visitor, board_draft, board_found, boards_seen
from reports.boards.services import BoardChanged, BoardError, board_change
from reports.dashboard.doors import scopes_of, tenant_of, tenant_page
from reports.explore.asking import written
from reports.explore.card import NoCard, page_at

MOST_BOARDS = 200


def boards_of(request: HttpRequest) -> list[Board]:
    """The boards that the visitor can put cards on."""
    visitor = _visitor(request)
    return list(boards_seen(visitor=visitor).defer("document")[:MOST_BOARDS]) if visitor.may_edit else []


def keep_form(
    request: HttpRequest, title: str, source: str = "", people: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What `reports/explore/keep_card.html` shows on a page whose address can be a card. `people`: by their words the
    definitions of segments of a source that can be kept."""
    return {
        "boards": boards_of(request),
        "here": request.get_full_path(),
        "card_title": title,
        "may_save": Scope.KPIS_WRITE in scopes_of(request),
        "source": source,
        "definitions": [(written(definition), words) for words, definition in (people or {}).items()],
    }


@require_POST
@tenant_page(Scope.KPIS_WRITE)
def to_board(request: HttpRequest) -> HttpResponse:
    """A card below all others, saved over the newest version."""
    tenant, visitor, now = tenant_of(request), _visitor(request), timezone.now()
    where = request.POST.get("address", "").strip()
    try:
        page_at(where)
    except NoCard:
        raise Http404("There is no such page to make a card of.") from None
    try:
        board = board_found(visitor=visitor, board_id=UUID(request.POST.get("board", "")))
        draft = board_draft(board)
        kind = KINDS["exploration"]
        below = max((card.y + card.h for card in draft.cards), default=1)
        title = request.POST.get("title", "").strip()[:200]
        card = Card(kind.name, title=title, text=where, x=1, y=below, w=kind.width, h=kind.height)
        grown = msgspec.structs.replace(draft, cards=(*draft.cards, card))
        metrics = list(Catalogue(tenant.id))
        checked = draft_read(draft_plain(grown), tenant=tenant, metrics=metrics, now=now)
        board_change(visitor=visitor, board_id=board.pk, draft=checked, version=board.version, now=now)
    except (NoBoard, ValueError) as error:
        if not isinstance(error, DraftError | BoardError):
            raise Http404("There is no such board.") from None
        messages.error(request, f"Not added: {error}")
    except (BoardChanged, ValidationError):
        messages.error(request, "Not added: the board has just changed. Try again.")
    else:
        messages.success(request, "Added as the last card.")
        return redirect("dashboard:board", board.pk)
    return redirect("dashboard:boards")


def _visitor(request: HttpRequest) -> Visitor:
    user: Any = request.user
    return Visitor(tenant_of(request).id, user.pk, user.get_username(), Scope.KPIS_WRITE in scopes_of(request))
