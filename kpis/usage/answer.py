"""`GET usage/` as JSON-ready values: features, platforms, automations, posts, each with what it stands on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
from django.db.models import Sum
from pyroaring import BitMap, FrozenBitMap

from analytics.cache import DEFINITIONS, METRICS, USAGE, Audience, cache
from analytics.capture.money import exponents
from analytics.contracts import TenantInfo
from analytics.models import Tenant
from analytics.periods import Granularity, from_micros
from analytics.tenancy import tenant_context
from kpis.base import Unit
from kpis.contracts import OTHER, Series, written
from kpis.daily_visitors import among, is_of_days
from kpis.explore.grammar import Asking
from kpis.explore.intervals import Interval
from kpis.explore.kinds import Known, Opening, opener
from kpis.explore.models import MarketingCost
from kpis.explore.plain import money, plain
from kpis.explore.stamp import Stamp, fingerprint
from kpis.groups import SMALLEST
from kpis.mapping import names_meaning
from kpis.needs import Need
from kpis.parameters import Ask
from kpis.rollup.keys import NONE_KEY
from kpis.segments.selectors import overlap
from kpis.series import metrics_series
from kpis.series.context import context_read, micros
from kpis.series.read import Selection, strips_read
from kpis.series.strips import members
from kpis.taxonomy import NOT_ACTIVITY
from kpis.usage import reading
from kpis.usage.association import LEVEL, Correlation
from kpis.usage.features import AGAIN_DAYS, FeatureUse, People, features_used
from kpis.usage.platforms import Together, pairs_of, platforms_together
from kpis.usage.posts import Impact, PostImpact, Share, impact_of
from kpis.usage.small import features_for_strangers, posts_for_strangers

VERSION: Final = 1
MOST_PLATFORMS: Final = 6
LONGEST_WINDOW: Final = timedelta(days=90)
DEFAULT_WINDOW: Final = timedelta(days=7)
ACTIVE: Final = "users.active"
DAILY: Final = {"engagement": "events.count", "revenue": "revenue.gross"}
NOT_ONE: Final = frozenset({"", NONE_KEY, OTHER})
"""Keys of a breakdown that are no platform."""
AUTOMATION: Final = {
    "hours_saved": "automation.hours_saved",
    "efficiency": "automation.efficiency",
    "completed": "automation.completed",
    "failed": "automation.failed",
    "runs": "automation.runs",
}
METHOD: Final = (
    "Association, not cause: people who use more and buy more may do both for a third reason. Intervals are 95 % by "
    "Fisher's z; those of daily series take days for independent, so they are narrower than they ought to be. At the "
    "lag with the strongest coefficient the interval is widened for having looked at all lags (Bonferroni)."
)


@dataclass(frozen=True, slots=True)
class UsageAsk:
    """A question about use. `window` is how long after a reaction a sale counts for a post.

    `is_shared`: whoever reads it may not see people, so groups of fewer than five are left out.
    """

    ask: Ask
    window: timedelta = DEFAULT_WINDOW
    is_shared: bool = True


def usage_read(
    *, tenant: TenantInfo, question: UsageAsk, audience: Audience | None = None, timeout: float | None = None
) -> dict[str, Any]:
    """The whole answer, remembered for an audience. Raises QuestionError, NoCalendar, LakeError."""

    def compute() -> dict[str, Any]:
        return _usage(tenant, question, timeout)

    if audience is None:
        return compute()
    ask = question.ask
    asked = {
        "from": ask.period.start,
        "to": "now" if ask.period.end == ask.now else ask.period.end,
        "include": ask.include,
        "limit": ask.limit,
        "window": question.window.total_seconds(),
        "shared": question.is_shared,
    }
    return cache().answer(
        audience=audience,
        name="usage",
        question=repr(asked),
        compute=compute,
        ttl=USAGE,
        tags=(METRICS, DEFINITIONS),
    )


def _usage(tenant: TenantInfo, question: UsageAsk, timeout: float | None) -> dict[str, Any]:
    ask = question.ask
    wanted = _wanted(tenant, question)
    costs = costs_of_campaigns(tenant, ask)
    start, end = wanted.opens
    exponent = exponents().get(tenant.base_currency, 2)
    asking = Asking(tenant, ask.now)
    known = Known(asking)
    with opener(asking, timeout=timeout, known=known)(Opening(start=start, end=end, columns=reading.COLUMNS)) as source:
        people = reading.people_read(source, wanted)
        uses, names, span = reading.uses_read(source, wanted)
        posts, reactions, sales, shares, frame = reading.posts_read(source, wanted, costs)
        stamp = _stamp(source.data_through, source.engine, tenant, question)
    features = features_used(uses, names, people, span, limit=ask.limit)
    impact = impact_of(posts, reactions, sales, shares, frame, limit=ask.limit)
    everybody = len(people.person)
    if question.is_shared:
        features = features_for_strangers(features, everybody)
    return {
        **stamp.plain(),
        "currency": tenant.base_currency,
        "method": METHOD,
        "smallest_group": SMALLEST if question.is_shared else None,
        "active_users": everybody,
        **_daily(people, question, known),
        "payers": _payers(people, question),
        "features": [_feature(feature, exponent) for feature in features],
        "platforms": platforms_plain(tenant, question),
        "automation": automation_plain(tenant, ask),
        "posts": posts_plain(impact, question, exponent),
    }


def _daily(people: People, question: UsageAsk, known: Known) -> dict[str, Any]:
    """The daily visitors among the active (S35); strangers are told of no small group, nor of one that is left."""
    period = question.ask.period
    if not known.daily or not is_of_days(period.start, period.end):
        return {}
    found = among(FrozenBitMap(people.person.astype(np.uint32)), known.daily)
    rest = len(people.person) - (found.count if found else 0)
    is_small = found is not None and (found.count < SMALLEST or 0 < rest < SMALLEST)
    return {} if found is None or (question.is_shared and is_small) else {"daily_visitors": found.plain()}


def _wanted(tenant: TenantInfo, question: UsageAsk) -> reading.Wanted:
    ask = question.ask
    with tenant_context(tenant.id):
        names = {role: tuple(names_meaning(tenant.id, *events)) for role, events in reading.ROLES.items()}
        settings = Tenant.objects.values_list("settings", flat=True).get(pk=tenant.id)
    return reading.Wanted(
        start=ask.period.start,
        end=ask.period.end,
        window=question.window,
        calendar=ask.calendar,
        names=names,
        inactive=tuple(sorted(NOT_ACTIVITY | set(settings.get("inactive_events", ())))),
        include=ask.include,
        now=ask.now,
    )


def _stamp(through: datetime, engine: str, tenant: TenantInfo, question: UsageAsk) -> Stamp:
    ask = question.ask
    return Stamp(
        timezone=tenant.zone,
        start=ask.period.start,
        end=ask.period.end,
        filters=(),
        include=ask.include,
        definition_version=fingerprint(VERSION, (sorted(reading.ROLES.items()), DAILY, AUTOMATION)),
        data_through=through,
        is_complete=through >= ask.period.end,
        computed_at=ask.now,
        executor=f"{engine}+kernel",
    )


def _payers(people: People, question: UsageAsk) -> int | None:
    found = int(people.is_payer.sum())
    return None if question.is_shared and 0 < found < SMALLEST else found


def _feature(feature: FeatureUse, exponent: int) -> dict[str, Any]:
    shown: dict[str, Any] = plain(feature)
    for name in ("revenue_per_user", "revenue_per_other"):
        shown[name] = money(_decimal(shown[name]), exponent)
    return {**shown, "again_within_days": AGAIN_DAYS}


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(repr(value))


# --- Platforms --------------------------------------------------------------------------------------------------------


def platforms_plain(tenant: TenantInfo, question: UsageAsk) -> dict[str, Any]:
    """Platforms with their people, what they share, and how their days go together."""
    ask = question.ask
    arguments = {**ask.arguments(), "by": "platform", "compare": None, "filters": (), "limit": MOST_PLATFORMS}
    found = metrics_series(**{**arguments, "tenant_id": tenant.id, "metrics": list(DAILY.values()), "grain": "day"})
    series = dict(zip(DAILY, found, strict=True))
    names = sorted({part.key for each in found for part in each.series} - NOT_ONE)
    people = _people_of_platforms(tenant, ask, names)
    pairs = platforms_together({measure: _days(each) for measure, each in series.items()})
    return {
        "platforms": [
            {
                "platform": name,
                "users": len(people[name]),
                **{measure: _total(each, name) for measure, each in series.items()},
            }
            for name in names
        ],
        "is_cut": any(part.key == OTHER for each in found for part in each.series),
        "shared_users": [_shared(one, two, people, question) for one, two in pairs_of(names)],
        "together": [_together(pair) for pair in pairs],
        "level": LEVEL,
    }


def _people_of_platforms(tenant: TenantInfo, ask: Ask, names: Sequence[str]) -> Mapping[str, BitMap]:
    with tenant_context(tenant.id):
        context = context_read(tenant_id=tenant.id, now=ask.now)
        need = Need(ACTIVE, ask.period.start, ask.period.end)
        selection = Selection("platform", tuple(names), frozenset(ask.include))
        strips = strips_read(context, {need}, selection, Granularity.DAY)
        span = micros((ask.period.start, ask.period.end))
        return {name: BitMap(members(strips.shelf([name]).strip(ACTIVE).merged(span))) for name in names}


def _days(series: Series) -> dict[str, Any]:
    """By platform, the values of days that are over; NaN for others."""
    return {
        part.key: np.array(
            [float(point.value) if point.is_complete and point.value is not None else np.nan for point in part.points]
        )
        for part in series.series
        if part.key not in NOT_ONE
    }


def _total(series: Series, name: str) -> Any:
    """A value of the dimension that has none in an additive metric had nothing of it."""
    found = next((part.total for part in series.series if part.key == name), None)
    is_nothing = found is None and series.total is not None and series.unit is not Unit.RATIO
    return written(Decimal(0) if is_nothing else found, series.unit, series.exponent)


def _shared(one: str, two: str, people: Mapping[str, BitMap], question: UsageAsk) -> dict[str, Any]:
    found = overlap(people[one], people[two])
    is_small = question.is_shared and 0 < found.both < SMALLEST
    return {
        "first": one,
        "second": two,
        "both": None if is_small else found.both,
        "share_of_first": None if is_small or not found.first else found.both / found.first,
        "share_of_second": None if is_small or not found.second else found.both / found.second,
        "share_of_either": None if is_small else found.share,
    }


def _together(pair: Together) -> dict[str, Any]:
    return {**plain(pair), "reading": reading_of(pair)}


def reading_of(pair: Together) -> str:
    """The strongest lag in words, of its own numbers only."""
    one, two = f"{pair.first_measure} on “{pair.first}”", f"{pair.second_measure} on “{pair.second}”"
    told = in_words(pair.lagged)
    if pair.lag == 0:
        return f"{one} and {two} go together most on the same day: {told}."
    ahead, behind, days = (one, two, pair.lag) if pair.lag > 0 else (two, one, -pair.lag)
    return f"{ahead} comes {days} day{'s' if days > 1 else ''} before {behind} where they go together most: {told}."


def in_words(found: Correlation) -> str:
    """A coefficient with its interval, and what to make of it."""
    if found.value is None:
        return found.note or "not known"
    if found.low is None or found.high is None:
        return f"{found.value:.2f} ({found.note})"
    verdict = "" if Interval(found.low, found.high).is_clear else ", which may as well be none"
    low_data = f"; {found.note}" if found.note else ""
    return f"{found.value:.2f}, between {found.low:.2f} and {found.high:.2f}{verdict}{low_data}"


# --- Automations ------------------------------------------------------------------------------------------------------


def automation_plain(tenant: TenantInfo, ask: Ask) -> dict[str, Any]:
    """Hours saved and efficiency, in total and by automation."""
    arguments = {**ask.arguments(), "compare": None, "filters": (), "grain": "total", "tenant_id": tenant.id}
    names = list(AUTOMATION.values())
    whole = metrics_series(**{**arguments, "metrics": names, "by": None})
    split = metrics_series(**{**arguments, "metrics": names, "by": "object_id"})
    columns = dict(zip(AUTOMATION, split, strict=True))
    keys = [part.key for part in columns["runs"].series]
    return {
        **{name: written(each.total, each.unit, each.exponent) for name, each in zip(AUTOMATION, whole, strict=True)},
        "by_automation": [
            {"automation": key, **{name: _total(each, key) for name, each in columns.items()}} for key in keys
        ],
    }


# --- Posts ------------------------------------------------------------------------------------------------------------


def costs_of_campaigns(tenant: TenantInfo, ask: Ask) -> dict[str, int]:
    """Imported costs of the range's local days by campaign, in minor units of the base currency."""
    first = ask.calendar.local_date(ask.period.start)
    last = ask.calendar.local_date(ask.period.end - timedelta(microseconds=1))
    with tenant_context(tenant.id):
        rows = MarketingCost.objects.filter(
            tenant_id=tenant.id, day__gte=first, day__lte=last, amount_base__isnull=False
        ).exclude(campaign="")
        return {name: int(total) for name, total in rows.values_list("campaign").annotate(total=Sum("amount_base"))}


def posts_plain(impact: Impact, question: UsageAsk, exponent: int) -> dict[str, Any]:
    """Posts with what came after them."""
    posts: Iterable[PostImpact] = posts_for_strangers(impact.posts) if question.is_shared else impact.posts
    return {
        "window_seconds": int(question.window.total_seconds()),
        "conversions": impact.conversions,
        "revenue": money(impact.revenue, exponent),
        "untouched": _share(impact.untouched, exponent),
        "results": [_post(post, exponent) for post in posts],
    }


def _post(post: PostImpact, exponent: int) -> dict[str, Any]:
    shown: dict[str, Any] = plain(post)
    return {
        **shown,
        "published_at": None if post.published_at is None else from_micros(post.published_at).isoformat(),
        "last": _share(post.last, exponent),
        "linear": _share(post.linear, exponent),
        "cost": money(post.cost, exponent),
    }


def _share(share: Share | None, exponent: int) -> dict[str, Any] | None:
    return None if share is None else {"conversions": share.conversions, "revenue": money(share.revenue, exponent)}
