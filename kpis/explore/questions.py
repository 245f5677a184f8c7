"""The kinds that exist. Each is an entry: its JSON, its frozen question, its answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pyroaring import BitMap

from analytics.capture.money import exponents
from kpis import attribution, funnels
from kpis.attribution.answer import AttributionAnswer, Credit
from kpis.attribution.question import PAGES, SALES, Attribution
from kpis.attribution.reading import buyers_before
from kpis.explore.bodies import AttributionBody, FunnelBody
from kpis.explore.channels import costs_by_key, rules_of
from kpis.explore.grammar import Asking, against_of, pick_of, range_of
from kpis.explore.kinds import Desk, Opening, QuestionKind, kinds
from kpis.explore.picks import EventPick
from kpis.explore.plain import money, plain
from kpis.funnels import Exclusion, Funnel, FunnelAnswer, Step
from kpis.funnels.rows import names_wanted, picks_of
from kpis.series.question import QuestionError

BEGINNING = timedelta(days=3660)


# --- Funnels ----------------------------------------------------------------------------------------------------------


def funnel_of(wanted: Mapping[str, Any], asking: Asking) -> Funnel:
    """Checked JSON as a funnel. Raises QuestionError."""
    period = range_of(wanted, asking)
    return Funnel(
        steps=tuple(Step(pick_of(step), step["label"], step["optional"], step["within"]) for step in wanted["steps"]),
        start=period.start,
        end=period.end,
        window=wanted["window"],
        order=wanted["order"],
        entry=wanted["entry"],
        exclusions=tuple(Exclusion(pick_of(one), one["after"], one["before"]) for one in wanted["exclusions"]),
        hold=wanted["hold"] or None,
        filters=tuple(wanted["filters"]),
        include=tuple(wanted["include"]),
        by=wanted["by"] or None,
        at=wanted["at"],
        limit=wanted["limit"],
        against=against_of(wanted, period, asking),
    )


def _funnel_opening(funnel: Funnel) -> Opening:
    columns, properties = funnels.columns_of(funnel)
    names = names_wanted(picks_of(funnel)) if funnel.order != "strict" else ()
    start, end = funnel.span
    if funnel.against is not None:
        start, end = min(start, funnel.against[0]), max(end, funnel.against[1] + funnel.window)
    return Opening(start=start, end=end, columns=columns, properties=properties, names=names)


def funnel_answer(funnel: Funnel, desk: Desk) -> dict[str, Any]:
    with desk.open(_funnel_opening(funnel)) as source:
        found = funnels.funnel_read(source, funnel, timezone=desk.asking.calendar.zone, now=desk.asking.now)
    return funnel_plain(found)


def funnel_plain(found: FunnelAnswer) -> dict[str, Any]:
    other = found.comparison
    return {
        "entered": found.entered,
        "converted": found.converted,
        "excluded": found.excluded,
        "window_seconds": int(found.question.window.total_seconds()),
        "steps": plain(found.steps),
        "breakdown": plain(found.breakdown),
        "comparison": None
        if other is None
        else {
            "from": other.answer.stamp.start.isoformat(),
            "to": other.answer.stamp.end.isoformat(),
            "steps": plain(other.answer.steps),
            "changes": plain(other.changes),
        },
        "reading": found.reading,
        **found.stamp.plain(),
    }


def funnel_people(funnel: Funnel, place: Mapping[str, Any], desk: Desk) -> BitMap:
    """`place`: {"step": index, "outcome": "reached" | "dropped" | "still_open"}."""
    step, outcome = place.get("step"), place.get("outcome", "reached")
    if not isinstance(step, int) or not 0 <= step < len(funnel.steps):
        raise QuestionError("`step` is the index of a step, from 0", "place")
    if outcome not in ("reached", "dropped", "still_open"):
        raise QuestionError("`outcome` is reached, dropped or still_open", "place")
    with desk.open(_funnel_opening(funnel)) as source:
        return funnels.funnel_people(source, funnel, step=step, outcome=outcome)


kinds.register(
    QuestionKind(
        id="funnel",
        body=FunnelBody,
        build=funnel_of,
        picks=lambda funnel: tuple(picks_of(funnel)),
        answer=funnel_answer,
        people=funnel_people,
    )
)


# --- Attribution ------------------------------------------------------------------------------------------------------


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
