"""Sells until it is killed: `python -m tests.analytics.host.seller SEED`. One sale in ten is rolled back."""

from __future__ import annotations

import random
import sys

import django


class Regret(Exception):
    """The customer changed their mind in the middle of a transaction."""


def sell(seed: int) -> None:
    """One transaction after another: a payment, its settlement, and sometimes an error."""
    from django.db import transaction

    from tests.analytics.host.models import Payment

    dice = random.Random(seed)
    sys.stdout.write("selling\n")
    sys.stdout.flush()
    while True:
        try:
            with transaction.atomic():
                tenant = dice.choice(("acme", "globex"))
                payment = Payment.objects.create(payer=f"p{dice.randrange(50)}", tenant_slug=tenant)
                payment.status = "settled"
                payment.save()
                if dice.random() < 0.1:
                    raise Regret
        except Regret:
            pass


if __name__ == "__main__":
    django.setup()
    sell(int(sys.argv[1]))
