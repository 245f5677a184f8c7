"""Tables of pages as files. One more is one more entry: a name, how its sheet is read, and who may have it.

The address of a file is the page's own question after `/tables/<name>.<format>`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from analytics.access.roles import Scope
from analytics.registry import Registry
from reports.dashboard.cards import Action
from reports.dashboard.doors import role_of, scopes_of, tenant_page
from reports.dashboard.problems import problem_page
from reports.exports.formats import FORMATS, answer
from reports.exports.sheet import Sheet


class NoTable(Exception):
    """There is nothing to write; the message says why, and what would help."""


@dataclass(frozen=True, slots=True)
class TableFile:
    """`read` makes the sheet of a request in its tenant, or raises NoTable. `scope`: what a role must grant for it."""

    id: str
    read: Callable[[HttpRequest], Sheet]
    scope: Scope = Scope.KPIS_READ


files: Registry[TableFile] = Registry(TableFile)


@require_GET
@tenant_page()
def table_file(request: HttpRequest, name: str, format: str) -> Any:
    """The file, or a page that says why there is none."""
    found = files.get(name)
    if found is None:
        raise Http404("There is no such table.")
    if found.scope not in scopes_of(request):
        raise PermissionDenied(f"Your role ({role_of(request)}) may not have this table.")
    try:
        sheet = found.read(request)
    except NoTable as problem:
        return problem_page(request, status=400, title="No file", message=str(problem))
    response: HttpResponseBase = answer(sheet, FORMATS[format], name)
    return response


def downloads(name: str, api: str = "", **question: str) -> tuple[Action, ...]:
    """The menu of a table: its files, and the call of the API with the same answer."""
    query = urlencode({key.rstrip("_"): value for key, value in question.items() if value})
    tail = f"?{query}" if query else ""
    found = [Action(f"Download {kind.upper()}", f"/tables/{name}.{kind}{tail}", "download") for kind in FORMATS]
    return (*found, Action("Copy API call", api, "copy")) if api else tuple(found)
