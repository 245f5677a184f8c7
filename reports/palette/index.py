"""Every page, metric and board that a member may open, as (title, kind, address)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from kpis.catalogue import Catalogue
from reports.boards.selectors import Visitor, boards_seen
from reports.dashboard.cards import metric_path
from reports.dashboard.menu import menu_of

Entry: TypeAlias = tuple[str, str, str]


def entries(request: HttpRequest, visitor: Visitor) -> list[Entry]:
    """The index, pages first."""
    return [*_pages(), *_boards(visitor), *_metrics(visitor.tenant_id), *_admin(request)]


def _pages() -> Iterator[Entry]:
    for title, links in menu_of(""):
        for link in links:
            yield link.label, title or "Page", link.href


def _boards(visitor: Visitor) -> Iterator[Entry]:
    for key, title in boards_seen(visitor=visitor).values_list("pk", "title"):
        yield title, "Board", reverse("dashboard:board", args=[key])


def _metrics(tenant_id: int) -> Iterator[Entry]:
    for metric in Catalogue(tenant_id).values():
        yield metric.name, metric.id, metric_path(metric.id)


def _admin(request: HttpRequest) -> Iterator[Entry]:
    if not getattr(request.user, "is_staff", False):
        return
    for app in admin.site.get_app_list(request):
        for model in app["models"]:
            if model.get("admin_url"):
                yield str(model["name"]), "Admin", str(model["admin_url"])
