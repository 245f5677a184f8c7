"""A host application's process under a spooled writer, and an operator's commands beside it.

    python -m tests.chaos.power.host [--drain]

Lines of JSON on standard output: `sent` before events are handed over, `acked` after `flush` said that all of them are
stored or on disk, `sealed` after each `manage.py seal`, `verified` with what `manage.py lake verify` found wrong. With
--drain it ends as soon as nothing waits on disk, everything is sealed and the lake is checked.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
import traceback
import uuid
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import django

PATIENCE_SECONDS = 0.5
PAUSE_SECONDS = 0.1
_telling = threading.Lock()


def say(**told: Any) -> None:
    """One line, whole or cut off, never mixed with another."""
    with _telling:
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def operate(*, once: bool) -> None:
    """Check the lake, then seal again and again (or seal, then check)."""
    from django.core.management import call_command
    from django.core.management.base import CommandError
    from django.db import Error as DjangoError
    from psycopg import Error as PostgresError

    def sealed() -> None:
        try:
            call_command("seal", stdout=StringIO())
            say(what="sealed")
        except (DjangoError, PostgresError):
            time.sleep(0.5)  # PostgreSQL is not there; what was marked stays marked

    def verified() -> None:
        found = StringIO()
        try:
            call_command("lake", "verify", stdout=found)
            say(what="verified", problem="")
        except CommandError:
            say(what="verified", problem=found.getvalue()[-600:])
        except (DjangoError, PostgresError):
            return

    if once:
        sealed()
    verified()
    while not once:
        sealed()


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.db import Error

    from analytics.capture.normalise import Arrival, event_of
    from analytics.contracts import CapturedEvent, Source, TenantInfo
    from analytics.spool import SpooledWriter, spool_folder
    from analytics.tenancy import tenants

    def everyone() -> list[TenantInfo]:
        while True:  # it begins together with PostgreSQL
            try:
                return tenants()
            except Error:
                time.sleep(0.2)

    def made(tenant: TenantInfo) -> CapturedEvent:
        now = datetime.now(UTC)
        message = {
            "uuid": str(uuid.uuid4()),
            "event": "order_completed",
            "distinct_id": f"user-{random.randrange(500)}",
            "timestamp": now.isoformat(),
            "properties": {"revenue": 5, "currency": "EUR", "note": "x" * random.randrange(2_000)},
        }
        event = event_of(message, Arrival(tenant=tenant, received_at=now, source=Source.MANUAL, is_clean=True))
        assert isinstance(event, CapturedEvent), event
        return event

    def operating(*, once: bool) -> None:
        try:
            operate(once=once)
        except Exception:
            say(what="failed", problem=traceback.format_exc()[-600:])

    known, is_draining = everyone(), "--drain" in sys.argv
    operator = threading.Thread(target=operating, kwargs={"once": is_draining}, daemon=True)
    operator.start()
    writer = SpooledWriter(spool_folder(), patience=PATIENCE_SECONDS)
    while True:
        tenant = random.choice(known)
        batch = [made(tenant) for _ in range(random.choice((1, 3, 20)))]
        ids = [each.event_id for each in batch]
        say(what="sent", tenant=tenant.slug, ids=ids)
        writer.put(batch)
        if writer.flush(30) and not writer.dropped:
            say(what="acked", tenant=tenant.slug, ids=ids, on_disk=not writer.spool.is_empty())
        if is_draining and writer.spool.is_empty():
            break
        time.sleep(PAUSE_SECONDS)
    operator.join()
    writer.close()


if __name__ == "__main__":
    main()
