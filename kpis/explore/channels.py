"""The tenant's channel rules and what its channels cost: read and written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django.db import transaction
from django.db.models import Sum

from analytics.cache import DEFINITIONS, drop_after_commit
from analytics.capture import money
from analytics.capture.limits import Unfit
from analytics.contracts import TenantInfo
from analytics.locks import REPLACING, hold
from analytics.models import ExchangeRate
from analytics.rates import convert
from analytics.tenancy import tenant_context
from kpis.attribution.channels import DEFAULT_RULES, ChannelRule
from kpis.attribution.question import Attribution
from kpis.explore import models
from kpis.explore.grammar import Asking
from kpis.series.question import QuestionError

MAX_RULES: Final = 200
MAX_COSTS: Final = 10_000
PARTS: Final = ("channel", "source", "medium", "campaign", "referrer")


def rules_of(*, tenant_id: int) -> tuple[ChannelRule, ...]:
    """The tenant's rules in their order, or the built-in ones."""
    with tenant_context(tenant_id):
        rows = list(models.ChannelRule.objects.filter(tenant_id=tenant_id).order_by("place", "id"))
    found = tuple(ChannelRule(**{part: getattr(row, part) for part in PARTS}, is_paid=row.is_paid) for row in rows)
    return found or DEFAULT_RULES


def has_own_rules(*, tenant_id: int) -> bool:
    with tenant_context(tenant_id):
        return models.ChannelRule.objects.filter(tenant_id=tenant_id).exists()


def rules_replace(*, tenant_id: int, rules: Sequence[Mapping[str, Any]]) -> tuple[ChannelRule, ...]:
    """Put these in place of the tenant's rules, in this order; none at all brings the built-in ones back."""
    if len(rules) > MAX_RULES:
        raise QuestionError(f"at most {MAX_RULES} rules", "rules")
    with tenant_context(tenant_id), transaction.atomic():
        hold(REPLACING, tenant_id)
        models.ChannelRule.objects.filter(tenant_id=tenant_id).delete()
        models.ChannelRule.objects.bulk_create(
            models.ChannelRule(tenant_id=tenant_id, place=place, **rule) for place, rule in enumerate(rules, start=1)
        )
        drop_after_commit(DEFINITIONS, tenant_id=tenant_id)
    return rules_of(tenant_id=tenant_id)


@dataclass(frozen=True, slots=True)
class Cost:
    """What was spent on one channel on one local day; `amount` in whole units of `currency`."""

    day: date
    channel: str
    amount: Decimal
    currency: str
    campaign: str = ""


@dataclass(frozen=True, slots=True)
class CostsImported:
    """`without_rate`: rows that have no worth in the base currency until a rate of their day arrives."""

    stored: int
    without_rate: int


def costs_import(*, tenant: TenantInfo, costs: Sequence[Cost], now: datetime) -> CostsImported:
    """Store costs; the same day, channel, campaign and currency again replaces what was told before."""
    if len(costs) > MAX_COSTS:
        raise QuestionError(f"at most {MAX_COSTS} rows at once", "costs")
    with tenant_context(tenant.id), transaction.atomic():
        rates = _rates(tenant, costs)
        rows = {
            (cost.day, cost.channel, cost.campaign, cost.currency): _row(tenant, cost, rates, now) for cost in costs
        }
        models.MarketingCost.objects.bulk_create(
            [rows[key] for key in sorted(rows)],
            update_conflicts=True,
            unique_fields=["tenant", "day", "channel", "campaign", "currency"],
            update_fields=["amount", "amount_base", "updated_at"],
        )
        drop_after_commit(DEFINITIONS, tenant_id=tenant.id)
    return CostsImported(len(rows), sum(row.amount_base is None for row in rows.values()))


def cost_remove(*, tenant_id: int, cost_id: int) -> bool:
    """Forget one cost; False when the tenant has no such one."""
    with tenant_context(tenant_id), transaction.atomic():
        gone, _ = models.MarketingCost.objects.filter(tenant_id=tenant_id, pk=cost_id).delete()
        drop_after_commit(DEFINITIONS, tenant_id=tenant_id)
    return bool(gone)


def _row(
    tenant: TenantInfo, cost: Cost, rates: Mapping[tuple[date, str], Decimal], now: datetime
) -> models.MarketingCost:
    minor = money.minor_units(cost.amount, cost.currency)
    rate = Decimal(1) if cost.currency == tenant.base_currency else rates.get((cost.day, cost.currency))
    return models.MarketingCost(
        tenant_id=tenant.id,
        day=cost.day,
        channel=cost.channel,
        campaign=cost.campaign,
        amount=minor,
        currency=cost.currency,
        amount_base=None if rate is None else convert(minor, cost.currency, tenant.base_currency, rate),
        updated_at=now,
    )


def _rates(tenant: TenantInfo, costs: Iterable[Cost]) -> dict[tuple[date, str], Decimal]:
    foreign = [cost for cost in costs if cost.currency != tenant.base_currency]
    found = ExchangeRate.objects.filter(
        tenant_id=tenant.id, day__in={cost.day for cost in foreign}, currency__in={cost.currency for cost in foreign}
    )
    return {(row.day, row.currency): row.rate for row in found} if foreign else {}


def costs_read(text: str, base_currency: str) -> Iterator[Cost]:
    """Rows of a CSV with the columns day, channel, amount and, if need be, currency and campaign.

    Raises QuestionError that names the line.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    known = {"day", "channel", "amount", "currency", "campaign"}
    header = {name.strip().lower(): name for name in reader.fieldnames or () if name}
    if not {"day", "channel", "amount"} <= header.keys() or header.keys() - known:
        raise QuestionError(
            "the first line names the columns: day, channel, amount and, if you like, currency, campaign", "csv"
        )
    for number, row in enumerate(reader, start=2):
        yield _cost({name: (row.get(column) or "").strip() for name, column in header.items()}, base_currency, number)


def _cost(row: Mapping[str, str], base_currency: str, line: int) -> Cost:
    try:
        amount = Decimal(row["amount"])
        currency = money.currency_code(row.get("currency") or base_currency)
        if not row["channel"] or not amount.is_finite() or amount < 0 or len(row["channel"]) > 400:
            raise ValueError
        return Cost(date.fromisoformat(row["day"]), row["channel"], amount, currency, row.get("campaign", "")[:400])
    except (ValueError, InvalidOperation, Unfit):
        raise QuestionError(
            f"line {line} is no cost: write day (2026-11-21), channel, amount (12.50, not below 0), ISO currency",
            "csv",
        ) from None


def costs_by_key(question: Attribution, asking: Asking) -> dict[str, int]:
    """Costs of the range's local days in minor units of the base currency, by what the question gives credit to.

    Told by channel and by campaign; sources, mediums and referrers have no costs of their own.
    """
    if question.by not in ("channel", "campaign"):
        return {}
    first = asking.calendar.local_date(question.start)
    last = asking.calendar.local_date(question.end - timedelta(microseconds=1))
    with tenant_context(asking.tenant.id):
        rows = models.MarketingCost.objects.filter(
            tenant_id=asking.tenant.id, day__gte=first, day__lte=last, amount_base__isnull=False
        )
        sums = rows.exclude(**{question.by: ""}).values_list(question.by).annotate(total=Sum("amount_base"))
        return {key: int(total) for key, total in sums}
