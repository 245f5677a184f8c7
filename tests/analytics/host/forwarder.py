"""Forwards until it is killed: `python -m tests.analytics.host.forwarder TENANT_ID…`."""

from __future__ import annotations

import sys

import django


def forward(tenant_ids: list[int]) -> None:
    """Sends everything that is due of these tenants."""
    from django.utils import timezone

    from analytics.capture.forward import rows_claim, rows_send

    for tenant_id in tenant_ids:
        while rows := rows_claim(tenant_id=tenant_id, now=timezone.now()):
            rows_send(rows, tenant_id=tenant_id)


if __name__ == "__main__":
    django.setup()
    forward([int(text) for text in sys.argv[1:]])
