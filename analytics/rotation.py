"""Replacing the key of sensitive fields: everything that an older key has sealed is sealed again under the first.

What is done says so itself (each seal names its key), so that a killed rotation is simply run again, and rows that
change meanwhile are left to whoever changes them. Values of a person are not touched: only its wrapped key is.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from django.db import connections

from analytics.sealing import SealBroken, keyring, unseal
from analytics.tenancy import tenant_context, tenants
from analytics.writing import rows

BATCH: Final = 1_000
Told = Callable[[str, str, int], None]


class WrongOrder(Exception):
    """The last key is not the one that made the digests: people would not be found by their ids."""


@dataclass(slots=True)
class Rotation:
    """Values by store: sealed again (or to be), and those that none of the keys opens."""

    is_dry_run: bool
    changed: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Store:
    """A column with seals. `find` gives batches of rows (key columns …, seal, context parts …) that are not under the
    first key; `change` puts a new seal where the old one still is.
    """

    name: str
    find: str
    change: str
    first: tuple[Any, ...]
    again: Callable[[int, tuple[Any, ...]], bytes | str]


NIL: Final = UUID(int=0)


def _subject(tenant: int, row: tuple[Any, ...]) -> bytes:
    return keyring().wrap(tenant, keyring().unwrap(tenant, row[-1]))


def _bytes(context: bytes) -> Callable[[int, tuple[Any, ...]], bytes]:
    def again(tenant: int, row: tuple[Any, ...]) -> bytes:
        return sealed_again(tenant, bytes(row[-1]), context)

    return again


def _event(tenant: int, row: tuple[Any, ...]) -> str:
    return _text_again(tenant, str(row[-1]), b"event:" + rows.dedupe_key(row[2]))


def sealed_again(tenant_id: int, sealed: bytes, context: bytes) -> bytes:
    """The same under the first key. Raises SealBroken."""
    ring = keyring()
    return ring.seal(tenant_id, ring.unseal(tenant_id, sealed, context=context), context=context)


def _text_again(tenant_id: int, text: str, context: bytes) -> str:
    try:
        sealed = base64.b64decode(text, validate=True)
    except ValueError:
        raise SealBroken("no seal, but a property of that name") from None
    return base64.b64encode(sealed_again(tenant_id, sealed, context)).decode()


STORES: Final = (
    Store(
        "subject_keys",
        """
        SELECT id, wrapped_key FROM bw_subject
         WHERE tenant_id = %(tenant)s AND id > %(after0)s AND substr(wrapped_key, 1, 5) <> %(mark)s
         ORDER BY id LIMIT %(limit)s
        """,
        """
        UPDATE bw_subject SET wrapped_key = %(new)s
         WHERE tenant_id = %(tenant)s AND id = %(key0)s AND wrapped_key = %(old)s
        """,
        (0,),
        _subject,
    ),
    Store(
        "quarantine",
        """
        SELECT id, payload FROM bw_quarantine
         WHERE tenant_id = %(tenant)s AND id > %(after0)s AND payload <> '' AND substr(payload, 1, 5) <> %(mark)s
         ORDER BY id LIMIT %(limit)s
        """,
        """
        UPDATE bw_quarantine SET payload = %(new)s
         WHERE tenant_id = %(tenant)s AND id = %(key0)s AND payload = %(old)s
        """,
        (NIL,),
        _bytes(b"quarantine"),
    ),
    Store(
        "kept_answers",
        """
        SELECT id, answer FROM bw_idempotent_answer
         WHERE tenant_id = %(tenant)s AND id > %(after0)s AND answer <> '' AND substr(answer, 1, 5) <> %(mark)s
         ORDER BY id LIMIT %(limit)s
        """,
        """
        UPDATE bw_idempotent_answer SET answer = %(new)s
         WHERE tenant_id = %(tenant)s AND id = %(key0)s AND answer = %(old)s
        """,
        (0,),
        _bytes(b"answer"),
    ),
    Store(
        # Of nobody: those of a person are sealed with the person's own key.
        "events",
        """
        SELECT ts, id, event_id, properties ->> '$sealed' FROM bw_event
         WHERE tenant_id = %(tenant)s AND (ts, id) > (%(after0)s, %(after1)s) AND subject_id IS NULL
           AND properties ? '$sealed' AND left(properties ->> '$sealed', 6) <> %(text_mark)s
         ORDER BY ts, id LIMIT %(limit)s
        """,
        """
        UPDATE bw_event SET properties = jsonb_set(properties, '{$sealed}', to_jsonb(%(new)s::text))
         WHERE tenant_id = %(tenant)s AND ts = %(key0)s AND id = %(key1)s AND properties ->> '$sealed' = %(old)s
        """,
        ("-infinity", NIL),
        _event,
    ),
)
ANYBODY: Final = """
SELECT i.digest, i.sealed_id, s.wrapped_key FROM bw_identity i
  JOIN bw_subject s ON s.tenant_id = i.tenant_id AND s.id = i.subject_id
 WHERE i.tenant_id = %s AND s.wrapped_key IS NOT NULL LIMIT 1
