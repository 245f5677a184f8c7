"""People: distinct ids, subjects, the edges that join them, and what is known of them.

In the database the keys of Subject, Identity and Suppression start with the tenant; Django sees the second half,
which is unique within the tenant that is set.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from analytics.contracts import LinkKind
from analytics.ids import uuid7
from analytics.models.base import TenantForeignKey


class Subject(models.Model):
    """A dense integer for each distinct id; `person_id` is the smallest subject of the person it belongs to."""

    id = models.IntegerField(primary_key=True)
    tenant = TenantForeignKey(db_constraint=False)
    person_id = models.IntegerField()
    is_identified = models.BooleanField(default=False)
    is_daily = models.BooleanField(
        default=False, db_default=False, help_text="of a visitor without a cookie: the id holds for one UTC day"
    )
    wrapped_key = models.BinaryField(null=True, help_text="the subject's data key, encrypted; gone after an erasure")
    first_seen_at = models.DateTimeField()
    erased_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "bw_subject"
        indexes: ClassVar = [
            models.Index(fields=["tenant", "person_id"], name="bw_subject_person"),
            models.Index(fields=["tenant", "id"], condition=models.Q(is_daily=True), name="bw_subject_daily"),
            models.Index(
                fields=["tenant", "id"],
                condition=models.Q(is_daily=True, is_identified=True),
                name="bw_subject_daily_known",
            ),
        ]

    def __str__(self) -> str:
        return f"subject {self.id}"


class Identity(models.Model):
    """A distinct id, kept as a keyed digest for look-ups and sealed with its subject's key for display."""

    digest = models.UUIDField(primary_key=True)
    tenant = TenantForeignKey(db_constraint=False)
    subject_id = models.IntegerField()
    sealed_id = models.BinaryField()
    first_seen_at = models.DateTimeField()

    class Meta:
        db_table = "bw_identity"
        verbose_name_plural = "identities"
        indexes: ClassVar = [models.Index(fields=["tenant", "subject_id"], name="bw_identity_subject")]

    def __str__(self) -> str:
        return f"identity of subject {self.subject_id}"


class IdentityEdge(models.Model):
    """A claim that two subjects are one person. Undoing it is setting `undone_at`; the person is recomputed."""

    class EdgeVerdict(models.TextChoices):
        APPLIED = "applied"
        BLOCKED = "blocked"
        ILLEGAL = "illegal"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey(db_constraint=False)
    left_subject = models.IntegerField(help_text="the distinct id of the event: it takes the other in")
    right_subject = models.IntegerField()
    kind = models.TextField(choices=[(kind.value, kind.value) for kind in LinkKind])
    ts = models.DateTimeField()
    event_id = models.TextField()
    actor = models.TextField(default="", blank=True)
    reason = models.TextField(default="", blank=True)
    verdict = models.TextField(choices=EdgeVerdict.choices, default=EdgeVerdict.APPLIED)
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.TextField(default="", blank=True)

    class Meta:
        db_table = "bw_identity_edge"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "left_subject", "right_subject", "kind", "event_id"], name="bw_identity_edge_once"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "left_subject"], name="bw_identity_edge_left"),
            models.Index(fields=["tenant", "right_subject"], name="bw_identity_edge_right"),
        ]

    def __str__(self) -> str:
        return f"{self.left_subject} ← {self.right_subject} ({self.kind})"


class Profile(models.Model):
    """Traits of a subject; the sensitive ones only as ciphertext under the subject's key."""

    id = models.BigAutoField(primary_key=True)
    tenant = TenantForeignKey(db_constraint=False)
    subject_id = models.IntegerField()
    traits = models.JSONField(default=dict, blank=True)
    sealed_traits = models.BinaryField(null=True)
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "bw_profile"
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant", "subject_id"], name="bw_profile_once")]

    def __str__(self) -> str:
        return f"traits of subject {self.subject_id}"


class Group(models.Model):
    """An account, company or team that events belong to."""

    id = models.BigAutoField(primary_key=True)
    tenant = TenantForeignKey(db_constraint=False)
    type = models.TextField()
    key = models.TextField()
    traits = models.JSONField(default=dict, blank=True)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "bw_group"
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant", "type", "key"], name="bw_group_once")]

    def __str__(self) -> str:
        return f"{self.type} {self.key}"


class Session(models.Model):
    """A visit: the SDK's session, else events of a person less than 30 minutes apart. Derived; may be rebuilt."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey(db_constraint=False)
    person_id = models.IntegerField()
    sdk_id = models.TextField(null=True)  # noqa: DJ001
    start = models.DateTimeField()
    end = models.DateTimeField()
    events = models.IntegerField()
    pageviews = models.IntegerField(default=0)
    platform = models.TextField(null=True)  # noqa: DJ001
    country = models.TextField(null=True)  # noqa: DJ001
    campaign = models.TextField(null=True)  # noqa: DJ001
    channel = models.TextField(null=True)  # noqa: DJ001
    is_bot = models.BooleanField(default=False)
    is_internal = models.BooleanField(default=False)

    class Meta:
        db_table = "bw_session"
        indexes: ClassVar = [
            models.Index(fields=["tenant", "start"], name="bw_session_start"),
            models.Index(fields=["tenant", "person_id", "start"], name="bw_session_person"),
        ]

    def __str__(self) -> str:
        return f"session of person {self.person_id} at {self.start:%Y-%m-%d %H:%M}"


class Suppression(models.Model):
    """An erased distinct id, as a keyed digest only: its late events are refused."""

    digest = models.UUIDField(primary_key=True)
    tenant = TenantForeignKey(db_constraint=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "bw_suppression"

    def __str__(self) -> str:
        return "erased identity"
