"""Boards and the links that show them to people without an account."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from analytics.ids import uuid7
from analytics.models.base import TenantForeignKey


class Board(models.Model):
    """Cards on a grid. `document` is what `draft.py` reads: the board's question and its cards.

    `version` rises with every change: whoever saves says which one they saw. A board without an owner was made by a
    key or outlived its author; it is the team's.
    """

    class Visibility(models.TextChoices):
        PRIVATE = "private"
        TEAM = "team"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey()
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,  # whoever deletes an account sees no tenant's boards
        db_constraint=False,
        related_name="+",
    )
    title = models.CharField(max_length=200)
    description = models.TextField(default="", blank=True)
    visibility = models.CharField(max_length=10, choices=Visibility.choices, default=Visibility.TEAM)
    document = models.JSONField(default=dict)
    version = models.IntegerField(default=1)
    changed_by = models.CharField(max_length=200, default="", blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "bw_board"
        indexes: ClassVar = [models.Index(fields=["tenant", "title"], name="bw_board_title")]

    def __str__(self) -> str:
        return self.title


class ShareLink(models.Model):
    """A way in to one board for whoever has the address, until it expires or is revoked.

    The address is signed and made from this row and the server's secret: it can be shown again, and a copy of the
    table opens nothing. `password` is a hash, '' without one.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey()
    board = models.ForeignKey(Board, on_delete=models.CASCADE, related_name="links")
    name = models.CharField(max_length=100)
    password = models.CharField(max_length=200, default="", blank=True, editable=False)
    is_range_locked = models.BooleanField(default=True)
    embed_origins = models.JSONField(default=list, blank=True)
    created_by = models.CharField(max_length=200, default="", blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField(null=True, blank=True)
    opened = models.IntegerField(default=0)

    class Meta:
        db_table = "bw_share_link"
        indexes: ClassVar = [models.Index(fields=["tenant", "board"], name="bw_share_link_board")]

    def __str__(self) -> str:
        return self.name
