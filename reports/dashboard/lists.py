"""Lists that grow without bound, in pages: `?page=3`; a number that means nothing is that of the nearest page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest


def list_page(request: HttpRequest, rows: QuerySet[Any] | Sequence[Any], *, size: int) -> Page[Any]:
    """The page that is asked for, for `templates/reports/pager.html`. The rows must have an order."""
    return Paginator(rows, size).get_page(request.GET.get("page"))
