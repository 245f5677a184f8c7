"""API keys: their form, and a ring that knows the valid ones.

Form: `pk_` or `sk_`, then 43 characters base62 (32 random bytes), then 6 characters base62 (CRC-32 of all before).
The checksum tells a typo from a stranger without asking the database. Only the SHA-256 digest is stored: with 256
random bits a slow hash protects nothing and would cost every request (RELIABILITY.md S5).
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from analytics.contracts import TenantInfo
from analytics.tenancy import tenant_info

logger = logging.getLogger(__name__)

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ALPHABET_SET: Final = frozenset(ALPHABET)
KINDS: Final = frozenset({"pk", "sk"})
SECRET_LENGTH: Final = 43
CHECKSUM_LENGTH: Final = 6
TOKEN_LENGTH: Final = 3 + SECRET_LENGTH + CHECKSUM_LENGTH
PREFIX_LENGTH: Final = 11

CACHE_SECONDS: Final = 5.0
CACHE_SIZE: Final = 10_000
TOUCH_SECONDS: Final = 60.0

LOOKUP: Final = """
SELECT key_id, kind, scopes, expires_at, tenant_id, slug, zone, base_currency, week_start, settings
  FROM bw_api_key_lookup(%s)
 WHERE revoked_at IS NULL
"""
TOUCH: Final = "SELECT bw_api_key_touch(%s, %s)"


class KeysUnavailable(Exception):
    """The database cannot be asked just now. Trying again helps; a caller answers 503."""


class KeyInfo(msgspec.Struct, frozen=True, gc=False):
    """A verified credential: whose it is and what it may do. `kind` is pk, sk, jwt or session."""

    tenant: TenantInfo
    kind: str
    scopes: frozenset[str]
    key_id: UUID | None = None
    user_id: int | None = None
    role: str = ""
    expires_at: datetime | None = None

    @property
    def actor(self) -> str:
        """Who acted, as written into audit and job rows; never the secret."""
        return f"user:{self.user_id}" if self.user_id is not None else f"key:{self.key_id}"


class KeyRow(msgspec.Struct, frozen=True):
    """What the database knows of a digest."""

    key_id: UUID
    kind: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    tenant: TenantInfo


Row = tuple[Any, ...]
Lookup = Callable[[bytes], KeyRow | None]
Touch = Callable[[list[UUID]], None]


def token_mint(kind: str) -> str:
    """A new token of `kind` (pk or sk)."""
    if kind not in KINDS:
        raise ValueError(f"key kind must be pk or sk, not {kind!r}")
    body = f"{kind}_{_base62(int.from_bytes(secrets.token_bytes(32)), SECRET_LENGTH)}"
    return body + _checksum(body)


def token_digest(token: str) -> bytes | None:
    """SHA-256 of a well-formed token; None when it cannot be one of ours (form or checksum)."""
    if len(token) != TOKEN_LENGTH or token[2] != "_" or token[:2] not in KINDS:
        return None
    if not ALPHABET_SET.issuperset(token[3:]):
        return None
    body = token[:-CHECKSUM_LENGTH]
    if not secrets.compare_digest(_checksum(body), token[-CHECKSUM_LENGTH:]):
        return None
    return hashlib.sha256(token.encode()).digest()


def token_prefix(token: str) -> str:
    """The part of a token that may be shown in lists and logs: kind and eight characters."""
    return token[:PREFIX_LENGTH]


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_LENGTH)


class KeyRing:
    """Finds keys by token, remembering answers (also "unknown") for at most five seconds.

    Safe for threads. `find` may block on the database for a miss; an event loop asks `peek` first and sends only
    misses to a thread. Revocation is therefore seen within five seconds, expiry at once.
    """

    MISS: Final = object()

    def __init__(
        self,
        lookup: Lookup,
        touch: Touch | None = None,
        *,
        cache_seconds: float = CACHE_SECONDS,
        cache_size: int = CACHE_SIZE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lookup = lookup
        self._touch = touch
        self._cache_seconds = cache_seconds
        self._cache_size = cache_size
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, tuple[float, KeyInfo | None]] = OrderedDict()
        self._used: set[UUID] = set()
        self._touch_after = clock() + TOUCH_SECONDS

    def peek(self, token: str) -> KeyInfo | object | None:
        """The remembered answer without blocking: a key, None for a bad one, or `KeyRing.MISS`."""
        digest = token_digest(token)
        if digest is None:
            return None
        with self._lock:
            entry = self._known.get(digest)
            if entry is None or entry[0] <= self._clock():
                return self.MISS
            return self._use(entry[1])

    def find(self, token: str) -> KeyInfo | None:
        """The key of `token`, or None. Raises `KeysUnavailable` when the database does not answer."""
        known = self.peek(token)
        if known is not self.MISS:
            self._touch_when_due()
            return known  # type: ignore[return-value]  # peek returns MISS or this
        digest = token_digest(token)
        assert digest is not None
        row = self._lookup(digest)
        info = None if row is None else _info(row)
        with self._lock:
            self._remember(digest, info)
            info = self._use(info)
        self._touch_when_due()
        return info

    def forget(self) -> None:
        """Forget every remembered answer (after a revocation in this process, and in tests)."""
        with self._lock:
            self._known.clear()

    def close(self) -> None:
        """Write the last uses that are still waiting."""
        self._touch_after = self._clock()
        self._touch_when_due()

    def _use(self, info: KeyInfo | None) -> KeyInfo | None:
        if info is None or info.key_id is None:
            return None
        if info.expires_at is not None and info.expires_at <= datetime.now(UTC):
            return None
        self._used.add(info.key_id)
        return info

    def _remember(self, digest: bytes, info: KeyInfo | None) -> None:
        # Oldest first out: a flood of well-formed strangers can push out neighbours, never grow memory.
        self._known[digest] = (self._clock() + self._cache_seconds, info)
        self._known.move_to_end(digest)
        while len(self._known) > self._cache_size:
            self._known.popitem(last=False)

    def _touch_when_due(self) -> None:
        with self._lock:
            if self._touch is None or self._clock() < self._touch_after or not self._used:
                return
            used, self._used = sorted(self._used), set()
            self._touch_after = self._clock() + TOUCH_SECONDS
        try:
            self._touch(used)
        except KeysUnavailable:
            logger.warning("last use of %d API keys was not recorded", len(used))


def _info(row: KeyRow) -> KeyInfo:
    return KeyInfo(
        tenant=row.tenant,
        kind=row.kind,
        scopes=frozenset(row.scopes),
        key_id=row.key_id,
        expires_at=row.expires_at,
    )


def key_row(row: Row) -> KeyRow:
    """A row of `LOOKUP`, typed."""
    key_id, kind, scopes, expires_at = row[:4]
    return KeyRow(key_id, kind, tuple(scopes), expires_at, tenant_info(row[4:]))


class DirectKeys:
    """Key look-ups over one own psycopg connection, for processes that never start Django's ORM."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    def lookup(self, digest: bytes) -> KeyRow | None:
        """The row of a digest, by the definer function that alone may look across tenants."""
        row = self._one(LOOKUP, (digest,))
        return None if row is None else key_row(row)

    def touch(self, key_ids: Iterable[UUID]) -> None:
        """Set `last_used_at` of keys to now."""
        self._one(TOUCH, (list(key_ids), datetime.now(UTC)))

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _one(self, sql: str, parameters: tuple[Any, ...]) -> Row | None:
        with self._lock:
            try:
                return self._ask(sql, parameters)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                self._drop()  # a connection that died while idle is worth one new try
            try:
                return self._ask(sql, parameters)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self._drop()
                raise KeysUnavailable(str(error)) from error

    def _ask(self, sql: str, parameters: tuple[Any, ...]) -> Row | None:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._conninfo, autocommit=True, connect_timeout=2, options="-c statement_timeout=2000"
            )
        return self._connection.execute(sql, parameters).fetchone()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
