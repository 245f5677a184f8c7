"""What `templates/base.html` needs on every page: navigation, theme, where the visitor is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest

from reports.dashboard.menu import menu_of

THEMES: Final = ("auto", "light", "dark")
KIOSK_SECONDS: Final = 60
LEAST_SECONDS, MOST_SECONDS = 10, 3600
THEME_COOKIE: Final = "bw_theme"


@dataclass(frozen=True, slots=True)
class Kiosk:
    """The page as a wall shows it: where that is, where one comes back to, and seconds until it loads itself again."""

    href: str
    leave: str
    seconds: int


def kiosk_of(request: HttpRequest) -> Kiosk:
    """This page on a wall."""
    asked = request.GET.dict()
    text = asked.pop("seconds", "")
    asked.pop("kiosk", None)
    seconds = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else KIOSK_SECONDS
    chosen = {"seconds": text} if text else {}
    return Kiosk(
        href=f"{request.path}?{urlencode({**asked, **chosen, 'kiosk': '1'})}",
        leave=f"{request.path}?{urlencode(asked)}" if asked else request.path,
        seconds=min(max(seconds, LEAST_SECONDS), MOST_SECONDS),
    )


def is_staff(request: HttpRequest) -> bool:
    """Whether the visitor may open the admin."""
    return bool(getattr(getattr(request, "user", None), "is_staff", False))


def page(request: HttpRequest) -> dict[str, Any]:
    """Context processor. Pages without a tenant (sign-in, errors) have no navigation. `layout` is what pages of numbers
    extend: on a wall (`kiosk=1`) they stand alone and load themselves again."""
    chosen = request.COOKIES.get(THEME_COOKIE, "auto")
    has_place = getattr(request, "tenant", None) is not None and not request.path.startswith("/admin/")
    is_kiosk = has_place and bool(request.GET.get("kiosk"))
    return {
        "layout": "reports/kiosk.html" if is_kiosk else "base.html",
        "kiosk": kiosk_of(request) if has_place else None,
        "theme": chosen if chosen in THEMES else "auto",
        "menu": menu_of(request.path, is_staff=is_staff(request)) if has_place else [],
        "request_id": getattr(request, "request_id", ""),
    }
