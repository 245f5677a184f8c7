"""Writing events inside a transaction that belongs to somebody else.

The host's locks and ours meet here, so no wait of ours may last: two host transactions that touch the same new person
would otherwise wait for each other, and PostgreSQL would end one of them. Any such circle contains a wait of ours, and
`lock_timeout` ends it long before the deadlock detector (1 s) looks; the savepoint undoes our part only, and the event
goes to the writer queue when the host commits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connections, transaction
from django.utils import timezone

from analytics.capture.options import capture_options
from analytics.capture.outlet import Message, outlet
from analytics.contracts import CapturedEvent, Refusal, TenantInfo
from analytics.tenancy import tenant_by_slug, tenant_context
from analytics.writer import write_batch


def join(batch: Sequence[Message], using: str) -> None:
    """Stores messages of one tenant in the open transaction of `using`.

    Raises, with everything of ours undone and the transaction as it was, when it cannot.
    """
    tenant = outlet.tenants.known(batch[0].tenant) or _looked_up(batch[0].tenant, using)
    now = timezone.now()
    outcomes = [message.normalised(tenant, now) for message in batch]
    events = [each for each in outcomes if isinstance(each, CapturedEvent)]
    refusals = [each for each in outcomes if isinstance(each, Refusal)]
    with tenant_context(tenant.id, using=using), _short_waits(using):
        write_batch(connections[using], events, refusals, now=now)


def _looked_up(slug: str, using: str) -> TenantInfo:
    with transaction.atomic(using=using):
        return tenant_by_slug(slug, using=using)


@contextmanager
def _short_waits(using: str) -> Iterator[None]:
    """Bounds each wait for a lock and puts the host's own bound back (an error's savepoint does that by itself)."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('lock_timeout'), set_config('lock_timeout', %s, true)",
            [f"{capture_options().lock_timeout_ms}ms"],
        )
        former = cursor.fetchone()[0]
        yield
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [former])
