"""What explains numbers, in the admin: annotations, restatements, and checks of buckets."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from analytics.admin.base import ReadOnlyAdmin, TenantAdmin, tenant_id_of
from kpis.annotations import AnnotationError, annotation_check
from kpis.models import Annotation, Restatement, RollupCheck


class AnnotationForm(forms.ModelForm):  # type: ignore[type-arg]
    """An annotation, checked as the API checks it."""

    tenant_id: int = 0
    url = forms.URLField(required=False, max_length=500, assume_scheme="https")

    class Meta:
        model = Annotation
        fields = ("kind", "title", "at", "until", "text", "url", "metric")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                annotation_check(Annotation(tenant_id=self.tenant_id, **cleaned))
            except AnnotationError as error:
                self.add_error(error.field if error.field in self.fields else None, str(error))
        return cleaned


@admin.register(Annotation)
class AnnotationAdmin(TenantAdmin):
    """What happened to the business."""

    form = AnnotationForm
    list_display = ("at", "kind", "title", "metric", "until", "author")
    list_filter = ("kind",)
    search_fields = ("title", "text")
    ordering = ("-at",)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        made = super().get_form(request, obj, change=change, **kwargs)
        return type(made.__name__, (made,), {"tenant_id": tenant_id_of(request)})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            obj.author, obj.created_at = f"user:{request.user.pk}", timezone.now()
        super().save_model(request, obj, form, change)


@admin.register(Restatement)
class RestatementAdmin(ReadOnlyAdmin):
    """Why published days moved, measure by measure."""

    list_display = ("day", "measure", "reason", "n", "total", "since", "at")
    list_filter = ("reason",)
    search_fields = ("measure",)
    ordering = ("-at", "-id")


@admin.register(RollupCheck)
class RollupCheckAdmin(ReadOnlyAdmin):
    """Closed days that were counted again and compared."""

    list_display = ("checked_at", "day", "differences", "took_ms")
    ordering = ("-checked_at", "-id")
