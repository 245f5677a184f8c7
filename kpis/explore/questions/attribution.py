"""Attribution as a kind of question."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pyroaring import BitMap

from analytics.capture.money import exponents
from kpis import attribution
from kpis.attribution.answer import AttributionAnswer, Credit
from kpis.attribution.question import PAGES, SALES, Attribution
from kpis.attribution.reading import buyers_before
from kpis.attribution.versus import AttributionComparison, CreditChange
from kpis.daily_visitors import beside
from kpis.explore.bodies import AttributionBody
from kpis.explore.channels import costs_by_key, rules_of
from kpis.explore.grammar import Asking, against_of, pick_of, range_of
from kpis.explore.kinds import Desk, Opening, QuestionKind, kinds
from kpis.explore.picks import EventPick
from kpis.explore.plain import money, plain
from kpis.series.question import QuestionError

BEGINNING = timedelta(days=3660)


def attribution_of(wanted: Mapping[str, Any], asking: Asking) -> Attribution:
    """Checked JSON as a question of attribution, with the tenant's channel rules. Raises QuestionError."""
    period = range_of(wanted, asking)
    return Attribution(
        start=period.start,
        end=period.end,
        touch=wanted["touch"],
        lookback=wanted["lookback"],
        half_life=wanted["half_life"],
        models=tuple(dict.fromkeys(wanted["models"])),
        by=wanted["by"],
        refunds=wanted["refunds"],
        rules=rules_of(tenant_id=asking.tenant.id),
        filters=tuple(wanted["filters"]),
        include=tuple(wanted["include"]),
        limit=wanted["limit"],
        against=against_of(wanted, period, asking),
        conversion=pick_of(wanted["conversion"]) if wanted.get("conversion") else SALES,
        touches=pick_of(wanted["touches"]) if wanted.get("touches") else PAGES,
    )


def attribution_answer(question: Attribution, desk: Desk) -> dict[str, Any]:
    other, steps = question.other, 3 if question.against is None else 5
    found = _answered(question, desk, has_samples=other is not None, begun=1, steps=steps)
    if other is not None:
        before = _answered(other, desk, has_samples=True, begun=3, steps=steps)
        found = attribution.with_other(found, before)
    return attribution_plain(found)


def _answered(question: Attribution, desk: Desk, *, has_samples: bool, begun: int, steps: int) -> AttributionAnswer:
    """Of one range; `begun` of the `steps` of the whole work are done when its buyers of before are known."""
    sold_before = Opening(
        start=question.sales_from - BEGINNING,
        end=question.sales_from,
        columns=("name", "person_id", "ts", "is_bot", "is_internal", *_columns_in(question.conversion)),
        properties=_properties_in(question.conversion),
        names=question.conversion.all_names,
    )
    with desk.open(sold_before) as history:
        known = buyers_before(history, question)
    desk.progress(begun, steps)
    asking = desk.asking
    with desk.open(_opening(question, asking)) as source:
        found = attribution.attribution_read(
            source,
            question,
            timezone=asking.calendar.zone,
            currency=asking.tenant.base_currency,
            now=asking.now,
            costs=costs_by_key(question, asking),
            known_before=known,
            with_samples=has_samples,
            daily=desk.known.daily,
        )
    desk.progress(begun + 1, steps)
    return found


def _opening(question: Attribution, asking: Asking) -> Opening:
    columns, properties = attribution.columns_of(question)
    end = question.end if question.refunds == "on_their_day" else max(question.end, asking.now)
    names = attribution.names_of(question)
    return Opening(start=question.touches_from, end=end, columns=columns, properties=properties, names=names)


def attribution_who(question: Attribution, place: Mapping[str, Any], desk: Desk) -> BitMap:
    """`place`: {"model": "last", "key": "email"}, as the credits of the answer have them."""
    model, key = place.get("model"), place.get("key")
    if model not in question.models or not isinstance(key, str):
        raise QuestionError("say `model`, one of the question's, and the `key` of a credit under it", "place")
    with desk.open(_opening(question, desk.asking)) as source:
        return attribution.attribution_people(source, question, model=str(model), key=key)


def _columns_in(pick: EventPick) -> tuple[str, ...]:
    found = (test.field for test in pick.where if not test.field.startswith("properties."))
    return tuple(name for name in dict.fromkeys(found) if name not in ("name", "is_bot", "is_internal"))


def _properties_in(pick: EventPick) -> tuple[str, ...]:
    found = (test.field for test in pick.where if test.field.startswith("properties."))
    return tuple(dict.fromkeys(name.removeprefix("properties.") for name in found))


def attribution_plain(found: AttributionAnswer) -> dict[str, Any]:
    exponent = exponents().get(found.currency, 2)
    amounts = ("gross", "refunded", "revenue", "unmatched_refunds")
    counts = ("conversions", "new_customers", "touched", "touches", "unvalued", "mean_touches", "currency")
    return {
        **{name: money(getattr(found, name), exponent) for name in amounts},
        **{name: plain(getattr(found, name)) for name in counts},
        **beside(found.reading, found.daily_visitors, whom="new customers"),
        "by": found.question.by,
        "touch": found.question.touch,
        "models": [
            {"model": table.model, "credits": [_credit_plain(credit, found, exponent) for credit in table.credits]}
            for table in found.models
        ],
        "comparison": _comparison_plain(found.comparison, exponent),
        **found.stamp.plain(),
    }


def _credit_plain(credit: Credit, found: AttributionAnswer, exponent: int) -> dict[str, Any]:
    return {
        "key": credit.key,
        "revenue": money(credit.revenue, exponent),
        "share": credit.revenue / found.revenue if found.revenue else None,
        "conversions": credit.conversions,
        "new_customers": credit.new_customers,
        "cost": money(credit.cost, exponent),
        "cac": money(credit.cac, exponent),
        "cost_per_conversion": money(credit.cost_per_conversion, exponent),
        "roas": None if credit.roas is None else round(float(credit.roas), 6),
    }


def _comparison_plain(other: AttributionComparison | None, exponent: int) -> dict[str, Any] | None:
    if other is None:
        return None
    return {
        "from": other.start.isoformat(),
        "to": other.end.isoformat(),
        "conversions": other.conversions,
        "touched": other.touched,
        "revenue": money(other.revenue, exponent),
        "models": [
            {"model": table.model, "changes": [_change_plain(change, exponent) for change in table.changes]}
            for table in other.models
        ],
    }


def _change_plain(change: CreditChange, exponent: int) -> dict[str, Any]:
    amounts = ("revenue", "revenue_before", "revenue_difference")
    span = change.revenue_interval
    edges = span and {"low": money(Decimal(span.low), exponent), "high": money(Decimal(span.high), exponent)}
    return {**plain(change), **{name: money(getattr(change, name), exponent) for name in amounts},
            "revenue_interval": edges}  # fmt: skip


kinds.register(
    QuestionKind(
        id="attribution",
        body=AttributionBody,
        build=attribution_of,
        picks=lambda question: (question.conversion, question.touches),
        answer=attribution_answer,
        people=attribution_who,
    )
)
