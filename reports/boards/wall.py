"""Boards on a wall: one after the other, each as long as the address says."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from reports.boards.models import Board
from reports.boards.selectors import Visitor, boards_seen
from reports.dashboard.context import kiosk_of


def wall_context(request: HttpRequest, visitor: Visitor, row: Board) -> dict[str, Any]:
    """How long a board stays, and which one comes next."""
    seconds = kiosk_of(request).seconds
    ids = list(boards_seen(visitor=visitor).values_list("pk", flat=True))
    after = ids[(ids.index(row.pk) + 1) % len(ids)] if row.pk in ids else row.pk
    return {"seconds": seconds, "next": f"{reverse('dashboard:board', args=[after])}?kiosk=1&seconds={seconds}"}


def wall_address(request: HttpRequest, row: Board) -> str:
    """Where a board is alone on a screen."""
    return f"{reverse('dashboard:board', args=[row.pk])}?kiosk=1&seconds={request.GET.get('seconds', '')[:5]}"
