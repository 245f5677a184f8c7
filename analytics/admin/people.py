"""People and what joins them. Names and addresses stay sealed; a page shows them only through their selector."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from analytics import identity
from analytics.admin.base import EVENT_READERS, KeysetAdmin, ReadOnlyAdmin
from analytics.models import Group, Identity, IdentityEdge, Profile, Session, Subject, Suppression


@admin.register(Subject)
class SubjectAdmin(ReadOnlyAdmin):
    readers = EVENT_READERS
    list_display = ("id", "person_id", "is_identified", "first_seen_at", "erased_at")
    list_filter = ("is_identified",)
    search_fields = ("=id", "=person_id")
    exclude = ("wrapped_key",)
    ordering = ("-id",)


@admin.register(Identity)
class IdentityAdmin(ReadOnlyAdmin):
    readers = EVENT_READERS
    list_display = ("subject_id", "first_seen_at")
    search_fields = ("=subject_id",)
    exclude = ("sealed_id", "digest")
    ordering = ("-first_seen_at",)


@admin.register(IdentityEdge)
class IdentityEdgeAdmin(KeysetAdmin):
    readers = EVENT_READERS
    list_display = ("ts", "left_subject", "right_subject", "kind", "verdict", "actor", "undone_at")
    list_filter = ("kind", "verdict")
    search_fields = ("=left_subject", "=right_subject")
    actions = ("undo",)

    @admin.action(description="Undo these merges", permissions=["view"])
    def undo(self, request: HttpRequest, queryset: QuerySet[IdentityEdge]) -> None:
        """Takes the claims back; the people come apart and the touched days are counted again."""
        if not self.may_act(request):
            messages.error(request, "Your role may look at merges, not undo them.")
            return
        edges = list(queryset.filter(undone_at__isnull=True))
        for edge in edges:
            identity.identity_unmerge(
                tenant_id=edge.tenant_id,
                edge_id=edge.id,
                actor=request.user.get_username(),
                reason="undone in the admin",
                now=timezone.now(),
            )
        messages.success(request, f"Undid {len(edges)} merges. The numbers of the touched days follow in seconds.")


@admin.register(Profile)
class ProfileAdmin(ReadOnlyAdmin):
    readers = EVENT_READERS
    list_display = ("subject_id", "updated_at")
    search_fields = ("=subject_id",)
    exclude = ("sealed_traits",)
    ordering = ("-updated_at",)


@admin.register(Group)
class GroupAdmin(ReadOnlyAdmin):
    readers = EVENT_READERS
    list_display = ("type", "key", "updated_at")
    list_filter = ("type",)
    search_fields = ("key",)
    ordering = ("-updated_at",)


@admin.register(Session)
class SessionAdmin(KeysetAdmin):
    readers = EVENT_READERS
    time_field = "start"
    list_display = ("start", "end", "person_id", "events", "pageviews", "platform", "country", "channel")
    search_fields = ("=person_id",)


@admin.register(Suppression)
class SuppressionAdmin(ReadOnlyAdmin):
    readers = EVENT_READERS
    list_display = ("digest", "created_at")
    ordering = ("-created_at",)
