"""Links to boards: made, listed, revoked, and opened by people without an account."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from django.contrib.auth.hashers import check_password, make_password
from django.db.models import F

from reports.boards.models import Board, ShareLink
from reports.boards.selectors import Visitor, board_found, name_of
from reports.boards.services import BoardError
from reports.boards.tokens import Claim, token_write

LONGEST: Final = timedelta(days=366)
DEFAULT_DAYS: Final = 30
MAX_LINKS: Final = 50
MAX_ORIGINS: Final = 10
LEAST_PASSWORD: Final = 8
ORIGIN: Final = re.compile(r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?\Z")
OPENED_EVERY: Final = timedelta(minutes=1)


class LinkClosed(Exception):
    """The link is forged, revoked, expired, or its board is gone: all of them look the same from outside."""


@dataclass(frozen=True, slots=True)
class LinkDraft:
    """What a person decides about a link. `embed_origins` are sites that may show it in a frame."""

    name: str
    expires_at: datetime
    password: str = ""
    is_range_locked: bool = True
    embed_origins: tuple[str, ...] = ()


def share_create(*, visitor: Visitor, board_id: UUID, draft: LinkDraft, now: datetime) -> ShareLink:
    """A new link to a board that the visitor sees. Raises NoBoard, BoardError."""
    board = board_found(visitor=visitor, board_id=board_id)
    _check(draft, now)
    if ShareLink.objects.filter(tenant_id=visitor.tenant_id, board=board, revoked_at=None).count() >= MAX_LINKS:
        raise BoardError("name", f"A board has at most {MAX_LINKS} links: revoke those that nobody uses.")
    return ShareLink.objects.create(
        tenant_id=visitor.tenant_id,
        board=board,
        name=draft.name.strip(),
        password=make_password(draft.password) if draft.password else "",
        is_range_locked=draft.is_range_locked,
        embed_origins=list(origins_read(draft.embed_origins)),
        created_by=name_of(visitor),
        created_at=now,
        expires_at=draft.expires_at,
    )


def share_revoke(*, visitor: Visitor, board_id: UUID, link_id: UUID, now: datetime) -> bool:
    """Close a link for good; False when there is none. Raises NoBoard."""
    board = board_found(visitor=visitor, board_id=board_id)
    open_links = ShareLink.objects.filter(tenant_id=visitor.tenant_id, board=board, pk=link_id)
    return bool(open_links.filter(revoked_at=None).update(revoked_at=now)) or open_links.exists()


def share_opened(*, claim: Claim, now: datetime) -> tuple[ShareLink, Board]:
    """The link and its board, while it is open, and a note that somebody came. Raises LinkClosed.

    To be called inside the tenant's context.
    """
    rows = ShareLink.objects.filter(tenant_id=claim.tenant_id, pk=claim.link_id, revoked_at=None, expires_at__gt=now)
    link = rows.select_related("board").first()
    if link is None:
        raise LinkClosed
    if link.opened_at is None or now - link.opened_at >= OPENED_EVERY:  # a wall of screens must not write all day
        rows.update(opened_at=now, opened=F("opened") + 1)
    return link, link.board


def password_fits(link: ShareLink, password: str) -> bool:
    """Whether the password opens the link."""
    return check_password(password, link.password)


def share_path(link: ShareLink) -> str:
    """The address of the link on this server."""
    return f"/shared/{token_write(tenant_id=link.tenant_id, link_id=link.pk)}/"


def state_of(link: ShareLink, now: datetime) -> str:
    """open, expired or revoked."""
    if link.revoked_at is not None:
        return "revoked"
    return "open" if link.expires_at > now else "expired"


def origins_read(texts: Sequence[str]) -> tuple[str, ...]:
    """Origins as a browser compares them. Raises BoardError for what is none."""
    found = tuple(dict.fromkeys(text.strip().lower().rstrip("/") for text in texts if text.strip()))
    if len(found) > MAX_ORIGINS:
        raise BoardError("embed_origins", f"At most {MAX_ORIGINS} sites may embed one link.")
    for text in found:
        if not ORIGIN.match(text) or not urlsplit(text).hostname:
            raise BoardError(
                "embed_origins", f"{text[:80]!r} is no origin: write https://www.example.org, without a path."
            )
    return found


def _check(draft: LinkDraft, now: datetime) -> None:
    if not draft.name.strip() or len(draft.name) > 100 or "\x00" in draft.name:
        raise BoardError("name", "Name the link (up to 100 characters) after those who get it.")
    if not now < draft.expires_at <= now + LONGEST:
        raise BoardError("expires_at", "A link expires between now and a year from now.")
    if draft.password and not LEAST_PASSWORD <= len(draft.password) <= 200:
        raise BoardError("password", f"A password has {LEAST_PASSWORD} to 200 characters.")
