"""What exploration keeps: the tenant's channel rules, what its marketing cost, and who looked at whose list."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from analytics.models.base import TenantForeignKey


class ChannelRule(models.Model):
    """One line of the table that makes channels of touches: the first rule by `place` that fits wins.

    The parts are lists of patterns separated by commas; `kpis.attribution.channels` says how they fit. A tenant without
    rules of its own has the built-in ones.
    """

    id = models.BigAutoField(primary_key=True)
    tenant = TenantForeignKey()
    place = models.PositiveIntegerField(help_text="rules are tried in this order")
    channel = models.CharField(max_length=60)
    source = models.CharField(max_length=1000, default="", blank=True)
    medium = models.CharField(max_length=1000, default="", blank=True)
    campaign = models.CharField(max_length=1000, default="", blank=True)
    referrer = models.CharField(max_length=1000, default="", blank=True)
    is_paid = models.BooleanField(default=False)

    class Meta:
        db_table = "bw_channel_rule"
        ordering: ClassVar = ["place", "id"]
        indexes: ClassVar = [models.Index(fields=["tenant", "place"], name="bw_channel_rule_place")]

    def __str__(self) -> str:
        return f"{self.place}: {self.channel}"


class MarketingCost(models.Model):
    """What was spent on a channel (and campaign, '' for none in particular) on a local day.

    `amount` in minor units of `currency`; `amount_base` in those of the base currency at that day's rate, null while
    there is none.
    """

    id = models.BigAutoField(primary_key=True)
    tenant = TenantForeignKey()
    day = models.DateField()
    channel = models.CharField(max_length=400)
    campaign = models.CharField(max_length=400, default="", blank=True)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    amount_base = models.BigIntegerField(null=True)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "bw_marketing_cost"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "day", "channel", "campaign", "currency"], name="bw_marketing_cost_once"
            ),
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="bw_marketing_cost_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.campaign} on {self.day}"


class PeopleRead(models.Model):
    """That somebody was shown a list of people, or one person's events. Rows are only ever added."""

    id = models.BigAutoField(primary_key=True)
    tenant = TenantForeignKey(db_constraint=False)
    at = models.DateTimeField()
    actor = models.TextField()
    what = models.TextField(help_text="explore.funnel, timeline …")
    question = models.JSONField(default=dict, blank=True)
    people = models.IntegerField(help_text="how many were shown")

    class Meta:
        db_table = "bw_people_read"
        verbose_name = "reading of people"
        verbose_name_plural = "readings of people"
        indexes: ClassVar = [models.Index(fields=["tenant", "at"], name="bw_people_read_at")]

    def __str__(self) -> str:
        return f"{self.actor} read {self.people} of {self.what}"
