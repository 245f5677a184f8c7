"""Pages that say what is wrong and what to do, with the id to quote. They need no database and no tenant."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def problem_page(request: HttpRequest, *, status: int, title: str, message: str, **more: object) -> HttpResponse:
    """One problem as a whole page. `code` is a command to copy, `suggestions` are (label, address) pairs."""
    context = {"title": title, "message": message, "status": status, **more}
    return render(request, "reports/problem.html", context, status=status)
