"""Events, what became of them, and those held back."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html

from analytics import identity, quarantine
from analytics.admin.base import EVENT_READERS, KeysetAdmin, ReadOnlyAdmin, TenantAdmin, tenant_id_of
from analytics.capture.limits import Unfit
from analytics.capture.money import currency_code
from analytics.contracts import Source, TenantInfo
from analytics.models import Event, EventKey, ExchangeRate, Outbox, OutcomeCount, Quarantine
from analytics.rates import rates_revalue

SHOWN: Final = 20_000
"""Characters of a held event that a page shows."""


class SourceFilter(admin.SimpleListFilter):
    """By door. The choices are fixed: asking a big table which it holds would read all of it."""

    title = "source"
    parameter_name = "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(source.value, source.value) for source in Source]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(source=self.value()) if self.value() else queryset


class TrafficFilter(admin.SimpleListFilter):
    """People, bots or the team itself."""

    title = "traffic"
    parameter_name = "traffic"
    choices_: ClassVar = {
        "people": Q(is_bot=False, is_internal=False),
        "bots": Q(is_bot=True),
        "internal": Q(is_internal=True),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in self.choices_]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.choices_.get(self.value() or "")
        return queryset.filter(chosen) if chosen is not None else queryset


@admin.register(Event)
class EventAdmin(KeysetAdmin):
    """Search takes an event name, an object id, or a user's id as the SDK sent it."""

    readers = EVENT_READERS
    list_display = ("ts", "name", "person", "source", "platform", "country", "money", "is_bot")
    list_filter = (SourceFilter, TrafficFilter)
    search_fields = ("name",)
    search_help_text = "An exact event name, object id or user id"

    @admin.display(description="subject")
    def person(self, event: Event) -> str:
        return "" if event.subject_id is None else f"#{event.subject_id}"

    @admin.display(description="amount (minor units)")
    def money(self, event: Event) -> str:
        return "" if event.amount is None else f"{event.amount} {event.currency}"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        match = Q(name=term) | Q(object_id=term)
        try:
            match |= Q(subject_id=identity.subject_of(tenant_id=tenant_id_of(request), distinct_id=term))
        except identity.UnknownSubject:
            pass  # it is no user's id, then
        return queryset.filter(match), False


@admin.register(EventKey)
class EventKeyAdmin(ReadOnlyAdmin):
    readers = EVENT_READERS
    list_display = ("key", "event_uuid", "ts")
    search_fields = ("=key",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows if request.GET.get("q") or request.resolver_match.kwargs else rows.none()  # type: ignore[union-attr]


@admin.register(OutcomeCount)
class OutcomeCountAdmin(ReadOnlyAdmin):
    readers = EVENT_READERS
    list_display = ("hour", "outcome", "reason", "n")
    list_filter = ("outcome",)
    ordering = ("-hour", "outcome")


@admin.register(Quarantine)
class QuarantineAdmin(KeysetAdmin):
    readers = EVENT_READERS
    time_field = "received_at"
    list_display = ("received_at", "name", "outcome", "reason", "detail", "state")
    list_filter = ("state", "outcome")
    search_fields = ("name", "reason", "event_id")
    exclude = ("payload",)
    readonly_fields = ("content",)
    actions = ("replay", "discard")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = list(super().get_fields(request, obj))
        return fields if self.may_act(request) else [name for name in fields if name != "content"]

    @admin.display(description="what was sent")
    def content(self, held: Quarantine) -> str:
        """In plain text, for those who may replay it: it may be personal."""
        if not held.payload:
            return "nothing is kept of it any more"
        text = json.dumps(quarantine.quarantine_payload(held), indent=2, ensure_ascii=False)
        return format_html("<pre>{}</pre>", text if len(text) <= SHOWN else f"{text[:SHOWN]} …")

    @admin.action(description="Replay…", permissions=["view"])
    def replay(self, request: HttpRequest, queryset: QuerySet[Quarantine]) -> HttpResponse | None:
        """Shows what a replay would do, then does it."""
        if not self.may_act(request):
            messages.error(request, "Your role may look at the quarantine, not replay it.")
            return None
        ids = list(queryset.filter(state=Quarantine.State.HELD).values_list("id", flat=True))
        is_sure = "confirm" in request.POST
        report = quarantine.quarantine_replay(
            tenant=request.tenant,  # type: ignore[attr-defined]
            ids=ids,
            dry_run=not is_sure,
            now=timezone.now(),
        ).as_dict()
        if is_sure:
            messages.success(request, f"Replayed {len(ids)} held events: {report['outcomes']}.")
            return None
        context = {**self.admin_site.each_context(request), "title": "Replay held events", "plan": report}
        context |= {"queryset": queryset, "action": "replay", "n": len(ids), "opts": self.opts}
        return TemplateResponse(request, "admin/confirm_action.html", context)

    @admin.action(description="Discard", permissions=["view"])
    def discard(self, request: HttpRequest, queryset: QuerySet[Quarantine]) -> None:
        if not self.may_act(request):
            messages.error(request, "Your role may look at the quarantine, not discard from it.")
            return
        ids = list(queryset.values_list("id", flat=True))
        n = quarantine.quarantine_discard(tenant_id=tenant_id_of(request), ids=ids, now=timezone.now())
        messages.success(request, f"Discarded {n} held events.")


class RateForm(forms.ModelForm):  # type: ignore[type-arg]
    """A currency in any case; a day has one rate."""

    class Meta:
        model = ExchangeRate
        fields = ("day", "currency", "rate")

    def clean_currency(self) -> str:
        try:
            return currency_code(self.cleaned_data["currency"])
        except Unfit as unfit:
            raise forms.ValidationError(unfit.detail) from None

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        key = {name: cleaned[name] for name in ("day", "currency") if name in cleaned}
        if self.instance.pk is None and len(key) == 2 and ExchangeRate.objects.filter(**key).exists():
            raise forms.ValidationError("There is a rate of that day already: change that one.")
        return cleaned


@admin.register(ExchangeRate)
class ExchangeRateAdmin(TenantAdmin):
    """A rate is corrected, never deleted: there are amounts by it. Either way the day's money is worth that at once."""

    form = RateForm
    list_display = ("day", "currency", "rate")
    list_filter = ("currency",)
    ordering = ("-day", "currency")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("day", "currency")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        tenant: TenantInfo = request.tenant  # type: ignore[attr-defined]
        count = rates_revalue(tenant=tenant, day=obj.day, currency=obj.currency, now=timezone.now())
        messages.info(request, f"{count} events of that day are worth another amount now.")


@admin.register(Outbox)
class OutboxAdmin(ReadOnlyAdmin):
    readers = EVENT_READERS
    list_display = ("id", "destination", "state", "attempts", "next_at", "error")
    list_filter = ("state", "destination")
    ordering = ("-next_at",)
