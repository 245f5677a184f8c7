"""What the admin pages share: rights from the membership's role, and paging that never counts a big table."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Page, Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from analytics.access.roles import ROLE_SCOPES, Scope
from analytics.audit import actor_of, audit_record

if TYPE_CHECKING:
    Admin = admin.ModelAdmin[Model]
else:
    Admin = admin.ModelAdmin

CURSOR = "before"


def roles_with(scope: Scope) -> frozenset[str]:
    """The roles that grant a scope, so that the admin never shows or does what the API refuses."""
    return frozenset(role for role, scopes in ROLE_SCOPES.items() if scope in scopes)


READERS = roles_with(Scope.KPIS_READ)
EVENT_READERS = roles_with(Scope.EVENTS_READ)
JOB_READERS = roles_with(Scope.JOBS_READ)
WRITERS = roles_with(Scope.JOBS_WRITE)
KEEPERS = roles_with(Scope.ACCESS_WRITE)
"""Who hands out access."""


def role_of(request: HttpRequest) -> str:
    """The role in the chosen tenant, '' without one."""
    return getattr(request, "tenant_role", "") or ""


def tenant_id_of(request: HttpRequest) -> int:
    """The chosen tenant; pages are closed to whoever has none, so there is one."""
    found: int = request.tenant.id  # type: ignore[attr-defined]
    return found


class TenantAdmin(Admin):
    """Rights follow from the role in the tenant: `readers` look, `writers` change."""

    show_full_result_count = False
    list_per_page = 50
    readers: ClassVar[frozenset[str]] = READERS
    writers: ClassVar[frozenset[str]] = WRITERS

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_active and role_of(request) in self.readers

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_active and role_of(request) in self.writers

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if getattr(obj, "tenant_id", 0) is None:
            obj.tenant_id = request.tenant.id  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)


class AuditedAdmin(TenantAdmin):
    """A page whose changes are written down: `audited` is what they are of, as `member` in `member.added`, `untold` are
    fields that are personal.
    """

    audited: ClassVar[str] = ""
    untold: ClassVar[tuple[str, ...]] = ()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        before = form.initial if change else {}
        told = [name for name in form.changed_data if name not in self.untold]
        pairs = {name: [_plain(before.get(name)), _plain(form.cleaned_data[name])] for name in told}
        detail = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        self._note(request, "changed" if change else "added", obj, detail)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self._note(request, "removed", obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self._note(request, "removed", row)
        super().delete_queryset(request, queryset)

    def _note(self, request: HttpRequest, verb: str, row: Any, detail: dict[str, Any] | None = None) -> None:
        audit_record(
            tenant_id=tenant_id_of(request),
            actor=actor_of(request.user.pk),
            action=f"{self.audited}.{verb}",
            what=str(row),
            detail=detail,
            at=timezone.now(),
        )


def _plain(value: Any) -> Any:
    """A value of a form as JSON has it; rows by their number."""
    if isinstance(value, Model):
        return value.pk
    return value if isinstance(value, int | float | str | bool | None) else str(value)


class ReadOnlyAdmin(TenantAdmin):
    """For what the product itself writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def may_act(self, request: HttpRequest) -> bool:
        """Whether the person may run this page's actions."""
        return request.user.is_active and role_of(request) in self.writers


class Uncounted(Paginator):  # type: ignore[type-arg]
    """A paginator that knows one page only: the next one is asked for by key, never by number."""

    @property
    def count(self) -> int:
        return len(self.object_list)

    def page(self, number: int | str) -> Page[Any]:
        return Page(self.object_list, 1, self)


class KeysetChangeList(ChangeList):
    """Newest first by (time, id). `?before=` carries the last row seen, so page 10,000 costs what page 1 costs."""

    time_field = "ts"
    older: str = ""

    def __init__(self, request: HttpRequest, model: type[Model], *args: Any, **kwargs: Any) -> None:
        self.cursor = cursor_read(request.GET.get(CURSOR, ""), model)
        super().__init__(request, model, *args, **kwargs)

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = super().get_filters_params(params)
        found.pop(CURSOR, None)
        return found

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        return [f"-{self.time_field}", "-pk"]

    def get_results(self, request: HttpRequest) -> None:
        rows = self.queryset
        if self.cursor:
            at, key = self.cursor
            rows = rows.filter(Q(**{f"{self.time_field}__lt": at}) | Q(**{self.time_field: at, "pk__lt": key}))
        page = list(rows[: self.list_per_page + 1])
        self.result_list = page[: self.list_per_page]
        self.older = cursor_write(self.result_list[-1], self.time_field) if len(page) > self.list_per_page else ""
        self.result_count = len(self.result_list)
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = Uncounted(self.result_list, self.list_per_page)

    @property
    def older_query(self) -> str:
        """The query string of the next page, or ''."""
        return self.get_query_string({CURSOR: self.older}) if self.older else ""

    @property
    def newest_query(self) -> str:
        """The query string of the first page, or '' when this is it."""
        return self.get_query_string(remove=[CURSOR]) if self.cursor else ""


def cursor_write(row: Any, time_field: str) -> str:
    """Where a page ended, for the URL."""
    text = f"{getattr(row, time_field).isoformat()}|{row.pk}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def cursor_read(text: str, model: type[Model]) -> tuple[datetime, Any] | None:
    """The inverse of cursor_write for rows of the model; anything else means the first page."""
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        at, _, key = decoded.partition("|")
        instant = datetime.fromisoformat(at)
        return (instant, model._meta.pk.to_python(key)) if key and instant.tzinfo else None
    except (binascii.Error, ValueError, ValidationError):
        return None


class KeysetAdmin(ReadOnlyAdmin):
    """A read-only page of a table that may hold a billion rows."""

    change_list_template = "admin/keyset_change_list.html"
    show_facets = admin.ShowFacets.NEVER  # they would count the whole table for every filter
    time_field: ClassVar[str] = "ts"
    sortable_by: ClassVar[tuple[str, ...]] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return type("TimedChangeList", (KeysetChangeList,), {"time_field": self.time_field})
