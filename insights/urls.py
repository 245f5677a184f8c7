"""Routes of /api/v1/ for what is inferred."""

from __future__ import annotations

from django.urls import path

from insights.views import customers, payback

urlpatterns = [
    path("customers/segments/", customers.SegmentsView.as_view(), name="customers-segments"),
    path("customers/segments/table/", customers.SegmentTableView.as_view(), name="customers-segment-table"),
    path("customers/lifetime/", customers.LifetimeView.as_view(), name="customers-lifetime"),
    path("customers/payback/", payback.PaybackView.as_view(), name="customers-payback"),
    path("customers/<int:subject>/value/", customers.ValueView.as_view(), name="customer-value"),
]
