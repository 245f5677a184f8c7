"""What lies in the lake, and what waits to be sealed."""

from __future__ import annotations

from django.contrib import admin
from django.template.defaultfilters import filesizeformat

from analytics.admin.base import JOB_READERS, ReadOnlyAdmin
from analytics.models import LakeMark, LakePiece


@admin.register(LakePiece)
class LakePieceAdmin(ReadOnlyAdmin):
    readers = JOB_READERS
    list_display = ("start", "end", "rows", "size", "sealed_at", "retired_at", "purge_at")
    list_filter = (("retired_at", admin.EmptyFieldListFilter),)
    ordering = ("-start",)
    exclude = ("subjects",)

    @admin.display(description="size")
    def size(self, piece: LakePiece) -> str:
        return filesizeformat(sum(facts["bytes"] for facts in piece.files.values()))


@admin.register(LakeMark)
class LakeMarkAdmin(ReadOnlyAdmin):
    readers = JOB_READERS
    list_display = ("created_at", "hour", "subject_id", "reason")
    list_filter = ("reason",)
    ordering = ("-id",)
