"""Segments in the admin: read and deleted there; made and refreshed where their questions are."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from analytics.access.roles import Scope
from analytics.admin.base import ReadOnlyAdmin, role_of, roles_with
from kpis.models import PeopleSegment

ANALYSTS = roles_with(Scope.KPIS_WRITE)


@admin.register(PeopleSegment)
class PeopleSegmentAdmin(ReadOnlyAdmin):
    list_display = ("name", "source", "size", "as_of", "is_fixed", "error", "created_by")
    search_fields = ("name",)
    exclude = ("members",)
    ordering = ("name",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_active and role_of(request) in ANALYSTS
