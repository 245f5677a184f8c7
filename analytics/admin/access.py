"""Tenants, members, calendars and keys. A key's token is on the screen once, right after it is made."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from analytics.access import services
from analytics.access.roles import EVERY_SCOPE
from analytics.admin.base import KEEPERS, WRITERS, AuditedAdmin, KeysetAdmin, ReadOnlyAdmin, TenantAdmin
from analytics.admin.tenant_form import TenantForm
from analytics.audit import actor_of
from analytics.contracts import TenantInfo
from analytics.models import ApiKey, AuditEntry, Calendar, EventRetention, Membership, Tenant
from analytics.starters import NothingToDo, Order, starters


@admin.register(Tenant)
class TenantRowAdmin(AuditedAdmin):
    """The chosen tenant. Its zone and week are changed by `manage.py calendar` or `PATCH kpis/calendar/`, as that may
    need history counted again; its currency stays.
    """

    audited = "tenant"
    form = TenantForm
    list_display = ("slug", "name", "zone", "base_currency")
    readonly_fields = (
        "slug", "zone", "base_currency", "week_start", "created_at", "events_gone_before", "events_kept_from",
    )  # fmt: skip

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        own = (*TenantForm.SETTINGS, "retention_days") if self.has_change_permission(request) else ("retention_days",)
        return ("slug", "name", *self.readonly_fields[1:5], *own, *self.readonly_fields[5:])

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "inactive_events" in form.changed_data and "backfill" in starters:
            tenant: TenantInfo = request.tenant  # type: ignore[attr-defined]
            order = Order(tenant, None, None, actor=request.user.get_username(), now=timezone.now())
            with suppress(NothingToDo):
                starters["backfill"].start(order)
                messages.info(request, "History is being counted again: numbers change when that is done.")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(EventRetention)
class EventRetentionAdmin(AuditedAdmin):
    """Events that go sooner than the others, from the next clean-up on (Sunday 03:00, or `manage.py retention`)."""

    audited = "retention"
    list_display = ("name", "days", "gone_before")
    ordering = ("name",)
    exclude = ("tenant",)
    readonly_fields = ("gone_before",)


@admin.register(Calendar)
class CalendarAdmin(ReadOnlyAdmin):
    list_display = ("version", "zone", "base_currency", "week_start", "state", "created_at")
    ordering = ("-version",)


class MemberForm(forms.ModelForm):  # type: ignore[type-arg]
    """A person is named, not chosen from a list: that would show the accounts of every tenant."""

    username = forms.CharField(
        max_length=150, help_text="The exact name of the account; <code>manage.py create_user</code> makes one."
    )

    class Meta:
        model = Membership
        fields = ("role",)

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        user = get_user_model().objects.filter(username=name).first()
        if user is None:
            raise forms.ValidationError("There is no account of that name.")
        if Membership.objects.filter(user=user).exists():
            raise forms.ValidationError("This person has a role here already: change that.")
        self.instance.user = user
        return name


@admin.register(Membership)
class MembershipAdmin(AuditedAdmin):
    """Who may do what here. Owners alone say so, as they alone hand out keys."""

    audited = "member"
    untold = ("username",)
    list_display = ("user", "role", "created_at")
    list_select_related = ("user",)
    readers = WRITERS
    writers = KEEPERS

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change=change, **(kwargs if change else {**kwargs, "form": MemberForm}))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("username", "role") if obj is None else ("user", "role")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("user",)


@admin.register(AuditEntry)
class AuditEntryAdmin(KeysetAdmin):
    """Who changed access, settings and people. Nothing here can be changed, not even by the database's own role."""

    time_field = "at"
    readers = WRITERS
    list_display = ("at", "actor", "action", "what", "detail")
    list_filter = ("action",)
    search_fields = ("=actor", "=what")


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a person decides about a key; everything else is made."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in sorted(EVERY_SCOPE)],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: all that a key of this kind may have.",
    )

    class Meta:
        model = ApiKey
        fields = ("name", "kind", "scopes", "expires_at")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("kind") == ApiKey.Kind.INGEST and set(cleaned.get("scopes", ())) - {"events:write"}:
            self.add_error("scopes", "A pk_ key can only send events: choose events:write or nothing.")
        return cleaned


@admin.register(ApiKey)
class ApiKeyAdmin(TenantAdmin):
    form = ApiKeyForm
    list_display = ("name", "prefix", "kind", "state", "expires_at", "last_used_at", "created_at")
    list_filter = ("kind",)
    ordering = ("-created_at",)
    readers = WRITERS
    writers = KEEPERS
    actions = ("rotate", "revoke")

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        if key.revoked_at:
            return "revoked"
        return "expired" if key.expires_at and key.expires_at <= timezone.now() else "live"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request) and obj is None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Makes the key through the service that the API uses; the form's object becomes its row."""
        key, token = services.api_key_create(
            tenant_id=request.tenant.id,  # type: ignore[attr-defined]
            kind=obj.kind,
            name=obj.name,
            scopes=obj.scopes,
            expires_at=obj.expires_at,
            created_by=request.user,
        )
        obj.__dict__.update(key.__dict__)
        request.new_tokens = [(key, token)]  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        return self._show(request, request.new_tokens)  # type: ignore[attr-defined]

    @admin.action(description="Rotate (the old key works one day more)", permissions=["add"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse:
        pairs = [
            services.api_key_rotate(
                tenant_id=key.tenant_id, key_id=key.id, now=timezone.now(), created_by_id=request.user.pk
            )
            for key in queryset.filter(revoked_at__isnull=True)
        ]
        return self._show(request, pairs)

    @admin.action(description="Revoke", permissions=["add"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        now = timezone.now()
        actor = actor_of(request.user.pk)
        ended = [
            services.api_key_revoke(tenant_id=key.tenant_id, key_id=key.id, now=now, actor=actor) for key in queryset
        ]
        messages.success(request, f"Revoked {sum(ended)} keys. Every process follows within five seconds.")

    def _show(self, request: HttpRequest, pairs: list[tuple[ApiKey, str]]) -> HttpResponse:
        """The one page that shows tokens. It is an answer and no redirect, so that no store ever holds them."""
        context = {**self.admin_site.each_context(request), "title": "New API keys", "pairs": pairs, "opts": self.opts}
        response = TemplateResponse(request, "admin/api_key_once.html", context)
        response["Cache-Control"] = "no-store"
        return response
