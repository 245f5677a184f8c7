"""What `templates/base.html` needs on every page: navigation, theme, where the visitor is."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest

from reports.dashboard.menu import menu_of

THEMES: Final = ("auto", "light", "dark")
THEME_COOKIE: Final = "bw_theme"


def page(request: HttpRequest) -> dict[str, Any]:
    """Context processor. Pages without a tenant (sign-in, errors) have no navigation."""
    chosen = request.COOKIES.get(THEME_COOKIE, "auto")
    has_place = getattr(request, "tenant", None) is not None and not request.path.startswith("/admin/")
    return {
        "theme": chosen if chosen in THEMES else "auto",
        "menu": menu_of(request.path) if has_place else [],
        "request_id": getattr(request, "request_id", ""),
    }
