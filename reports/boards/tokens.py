"""Addresses of share links: signed, so that a forged one is refused before the database is asked.

A token is `base64url(tenant, link) + MAC`. It names its tenant, so that the link is looked up behind the wall of that
tenant and nowhere else; the MAC is of a key that only this purpose has.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.conf import settings

PURPOSE: Final = b"bellwether.share.v1:"
HEAD_BYTES: Final = 20
MAC_BYTES: Final = 24
LENGTH: Final = 59  # of 44 bytes in base64 without padding


@dataclass(frozen=True, slots=True)
class Claim:
    """What a genuine token names."""

    tenant_id: int
    link_id: UUID


def token_write(*, tenant_id: int, link_id: UUID) -> str:
    """The token of a link, the same each time."""
    head = tenant_id.to_bytes(4) + link_id.bytes
    return base64.urlsafe_b64encode(head + _mac(head)).decode().rstrip("=")


def token_read(token: str) -> Claim | None:
    """The claim of a genuine token, None for any other text."""
    if len(token) != LENGTH or not token.isascii():
        return None
    try:
        raw = base64.b64decode(token + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    head, mac = raw[:HEAD_BYTES], raw[HEAD_BYTES:]
    if not hmac.compare_digest(mac, _mac(head)):
        return None
    return Claim(int.from_bytes(head[:4]), UUID(bytes=head[4:]))


def pass_write(*, link_id: UUID, password_hash: str) -> str:
    """What a visitor's cookie holds after the password was right; void as soon as the password changes."""
    return hmac.new(_key(), b"pass" + link_id.bytes + password_hash.encode(), hashlib.sha256).hexdigest()


def _mac(head: bytes) -> bytes:
    return hmac.new(_key(), head, hashlib.sha256).digest()[:MAC_BYTES]


def _key() -> bytes:
    return hashlib.sha256(PURPOSE + settings.SECRET_KEY.encode()).digest()
