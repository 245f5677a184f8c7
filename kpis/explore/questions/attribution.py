"""Attribution as a kind of question."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from analytics.capture.money import exponents
from kpis import attribution
from kpis.attribution.answer import AttributionAnswer, Credit
from kpis.attribution.question import PAGES, SALES, Attribution
from kpis.attribution.reading import buyers_before
from kpis.explore.bodies import AttributionBody
from kpis.explore.channels import costs_by_key, rules_of
from kpis.explore.grammar import Asking, pick_of, range_of
from kpis.explore.kinds import Desk, Opening, QuestionKind, kinds
from kpis.explore.picks import EventPick
from kpis.explore.plain import money, plain

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
        conversion=pick_of(wanted["conversion"]) if wanted.get("conversion") else SALES,
        touches=pick_of(wanted["touches"]) if wanted.get("touches") else PAGES,
    )


def attribution_answer(question: Attribution, desk: Desk) -> dict[str, Any]:
    columns, properties = attribution.columns_of(question)
    names = attribution.names_of(question)
    sold_before = Opening(
        start=question.sales_from - BEGINNING,
        end=question.sales_from,
        columns=("name", "person_id", "ts", "is_bot", "is_internal", *_columns_in(question.conversion)),
        properties=_properties_in(question.conversion),
        names=question.conversion.all_names,
    )
    with desk.open(sold_before) as history:
        known = buyers_before(history, question)
    desk.progress(1, 3)
    end = question.end if question.refunds == "on_their_day" else max(question.end, desk.asking.now)
    span = Opening(start=question.touches_from, end=end, columns=columns, properties=properties, names=names)
    asking = desk.asking
    with desk.open(span) as source:
        found = attribution.attribution_read(
            source,
            question,
            timezone=asking.calendar.zone,
            currency=asking.tenant.base_currency,
            now=asking.now,
            costs=costs_by_key(question, asking),
            known_before=known,
        )
    return attribution_plain(found)


def _columns_in(pick: EventPick) -> tuple[str, ...]:
    found = (test.field for test in pick.where if not test.field.startswith("properties."))
    return tuple(name for name in dict.fromkeys(found) if name not in ("name", "is_bot", "is_internal"))


def _properties_in(pick: EventPick) -> tuple[str, ...]:
    found = (test.field for test in pick.where if test.field.startswith("properties."))
    return tuple(dict.fromkeys(name.removeprefix("properties.") for name in found))


def attribution_plain(found: AttributionAnswer) -> dict[str, Any]:
    exponent = exponents().get(found.currency, 2)
    amounts = ("gross", "refunded", "revenue", "unmatched_refunds")
    counts = ("conversions", "new_customers", "touched", "touches", "unvalued", "mean_touches", "currency", "reading")
    return {
        **{name: money(getattr(found, name), exponent) for name in amounts},
        **{name: plain(getattr(found, name)) for name in counts},
        "by": found.question.by,
        "touch": found.question.touch,
        "models": [
            {"model": table.model, "credits": [_credit_plain(credit, found, exponent) for credit in table.credits]}
            for table in found.models
        ],
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


kinds.register(
    QuestionKind(
        id="attribution",
        body=AttributionBody,
        build=attribution_of,
        picks=lambda question: (question.conversion, question.touches),
        answer=attribution_answer,
    )
)
