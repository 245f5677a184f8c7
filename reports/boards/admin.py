"""Boards and their links in the admin: what there is, who made it, and closing what should not be open."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from analytics.admin.base import WRITERS, ReadOnlyAdmin
from reports.boards.models import Board, ShareLink
from reports.boards.shares import state_of


@admin.register(Board)
class BoardAdmin(ReadOnlyAdmin):
    """Boards are edited on their own page, where nobody overwrites another; here they are found and deleted."""

    list_display = ("title", "owner", "visibility", "cards", "version", "changed_by", "updated_at", "page")
    list_filter = ("visibility",)
    list_select_related = ("owner",)
    search_fields = ("title", "description")
    ordering = ("title",)
    readers = WRITERS

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may_act(request)

    @admin.display(description="cards")
    def cards(self, board: Board) -> int:
        return len(board.document.get("cards", ()))

    @admin.display(description="page")
    def page(self, board: Board) -> SafeString | str:
        is_open = board.visibility == Board.Visibility.TEAM
        return format_html('<a href="/boards/{}/">Open</a>', board.pk) if is_open else "private"


@admin.register(ShareLink)
class ShareLinkAdmin(ReadOnlyAdmin):
    """Every way in from outside, and how to close it."""

    list_display = ("name", "board", "state", "created_by", "created_at", "expires_at", "opened", "opened_at")
    list_select_related = ("board",)
    search_fields = ("name", "board__title")
    ordering = ("-created_at",)
    actions = ("close",)
    exclude = ("password",)
    readers = WRITERS

    @admin.display(description="state")
    def state(self, link: ShareLink) -> str:
        return state_of(link, timezone.now())

    @admin.action(description="Close the chosen links")
    def close(self, request: HttpRequest, queryset: QuerySet[ShareLink]) -> None:
        if self.may_act(request):
            count = queryset.filter(revoked_at=None).update(revoked_at=timezone.now())
            self.message_user(request, f"{count} links are closed.", messages.SUCCESS)
