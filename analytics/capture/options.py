"""What a host project may set about capture, read once from its Django settings and typed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

OWN_ROUTES = ("analytics", "kpis", "insights", "alerts", "reports", "config")


class CaptureOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Every ANALYTICS_… setting of the host side, with its default.

    `tenant` is a slug, or a callable (or its dotted path) that takes a request or None and answers a slug or None.
    `sample_rate` is the share of sessions kept (0 … 1). `cookie` names the first-party visitor cookie; empty: none.
    """

    enabled: bool = True
    tenant: str | Callable[[Any], str | None] = ""
    database: str = "default"
    exclude_paths: tuple[str, ...] = ("/static/", "/health/", "/metrics")
    exclude_modules: tuple[str, ...] = OWN_ROUTES
    sample_rate: float = 1.0
    honour_do_not_track: bool = True
    cookie: str = ""
    cookie_days: int = 365
    pageviews: bool = True
    trusted_proxies: tuple[str, ...] = ()
    lock_timeout_ms: int = 50


def _tenant() -> str | Callable[[Any], str | None]:
    named: str | Callable[[Any], str | None] = getattr(settings, "ANALYTICS_TENANT", "")
    if isinstance(named, str) and "." in named:
        found: Callable[[Any], str | None] = import_string(named)
        return found
    return named


@cache
def capture_options() -> CaptureOptions:
    """The host's settings; a missing one takes the default of `CaptureOptions`."""
    default = CaptureOptions()
    return CaptureOptions(
        enabled=getattr(settings, "ANALYTICS_ENABLED", default.enabled),
        tenant=_tenant(),
        database=getattr(settings, "ANALYTICS_DATABASE", default.database),
        exclude_paths=tuple(getattr(settings, "ANALYTICS_EXCLUDE_PATHS", default.exclude_paths)),
        exclude_modules=tuple(getattr(settings, "ANALYTICS_EXCLUDE_MODULES", default.exclude_modules)),
        sample_rate=float(getattr(settings, "ANALYTICS_SAMPLE_RATE", default.sample_rate)),
        honour_do_not_track=getattr(settings, "ANALYTICS_HONOUR_DO_NOT_TRACK", default.honour_do_not_track),
        cookie=getattr(settings, "ANALYTICS_COOKIE", default.cookie),
        cookie_days=int(getattr(settings, "ANALYTICS_COOKIE_DAYS", default.cookie_days)),
        pageviews=getattr(settings, "ANALYTICS_PAGEVIEWS", default.pageviews),
        trusted_proxies=tuple(getattr(settings, "TRUSTED_PROXIES", default.trusted_proxies)),
        lock_timeout_ms=int(getattr(settings, "ANALYTICS_LOCK_TIMEOUT_MS", default.lock_timeout_ms)),
    )


@receiver(setting_changed, dispatch_uid="bellwether.capture_options")
def _reread(*, setting: str, **_kwargs: Any) -> None:
    if setting.startswith("ANALYTICS_") or setting == "TRUSTED_PROXIES":
        capture_options.cache_clear()
