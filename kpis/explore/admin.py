"""The admin of channel rules, costs, and of who looked at people."""

from __future__ import annotations

from django.contrib import admin

from analytics.admin.base import WRITERS, ReadOnlyAdmin, TenantAdmin
from kpis.explore.models import ChannelRule, MarketingCost, PeopleRead


@admin.register(ChannelRule)
class ChannelRuleAdmin(TenantAdmin):
    """Tried by place; a tenant without rules has the built-in ones."""

    list_display = ("place", "channel", "source", "medium", "campaign", "referrer", "is_paid")
    list_display_links = ("channel",)
    list_editable = ("place", "is_paid")
    exclude = ("tenant",)
    ordering = ("place", "id")
    search_fields = ("channel",)


@admin.register(MarketingCost)
class MarketingCostAdmin(ReadOnlyAdmin):
    """Costs come in by file or API; here they are looked at."""

    list_display = ("day", "channel", "campaign", "amount", "currency", "amount_base", "updated_at")
    list_filter = ("channel", "currency")
    ordering = ("-day", "channel")


@admin.register(PeopleRead)
class PeopleReadAdmin(ReadOnlyAdmin):
    """Who was shown whom."""

    readers = WRITERS
    list_display = ("at", "actor", "what", "people")
    list_filter = ("what",)
    ordering = ("-at",)
