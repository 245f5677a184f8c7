"""What a member may open (pages, metrics, boards, goals, segments) and make, as (title, kind, address)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from kpis.catalogue import Catalogue
from kpis.goals.selectors import goals_named
from kpis.segments.selectors import segments_list
from reports.boards.selectors import Visitor, boards_seen
from reports.dashboard.cards import metric_path
from reports.dashboard.context import is_staff
from reports.dashboard.menu import menu_of

Entry: TypeAlias = tuple[str, str, str]


def entries(request: HttpRequest, visitor: Visitor) -> list[Entry]:
    """The index, pages first."""
    made = (*_boards(visitor), *_goals(visitor.tenant_id), *_segments(visitor.tenant_id))
    return [
        *_pages(request),
        *made,
        *_metrics(visitor.tenant_id),
        *(_actions() if visitor.may_edit else ()),
        *_admin(request),
    ]


def _pages(request: HttpRequest) -> Iterator[Entry]:
    for title, links in menu_of("", is_staff=is_staff(request)):
        for link in links:
            yield link.label, title or "Page", link.href


def _boards(visitor: Visitor) -> Iterator[Entry]:
    for key, title in boards_seen(visitor=visitor).values_list("pk", "title"):
        yield title, "Board", reverse("dashboard:board", args=[key])


def _goals(tenant_id: int) -> Iterator[Entry]:
    for key, name in goals_named(tenant_id=tenant_id):
        yield name, "Goal", reverse("dashboard:goal", args=[key])


def _segments(tenant_id: int) -> Iterator[Entry]:
    for segment in segments_list(tenant_id=tenant_id):
        yield segment.name, "Segment", reverse("dashboard:segment", args=[segment.pk])


def _actions() -> Iterator[Entry]:
    yield "Set a goal", "Action", reverse("dashboard:goal-new")
    yield "Set an objective", "Action", reverse("dashboard:objective-new")
    yield "Make a board", "Action", f"{reverse('dashboard:boards')}#new-title"
    yield "Write an annotation", "Action", f"{reverse('dashboard:annotations')}#add"


def _metrics(tenant_id: int) -> Iterator[Entry]:
    for metric in Catalogue(tenant_id).values():
        yield metric.name, metric.id, metric_path(metric.id)


def _admin(request: HttpRequest) -> Iterator[Entry]:
    if not is_staff(request):
        return
    for app in admin.site.get_app_list(request):
        for model in app["models"]:
            if model.get("admin_url"):
                yield str(model["name"]), "Admin", str(model["admin_url"])
