"""Every metric that comes with the product, one module a family. Importing this package registers them."""

from __future__ import annotations

from kpis.metrics import (
    creators,
    engagement,
    gaming,
    payments,
    platforms,
    product,
    recurring,
    results,
    revenue,
    risk,
    safety,
    system,
    webhooks,
)

__all__ = [
    "creators",
    "engagement",
    "gaming",
    "payments",
    "platforms",
    "product",
    "recurring",
    "results",
    "revenue",
    "risk",
    "safety",
    "system",
    "webhooks",
]
