"""Segments in the admin: read and deleted there; made and refreshed where their questions are."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from analytics.admin.base import ReadOnlyAdmin
from kpis.models import PeopleSegment


@admin.register(PeopleSegment)
class PeopleSegmentAdmin(ReadOnlyAdmin):
    list_display = ("name", "source", "size", "as_of", "is_fixed", "error", "created_by")
    search_fields = ("name",)
    exclude = ("members",)
    ordering = ("name",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True
