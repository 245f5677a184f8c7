"""Writes of boards. Whoever changes one says which version they saw; nobody overwrites another's work unseen."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F

from reports.boards.draft import Draft, draft_plain, draft_settled
from reports.boards.models import Board
from reports.boards.selectors import NoBoard, Visitor, board_draft, board_found, boards_seen, name_of

HEAD = ("title", "description", "visibility")


class BoardError(ValueError):
    """The board cannot be kept like that; `field` is the one at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class BoardChanged(Exception):
    """Somebody else saved the board meanwhile; `board` is as it is now."""

    def __init__(self, board: Board) -> None:
        super().__init__(f"{board.changed_by or 'Somebody'} changed this board meanwhile (version {board.version}).")
        self.board = board


def board_create(*, visitor: Visitor, draft: Draft, now: datetime) -> Board:
    """A new board of the visitor. Raises BoardError."""
    _check_owner(visitor, draft, visitor.user_id)
    return Board.objects.create(
        tenant_id=visitor.tenant_id,
        owner_id=visitor.user_id,
        changed_by=name_of(visitor),
        created_at=now,
        updated_at=now,
        **_columns(draft),
    )


def board_change(*, visitor: Visitor, board_id: UUID, draft: Draft, version: int, now: datetime) -> Board:
    """Save over `version`. Raises NoBoard, BoardError, and BoardChanged when that is not the newest any more."""
    board = board_found(visitor=visitor, board_id=board_id)
    _check_owner(visitor, draft, board.owner_id)
    saved = Board.objects.filter(tenant_id=visitor.tenant_id, pk=board.pk, version=version).update(
        **_columns(draft), version=F("version") + 1, changed_by=name_of(visitor), updated_at=now
    )
    found = board_found(visitor=visitor, board_id=board_id)
    if not saved:
        raise BoardChanged(found)
    return found


def board_duplicate(*, visitor: Visitor, board_id: UUID, now: datetime) -> Board:
    """A copy that belongs to the visitor, seen as the first one is. Raises NoBoard."""
    draft = board_draft(board_found(visitor=visitor, board_id=board_id))
    title = f"{draft.title[:190]} (copy)"
    return board_create(
        visitor=visitor,
        draft=type(draft)(title, draft.description, draft.visibility, draft.query, draft.cards),
        now=now,
    )


def board_delete(*, visitor: Visitor, board_id: UUID, version: int | None = None) -> None:
    """Take it away with its links. Raises NoBoard, and BoardChanged when `version` is not the newest any more."""
    board = board_found(visitor=visitor, board_id=board_id)
    if version is not None and board.version != version:
        raise BoardChanged(board)
    board.delete()


def board_import(*, visitor: Visitor, draft: Draft, now: datetime) -> tuple[Board, bool]:
    """The board of that title as the file has it: changed where there is one that is seen, else made (True)."""
    known = boards_seen(visitor=visitor).filter(title=draft.title).first()
    if known is None:
        return board_create(visitor=visitor, draft=draft, now=now), True
    return board_change(visitor=visitor, board_id=known.pk, draft=draft, version=known.version, now=now), False


def _columns(draft: Draft) -> dict[str, Any]:
    plain = draft_plain(draft_settled(draft))
    return {
        **{name: plain.pop(name, "") for name in HEAD},
        "document": {"query": plain.get("query", {}), "cards": plain.get("cards", [])},
    }


def _check_owner(visitor: Visitor, draft: Draft, owner_id: int | None) -> None:
    if draft.visibility != Board.Visibility.PRIVATE:
        return
    if owner_id is None:
        raise BoardError("visibility", "A private board belongs to a person; this one has none, so it is the team's.")
    if owner_id != visitor.user_id:
        raise BoardError("visibility", "Only the owner of a board can make it private.")


__all__ = [
    "BoardChanged",
    "BoardError",
    "NoBoard",
    "board_change",
    "board_create",
    "board_delete",
    "board_duplicate",
    "board_import",
]
