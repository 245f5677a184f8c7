"""The host's own tables. They are made by the fixture `host_tables`, and dropped again."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from analytics.capture.mixins import TrackedQuerySet
from analytics.capture.registry import ANY, register


class Payment(models.Model):
    """What a customer owes; it goes from pending to settled or failed."""

    payer = models.TextField(default="ann")
    tenant_slug = models.TextField(default="acme")
    amount = models.DecimalField(max_digits=10, decimal_places=2, default=5)
    status = models.TextField(default="pending")
    note = models.TextField(default="")

    objects: ClassVar[Any] = TrackedQuerySet.as_manager()

    class Meta:
        app_label = "host"
        db_table = "host_payment"

    def __str__(self) -> str:
        return f"payment {self.pk}"


class Silent(models.Model):
    """A model that nobody registered."""

    text = models.TextField(default="")

    objects: ClassVar[Any] = models.Manager()

    class Meta:
        app_label = "host"
        db_table = "host_silent"

    def __str__(self) -> str:
        return f"silent {self.pk}"


def details(payment: Payment) -> dict[str, Any]:
    """What each event of a payment carries."""
    return {
        "user": payment.payer,
        "value": payment.amount,
        "currency": "EUR",
        "tenant": payment.tenant_slug,
    }


register(
    Payment,
    on_create="payment_created",
    on_update=lambda payment: "payment_noted" if payment.note == "look" else None,
    on_delete="payment_deleted",
    on_change={"status": {("pending", "settled"): "payment_settled", (ANY, "failed"): "payment_failed"}},
    event=details,
)
