"""Answers kept for `Idempotency-Key` (`access/idempotency.py`): how they are sealed, and which of them tell of whom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from analytics.models import IdempotentAnswer
from analytics.sealing import keyring

KEPT: Final = timedelta(hours=24)
CONTEXT: Final = b"answer"


def answer_sealed(tenant_id: int, plain: bytes) -> bytes:
    """As it is stored: an answer may hold a secret that is shown once."""
    return keyring().seal(tenant_id, plain, context=CONTEXT)


def answer_opened(tenant_id: int, sealed: bytes) -> bytes:
    """As it was sent. Raises SealBroken."""
    return keyring().unseal(tenant_id, sealed, context=CONTEXT)


def answers_mentioning(tenant_id: int, needles: list[bytes], *, using: str) -> Iterator[int]:
    """Kept answers in which one of the texts stands. Needs the tenant's context."""
    rows = IdempotentAnswer.objects.using(using).filter(tenant_id=tenant_id, status__isnull=False)
    for id_, answer in rows.values_list("pk", "answer").iterator():
        plain = answer_opened(tenant_id, bytes(answer))
        if any(needle in plain for needle in needles):
            yield id_
