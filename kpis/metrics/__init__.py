"""Every metric that comes with the product, one module a family. Importing this package registers them."""

from __future__ import annotations

from kpis.metrics import engagement, payments, product, revenue, risk

__all__ = ["engagement", "payments", "product", "revenue", "risk"]