"""
GROUPS: Final = "SELECT id, traits FROM bw_group WHERE tenant_id = %s AND traits::text LIKE '%%$sealed%%' ORDER BY id"
GROUP: Final = "UPDATE bw_group SET traits = %s::jsonb WHERE tenant_id = %s AND id = %s AND traits = %s::jsonb"


def encryption_rotate(*, dry_run: bool = False, told: Told = lambda *_: None, using: str = "default") -> Rotation:
    """Seal everything of every tenant under the first key. `told` hears tenant, store and rows after each batch.

    Raises WrongOrder before anything is changed.
    """
    digests_check(using=using)
    done = Rotation(dry_run)
    for tenant in tenants(using=using):
        for store in STORES:
            for changed in _rotated(tenant.id, store, done, using):
                told(tenant.slug, store.name, changed)
        _rotate_groups(tenant.id, done, using)
        told(tenant.slug, "groups", done.changed["groups"])
    return done


def old_keys_used(*, using: str = "default") -> Counter[str]:
    """Stores in which something is sealed under another key than the first, with at most one batch of each tenant's."""
    found: Counter[str] = Counter()
    for tenant in tenants(using=using):
        with tenant_context(tenant.id, using=using), connections[using].cursor() as cursor:
            for store in STORES:
                cursor.execute(store.find, _places("after", store.first) | _common(tenant.id))
                found[store.name] += len(cursor.fetchall())
    return +found


def digests_check(*, using: str = "default") -> None:
    """Find one person of each tenant by its own id. Raises WrongOrder."""
    ring = keyring()
    for tenant in tenants(using=using):
        with tenant_context(tenant.id, using=using), connections[using].cursor() as cursor:
            cursor.execute(ANYBODY, [tenant.id])
            row = cursor.fetchone()
        if row is None:
            continue
        try:
            plain = unseal(ring.unwrap(tenant.id, row[2]), bytes(row[1]), context=b"distinct_id")
        except SealBroken:
            raise WrongOrder(f"no key in FIELD_ENCRYPTION_KEY opens what {tenant.slug} has stored") from None
        if UUID(bytes=ring.digest(tenant.id, plain.decode("utf-8", "surrogatepass"))) != row[0]:
            raise WrongOrder(f"people of {tenant.slug} are not found: put the oldest key last")


def _rotated(tenant_id: int, store: Store, done: Rotation, using: str) -> Iterator[int]:
    after = store.first
    while True:
        with tenant_context(tenant_id, using=using), connections[using].cursor() as cursor:
            common = _common(tenant_id)
            cursor.execute(store.find, _places("after", after) | common)
            batch = cursor.fetchall()
            for row in batch:
                new = _again(tenant_id, store, row, done)
                if new is None:
                    continue
                if not done.is_dry_run:
                    cursor.execute(store.change, {**_places("key", row[:2]), **common, "new": new, "old": row[-1]})
                done.changed[store.name] += 1
        if not batch:
            return
        after = batch[-1][: len(store.first)]
        yield done.changed[store.name]


def _again(tenant_id: int, store: Store, row: tuple[Any, ...], done: Rotation) -> bytes | str | None:
    try:
        return store.again(tenant_id, row)
    except SealBroken:
        done.unreadable[store.name] += 1
        return None


def _rotate_groups(tenant_id: int, done: Rotation, using: str) -> None:
    """Groups are few, and each holds seals among plain traits."""
    with tenant_context(tenant_id, using=using), connections[using].cursor() as cursor:
        cursor.execute(GROUPS, [tenant_id])
        for id_, raw in cursor.fetchall():
            before = json.loads(raw) if isinstance(raw, str) else raw
            after = {name: _trait(tenant_id, value, done) for name, value in before.items()}
            if after == before:
                continue
            done.changed["groups"] += 1
            if not done.is_dry_run:
                cursor.execute(GROUP, [json.dumps(after), tenant_id, id_, json.dumps(before)])


def _trait(tenant_id: int, value: Any, done: Rotation) -> Any:
    if not isinstance(value, dict) or list(value) != ["$sealed"]:
        return value
    text = str(value["$sealed"])
    if text.startswith(text_mark()):
        return value
    try:
        return {"$sealed": _text_again(tenant_id, text, b"group")}
    except SealBroken:
        done.unreadable["groups"] += 1
        return value


def text_mark() -> str:
    """How a seal under the first key begins in base64: as much as does not depend on what follows."""
    return base64.b64encode(keyring().mark).decode()[:6]


def _common(tenant_id: int) -> dict[str, Any]:
    return {"tenant": tenant_id, "mark": keyring().mark, "text_mark": text_mark(), "limit": BATCH}


def _places(name: str, values: Sequence[Any]) -> dict[str, Any]:
    return {f"{name}{number}": value for number, value in enumerate(values)}
