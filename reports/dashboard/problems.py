"""Pages that say what is wrong and what to do, with the id to quote. They need no database and no tenant."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from analytics.access.roles import Scope, scopes_of_role


def problem_page(request: HttpRequest, *, status: int, title: str, message: str, **more: object) -> HttpResponse:
    """One problem as a whole page. `code` is a command to copy, `suggestions` are (label, address) pairs."""
    context = {"title": title, "message": message, "status": status, "is_shut_out": _is_shut_out(request), **more}
    return render(request, "reports/problem.html", context, status=status)


def _is_shut_out(request: HttpRequest) -> bool:
    """Whether the visitor is known to see no page at all here, so that a link to the overview would lead back."""
    role = getattr(request, "tenant_role", None)
    return role is not None and Scope.KPIS_READ not in scopes_of_role(role)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """For a form that was sent without its token: mostly a page left open over a sign-out."""
    message = "This form is no longer valid. Go back, load the page again and send it once more."
    return problem_page(request, status=403, title="Please send it again", message=message)
