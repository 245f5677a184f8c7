"""The admin of what is inferred: snapshots of customers, and the table that names their segments."""

from __future__ import annotations

from django.contrib import admin

from analytics.admin.base import ReadOnlyAdmin, TenantAdmin
from insights.models import CustomerSegment, CustomerSnapshot, SegmentRange


@admin.register(CustomerSnapshot)
class CustomerSnapshotAdmin(ReadOnlyAdmin):
    list_display = ("taken_on", "customers", "currency", "rule", "fit_note", "data_through")
    ordering = ("-taken_on",)


@admin.register(CustomerSegment)
class CustomerSegmentAdmin(ReadOnlyAdmin):
    list_display = ("snapshot", "name", "size", "orders", "net", "recency_days", "predicted")
    list_select_related = ("snapshot",)
    exclude = ("members",)
    ordering = ("-snapshot__taken_on", "position")


@admin.register(SegmentRange)
class SegmentRangeAdmin(TenantAdmin):
    list_display = (
        "position", "name", "recency_low", "recency_high", "frequency_low", "frequency_high", "monetary_low",
        "monetary_high",
    )  # fmt: skip
    ordering = ("position",)
