"""System checks of settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register

from analytics.models.tenants import SHORTEST_DAYS, platform_days


@register()
def events_are_kept_for_a_week(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A horizon of a few days would let go of what is still being counted."""
    days = platform_days()
    if days == 0 or days >= SHORTEST_DAYS:
        return []
    text = f"ANALYTICS_RETENTION_DAYS is {days}: events are kept for {SHORTEST_DAYS} days at least, or for ever with 0."
    return [Error(text, hint="Set it to 0, or to 7 and more.", id="analytics.E002")]
