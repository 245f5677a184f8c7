"""A host process from its start to its end: one request, one transaction, and out."""

from __future__ import annotations

import django


def visit() -> None:
    """What happens in it; the exit flushes."""
    from django.db import transaction
    from django.test import Client

    from analytics.capture.tracking import track

    assert Client().get("/orders/1/").status_code == 200
    with transaction.atomic():
        track("signed_up", user=77, tenant="globex")
    track("logged_in", user=77)


if __name__ == "__main__":
    django.setup()
    visit()
