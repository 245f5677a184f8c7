"""What a demo tenant has of boards: the one that most teams begin with."""

from __future__ import annotations

from typing import Final

from analytics.demo.furnishing import Furnishing, Room, furnishings

BOARDS: Final = ("sales", "people")


def boards_put(room: Room) -> None:
    """The team's first boards, unless there are any."""
    from analytics.tenancy import tenant_context
    from kpis.catalogue import Catalogue
    from reports.boards.draft import draft_read
    from reports.boards.models import Board
    from reports.boards.selectors import Visitor
    from reports.boards.services import board_create
    from reports.boards.starters import STARTERS

    visitor = Visitor(tenant_id=room.tenant.id, user_id=None, actor="demo", may_edit=True)
    with tenant_context(room.tenant.id):
        if Board.objects.filter(tenant_id=room.tenant.id).exists():
            return
        metrics = frozenset(Catalogue(room.tenant.id))
        for name in BOARDS:
            draft = draft_read(STARTERS[name], tenant=room.tenant, metrics=metrics, now=room.now)
            board_create(visitor=visitor, draft=draft, now=room.now)


furnishings.register(Furnishing("boards", boards_put))
