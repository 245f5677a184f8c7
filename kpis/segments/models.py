"""The table of kept sets of people."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from analytics.ids import uuid7
from analytics.models.base import TenantForeignKey


class PeopleSegment(models.Model):
    """A set of people and the question it comes from. `source` names how `definition` is asked again.

    `members` is a roaring bitmap of persons as of `as_of`; `error` says why the last refresh left it as it was.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey()
    name = models.CharField(max_length=200)
    description = models.TextField(default="", blank=True)
    source = models.CharField(max_length=40)
    definition = models.JSONField(default=dict)
    is_fixed = models.BooleanField(default=False, help_text="keep the people of the day it was made; never refresh")
    members = models.BinaryField(default=bytes)
    size = models.IntegerField(default=0)
    sizes = models.JSONField(default=list, help_text="[day, people] of each day it was asked, the last answer of a day")
    as_of = models.DateTimeField(null=True)
    refreshed_at = models.DateTimeField(null=True)
    error = models.TextField(default="", blank=True)
    created_by = models.CharField(max_length=200, default="", blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[models.Manager[PeopleSegment]] = (
        models.Manager()
    )  # said, because the type checker does not see it

    class Meta:
        db_table = "bw_people_segment"
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant", "name"], name="bw_people_segment_name")]
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name
