"""`Idempotency-Key` on POST: the same request twice acts once and is answered alike, for 24 hours.

The row lies in PostgreSQL and is written in the handler's own transaction, so that either both are there or neither.
A second request that comes meanwhile waits for the first one's COMMIT by the unique index. Handlers that commit on
their own leave a row that is being worked on; a second request is then refused until it is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import msgspec
from django.db import OperationalError, connection
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from analytics.access.keys import KeyInfo
from analytics.answers import KEPT, answer_opened, answer_sealed
from analytics.models import IdempotentAnswer
from analytics.tenancy import tenant_context

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
STALE: Final = timedelta(minutes=10)
"""A handler that has not answered for so long is dead: its row is free again."""
WAIT: Final = "5s"

# A row that is too old counts as none. The conflict waits for whoever is just writing that key.
CLAIM: Final = """
INSERT INTO bw_idempotent_answer AS a (tenant_id, actor, key, request, status, answer, created_at)
VALUES (%(tenant)s, %(actor)s, %(key)s, %(request)s, NULL, '', %(now)s)
    ON CONFLICT (tenant_id, actor, key) DO UPDATE
   SET request = excluded.request, status = NULL, answer = '', created_at = excluded.created_at
 WHERE a.created_at <= %(expired)s OR (a.status IS NULL AND a.created_at <= %(stale)s)
RETURNING id
"""
SWEEP: Final = """
DELETE FROM bw_idempotent_answer WHERE id IN (
    SELECT id FROM bw_idempotent_answer WHERE tenant_id = %(tenant)s AND created_at <= %(expired)s
     LIMIT 100 FOR UPDATE SKIP LOCKED)
"""


class InProgress(exceptions.APIException):
    """The same request is being worked on."""

    status_code = 409
    default_code = "request_in_progress"
    default_detail = "A request with this Idempotency-Key is being worked on: ask again in a moment."
    wait = 1


class KeyReused(exceptions.APIException):
    """The key belongs to another request."""

    status_code = 422
    default_code = "idempotency_key_reused"
    default_detail = "This Idempotency-Key was sent with another request within 24 hours: use a new one."


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that is to act once: whose, under which key, and what it asks (both as digests)."""

    tenant_id: int
    actor: str
    key: str
    request: str


def ask_of(credential: KeyInfo, header: str, *parts: bytes) -> Ask:
    """The request of a credential; `parts` are all that makes it differ from others. Raises ValidationError."""
    if not KEY.fullmatch(header):
        message = f"{HEADER} is 1 to 255 printable ASCII characters without blanks, for example a UUID."
        raise exceptions.ValidationError({HEADER: [message]}, code="invalid_key")
    whole = sha256()
    for part in parts:
        whole.update(b"%d:" % len(part) + part)
    return Ask(credential.tenant.id, credential.actor, sha256(header.encode()).hexdigest(), whole.hexdigest())


def once(ask: Ask, act: Callable[[], Response], *, is_atomic: bool, now: datetime) -> Response:
    """The kept answer, or that of `act`, which is kept. `is_atomic`: called inside the handler's transaction."""
    with _tenant(ask, is_atomic):
        kept = _claim(ask, now)
    if kept is not None:
        return kept
    try:
        answer = act()
    except BaseException:
        if not is_atomic:  # a transaction of the handler's takes the row back with it
            with tenant_context(ask.tenant_id):
                _row(ask).delete()
        raise
    with _tenant(ask, is_atomic):
        _keep(ask, answer)
    return answer


@contextmanager
def _tenant(ask: Ask, is_atomic: bool) -> Iterator[None]:
    if is_atomic:
        yield
    else:
        with tenant_context(ask.tenant_id):
            yield


def _claim(ask: Ask, now: datetime) -> Response | None:
    """None when the request is ours to do, else what it was answered. Raises InProgress, KeyReused."""
    values: dict[str, Any] = {
        "tenant": ask.tenant_id,
        "actor": ask.actor,
        "key": ask.key,
        "request": ask.request,
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(SWEEP, {"tenant": ask.tenant_id, "expired": now - KEPT})
        cursor.execute(f"SET LOCAL lock_timeout = '{WAIT}'")
        try:
            cursor.execute(CLAIM, {**values, "expired": now - KEPT, "stale": now - STALE})
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) == "55P03":
                raise InProgress from None
            raise
        is_ours = cursor.fetchone() is not None
        cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
    if is_ours:
        return None
    found = _row(ask).first()
    if found is None:  # swept or erased this very moment
        raise InProgress
    if found.request != ask.request:
        raise KeyReused
    if found.status is None:
        raise InProgress
    kept = msgspec.json.decode(answer_opened(ask.tenant_id, bytes(found.answer)))
    return Response(kept["data"], status=found.status, headers={**kept["headers"], REPLAYED: "true"})


def _keep(ask: Ask, answer: Any) -> None:
    """What cannot be repeated (an error of ours, a stream) is not kept: the same request acts again."""
    if not isinstance(answer, Response) or answer.status_code >= 500:
        _row(ask).delete()
        return
    data = msgspec.Raw(JSONRenderer().render(answer.data) or b"null")
    plain = msgspec.json.encode({"headers": dict(answer.headers), "data": data})
    _row(ask).update(status=answer.status_code, answer=answer_sealed(ask.tenant_id, plain))


def _row(ask: Ask) -> Any:
    return IdempotentAnswer.objects.filter(tenant_id=ask.tenant_id, actor=ask.actor, key=ask.key)
