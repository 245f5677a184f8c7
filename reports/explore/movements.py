"""`/customers/movements/`: how recurring revenue moved from one end of a range to the other, and whose it was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from analytics.access.roles import Scope
from analytics.filters import calendar_of
from analytics.periods import Granularity, Period
from kpis.base import Unit
from kpis.contracts import Series
from kpis.explore.intervals import newcombe, wilson
from kpis.explore.plain import plain
from kpis.explore.services import people_read_record
from kpis.movements import FX, KINDS, Moved, Movements, movements_read
from kpis.parameters import COMPARE, RANGE
from reports.dashboard import shown
from reports.dashboard.cards import Action, metric_path
from reports.dashboard.doors import scopes_of, tenant_of, tenant_page
from reports.dashboard.question import PageQuestion, page_question
from reports.dashboard.reading import Numbers, numbers_read
from reports.dashboard.toolbar import toolbar_of
from reports.explore.asking import actor_of
from reports.explore.drawing import Block, stacks_of
from reports.explore.frame import DASH, between, count, points, share, spread
from reports.explore.to_board import keep_form
from reports.exports.sheet import Cell, Column, ColumnKind, Sheet
from reports.exports.tables import NoTable, TableFile, downloads, files

TITLE: Final = "Movements of recurring revenue"
INTRO: Final = "From what subscriptions brought a month at the start to what they bring at the end, and who moved it."
KNOWN: Final = (*RANGE, "days", *COMPARE, "kind", "after")
SIGNS: Final = (("new", 1), ("expansion", 1), ("reactivation", 1), ("contraction", -1), ("churn", -1), (FX, 1))
WORDS: Final = {
    "opening": "At the start",
    "new": "New",
    "expansion": "Expansion",
    "reactivation": "Came back",
    "contraction": "Contraction",
    "churn": "Churn",
    FX: "Exchange rates",
    "closing": "At the end",
}
COUNTED: Final = ("opening_customers", "churned_customers", "customers")
RATES: Final = (
    ("quick_ratio", "Quick ratio", Unit.NUMBER),
    ("nrr", "Net revenue retention", Unit.RATIO),
    ("grr", "Gross revenue retention", Unit.RATIO),
)
METRICS: Final = tuple(f"mrr.{name}" for name in (*WORDS, *COUNTED, *(name for name, _, _ in RATES)))
BY_MONTH: Final = (("new", 4, 1), ("expansion", 1, 1), ("reactivation", 3, 1), ("contraction", 5, -1), ("churn", 6, -1))
PAGE: Final = 100
MONTHS: Final = 12


@dataclass(frozen=True, slots=True)
class Step:
    """One movement. `at` and `width` draw it in a box of 100; `customers` is empty where people may not be seen."""

    kind: str
    label: str
    sign: str
    amount: str
    before: str
    change: str
    tone: str
    customers: str
    href: str
    metric: str
    at: str
    width: str
    look: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The share of the customers who left, against the range before."""

    now: str
    interval: str
    people: str
    before: str
    difference: str
    difference_interval: str
    verdict: str


@dataclass(frozen=True, slots=True)
class MoverShown:
    """One customer."""

    person: int
    kind: str
    amount: str
    opening: str
    closing: str
    fx: str


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the drawing as a row of its table."""

    label: str
    cells: tuple[str, ...]
    is_open: bool


@require_GET
@tenant_page()
def movements(request: HttpRequest) -> HttpResponse:
    """The page. With `kind` it lists the customers behind it, to who may see people, and writes that down."""
    tenant = tenant_of(request)
    question = page_question(request, tenant, known=KNOWN)
    ask = replace(question.ask, by=None, filters=(), grain="total")
    numbers = numbers_read(METRICS, ask, tenant_id=tenant.id)
    closing = numbers.series.get("mrr.closing")
    has_any = closing is not None and any(numbers.series[f"mrr.{name}"].total for name in WORDS)
    may_see = Scope.EVENTS_READ in scopes_of(request)
    moved = _moved(question) if has_any and may_see else None
    kind = request.GET.get("kind", "")
    kind = kind if kind in (*KINDS, FX, "all") else ""
    context = {
        "page": _head(question, numbers),
        "is_empty": not has_any,
        "steps": _steps(numbers, moved, question) if has_any else (),
        "rounding": _rounding(numbers) if has_any else "",
        "lost": _lost(numbers) if has_any else None,
        "rates": _rates(numbers),
        "reading": reading_of(numbers) if has_any else "",
        "history": _history(question) if has_any else None,
        "kinds": [(each, word, question.href(kind=each, after=None)) for each, word in _kinds()],
        "kind": kind,
        "people": _people(request, question, kind, moved) if kind and moved is not None else None,
        "may_see_people": may_see,
        "actions": downloads("customers-movements", **_question(question)),
        "people_actions": _people_actions(question, _one(kind)),
        **keep_form(request, TITLE, "movements", _kept(question) if has_any else None),
    }
    return render(request, "reports/customers/movements.html", context)


def _kinds() -> list[tuple[str, str]]:
    return [("all", "Everybody"), *((kind, WORDS[kind]) for kind in (*KINDS, FX))]


def _kept(question: PageQuestion) -> dict[str, dict[str, str]]:
    """The customers of each movement, as a segment is defined; a range that moves stays one."""
    span = {name: value for name, value in question.parameters.items() if name in ("period", "from", "to")}
    return {word: {"kind": kind, **span} for kind, word in _kinds() if kind != FX}


def _one(kind: str) -> str | None:
    return kind if kind not in ("", "all") else None


def _people_actions(question: PageQuestion, kind: str | None) -> tuple[Action, ...]:
    api = question.href("/api/v1/customers/movements/", compare=None, match_weekday=None, after=None, kind=kind)
    return downloads("customers-movers", api, **_question(question), kind=kind or "")


def _question(question: PageQuestion) -> dict[str, str]:
    return {name: value for name, value in question.parameters.items() if name not in ("kind", "after")}


def _head(question: PageQuestion, numbers: Numbers) -> dict[str, Any]:
    closing = numbers.series.get("mrr.closing")
    calendar = calendar_of(question.tenant)
    return {
        "title": TITLE,
        "intro": INTRO,
        "toolbar": toolbar_of(question),
        "data_through": shown.moment_shown(closing.data_through, calendar) if closing else "",
        "complaints": [each.message for each in question.complaints] + list(numbers.missing.values())[:1],
    }


def _moved(question: PageQuestion, kind: str = "") -> Movements:
    period, now = question.ask.period, question.ask.now
    return movements_read(tenant_id=question.tenant.id, start=period.start, end=period.end, now=now, kind=kind)


def _total(numbers: Numbers, name: str) -> Decimal:
    series = numbers.series.get(f"mrr.{name}")
    return (series.total if series else None) or Decimal(0)


def _before(numbers: Numbers, name: str) -> Decimal | None:
    series = numbers.series.get(f"mrr.{name}")
    return series.comparison.total if series and series.comparison else None


def _steps(numbers: Numbers, moved: Movements | None, question: PageQuestion) -> tuple[Step, ...]:
    """A bridge: each bar begins where the one before ended."""
    level = _total(numbers, "opening")
    spans = [("opening", Decimal(0), level, "on")]
    for kind, sign in SIGNS:
        amount = _total(numbers, kind) * sign
        spans.append((kind, level, level + amount, "gain" if amount >= 0 else "loss"))
        level += amount
    spans.append(("closing", Decimal(0), _total(numbers, "closing"), "on"))
    low = min(min(start, end) for _, start, end, _ in spans)
    scale = (max(max(start, end) for _, start, end, _ in spans) - low) or Decimal(1)
    people = _customers(numbers, moved)
    return tuple(
        _step(kind, numbers, people.get(kind, ""), question, (min(start, end) - low) / scale * 100,
              abs(end - start) / scale * 100, look)
        for kind, start, end, look in spans
    )  # fmt: skip


def _customers(numbers: Numbers, moved: Movements | None) -> dict[str, str]:
    """How many stand behind each; a stranger to people sees the metrics that count them."""
    found = {"opening": _total(numbers, "opening_customers"), "closing": _total(numbers, "customers")}
    told = {name: f"{int(number):,}" for name, number in found.items()}
    if moved is None:
        return told | {"churn": f"{int(_total(numbers, 'churned_customers')):,}"}
    rows = moved.customers
    told |= {kind: f"{sum(one.kind == kind for one in rows):,}" for kind in KINDS}
    return told | {FX: f"{sum(bool(one.fx) for one in rows):,}"}


def _step(
    kind: str, numbers: Numbers, people: str, question: PageQuestion, at: Decimal, width: Decimal, look: str
) -> Step:
    series = numbers.series[f"mrr.{kind}"]
    change = series.comparison.change if series.comparison else None
    sign = {1: "+", -1: "−"}.get(dict(SIGNS).get(kind, 0), "=" if kind == "closing" else "")
    tone = "" if change is None or change.is_good is None else "good" if change.is_good else "bad"
    is_movement = kind in dict(SIGNS)
    return Step(
        kind=kind,
        label=WORDS[kind],
        sign=sign,
        amount=shown.of_series(series.total, series),
        before=shown.of_series(_before(numbers, kind), series) if series.comparison else "",
        change=f"{shown.ARROWS.get(change.direction, '')} {shown.change_shown(change)}".strip() if change else "",
        tone=tone,
        customers=people,
        href=question.href(kind=kind, after=None) if is_movement else "",
        metric=metric_path(series.metric),
        at=f"{at:.2f}",
        width=f"{width:.2f}",
        look=look,
    )


def _rounding(numbers: Numbers) -> str:
    """What rounded amounts leave between the sum of the lines and the end; '' for nothing."""
    series = numbers.series["mrr.closing"]
    digit = Decimal(1).scaleb(-series.exponent)

    def whole(name: str) -> Decimal:
        return _total(numbers, name).quantize(digit)

    left = whole("closing") - whole("opening") - sum((whole(kind) * sign for kind, sign in SIGNS), Decimal(0))
    return shown.of_series(left, series) if left else ""


def _lost(numbers: Numbers) -> Lost | None:
    gone, of = (int(_total(numbers, name)) for name in ("churned_customers", "opening_customers"))
    if not of:
        return None
    was_gone, was_of = (int(_before(numbers, name) or 0) for name in ("churned_customers", "opening_customers"))
    difference = newcombe(gone, of, was_gone, was_of)
    verdict = ""
    if difference is not None:
        verdict = "more than chance" if difference.is_clear else "may be chance"
    return Lost(
        now=share(gone / of),
        interval=between(plain(wilson(gone, of))),
        people=f"{gone:,} of {of:,}",
        before=share(was_gone / was_of) if was_of else DASH,
        difference=points(gone / of - was_gone / was_of) if was_of else DASH,
        difference_interval=spread(plain(difference)),
        verdict=verdict,
    )


def _rates(numbers: Numbers) -> list[tuple[str, str, str]]:
    found = [(label, numbers.series.get(f"mrr.{name}"), metric_path(f"mrr.{name}")) for name, label, _ in RATES]
    return [(label, shown.of_series(series.total, series), href) for label, series, href in found if series]


def reading_of(numbers: Numbers) -> str:
    """The result in words, of its own numbers only."""
    series = numbers.series["mrr.closing"]

    def money(value: Decimal) -> str:
        return shown.of_series(value, series)

    opening, closing = _total(numbers, "opening"), _total(numbers, "closing")
    gained = sum((_total(numbers, kind) for kind, sign in SIGNS if sign > 0 and kind != FX), Decimal(0))
    gone = _total(numbers, "contraction") + _total(numbers, "churn")
    turn = "rose" if closing > opening else "fell" if closing < opening else "stayed"
    told = f"Monthly recurring revenue {turn} from {money(opening)} to {money(closing)}"
    if turn == "stayed":
        told = f"Monthly recurring revenue is {money(closing)}, as at the start"
    if opening and turn != "stayed":
        told += f" ({share((closing - opening) / opening)})"
    told += f": {money(gained)} gained, {money(gone)} lost"
    rates = _total(numbers, FX)
    told += f", {money(rates)} from exchange rates." if rates else "."
    largest = max(SIGNS, key=lambda pair: abs(_total(numbers, pair[0])))
    return f"{told} Most of it was {WORDS[largest[0]].lower()}." if _total(numbers, largest[0]) else told


# --- By month ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class History:
    """Twelve months as stacks, and as a table."""

    blocks: tuple[Block, ...]
    heads: tuple[str, ...]
    legend: tuple[tuple[int, str], ...]
    rows: tuple[Month, ...]


def _history(question: PageQuestion) -> History | None:
    calendar = calendar_of(question.tenant)
    now = question.ask.now
    first = calendar.last(MONTHS - 1, Granularity.MONTH, now)
    period = Period(first.start, calendar.ceil(now, Granularity.MONTH))
    ask = replace(question.ask, period=period, grain="month", compare=None, by=None, filters=())
    names = ("opening", *(name for name, _, _ in BY_MONTH), FX, "closing")
    numbers = numbers_read([f"mrr.{name}" for name in names], ask, tenant_id=question.tenant.id)
    series = [numbers.series.get(f"mrr.{name}") for name in names]
    if any(each is None for each in series):
        return None
    known: list[Series] = [each for each in series if each is not None]
    starts = [point.start for point in known[0].points]
    columns = [
        [(colour, float(_point(numbers, name, place)) * sign, "") for name, colour, sign in BY_MONTH]
        for place in range(len(starts))
    ]
    rows = tuple(
        Month(
            shown.point_shown(start, "month", calendar),
            tuple(shown.of_series(each.points[place].value, each) for each in known),
            not known[0].points[place].is_complete,
        )
        for place, start in enumerate(starts)
    )
    return History(
        stacks_of(columns),
        tuple(WORDS[name] for name in names),
        tuple((colour, WORDS[name]) for name, colour, _ in BY_MONTH),
        rows,
    )


def _point(numbers: Numbers, name: str, place: int) -> Decimal:
    return numbers.series[f"mrr.{name}"].points[place].value or Decimal(0)


# --- Who is behind it -------------------------------------------------------------------------------------------------


def _people(request: HttpRequest, question: PageQuestion, kind: str, moved: Movements | None) -> dict[str, Any]:
    """The next hundred. That they were shown is written down first."""
    text = request.GET.get("after", "")
    offset = int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
    found = _chosen(moved, kind) if moved else ()
    page = found[offset : offset + PAGE]
    _record(request, question, kind, offset, len(page))
    code = question.tenant.base_currency
    return {
        "count": count(len(found)),
        "title": WORDS.get(kind, "Everybody who moved"),
        "rows": [_mover(one, code) for one in page],
        "next": question.href(kind=kind, after=str(offset + PAGE)) if offset + PAGE < len(found) else "",
    }


def _chosen(moved: Movements, kind: str) -> tuple[Moved, ...]:
    return tuple(one for one in moved.customers if kind in ("", "all", one.kind) or (kind == FX and one.fx))


def _mover(one: Moved, code: str) -> MoverShown:
    opening, closing, amount, rates = (
        shown.minor_shown(value, code) for value in (one.opening, one.closing, one.amount, one.fx)
    )
    return MoverShown(one.person, WORDS[one.kind], amount, opening, closing, rates if one.fx else "")


def _record(request: HttpRequest, question: PageQuestion, kind: str, offset: int, people: int) -> None:
    period = question.ask.period
    asked = {"from": period.start.isoformat(), "to": period.end.isoformat(), "kind": kind, "offset": offset}
    people_read_record(
        tenant_id=question.tenant.id,
        actor=actor_of(request),
        what="customers.movements",
        question=asked,
        people=people,
        at=question.ask.now,
    )


# --- As files ---------------------------------------------------------------------------------------------------------


def movements_sheet(request: HttpRequest) -> Sheet:
    """The bridge, one movement to a row."""
    question = page_question(request, tenant_of(request), known=KNOWN)
    ask = replace(question.ask, by=None, filters=(), grain="total")
    numbers = numbers_read(METRICS, ask, tenant_id=question.tenant.id)
    closing = numbers.series.get("mrr.closing")
    if closing is None:
        raise NoTable("Nothing is counted yet.")
    money = ColumnKind.MONEY
    columns = (
        Column("movement", ColumnKind.TEXT), Column(f"amount ({closing.currency})", money, closing.exponent),
        Column(f"before ({closing.currency})", money, closing.exponent),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [(kind, _cell(numbers, kind), _earlier(numbers, kind)) for kind in WORDS]
    return Sheet("customers-movements", columns, rows, _footer(question, closing, reading_of(numbers)))


def _cell(numbers: Numbers, kind: str) -> Decimal | None:
    return _rounded(_total(numbers, kind), numbers.series[f"mrr.{kind}"])


def _earlier(numbers: Numbers, kind: str) -> Decimal | None:
    found = _before(numbers, kind)
    return None if found is None else _rounded(found, numbers.series[f"mrr.{kind}"])


def _rounded(value: Decimal, series: Series) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-series.exponent))


def _footer(question: PageQuestion, closing: Series, reading: str) -> tuple[tuple[str, str], ...]:
    def at(instant: datetime) -> str:
        return instant.isoformat(timespec="seconds")

    return (
        ("Reading", reading),
        ("Sum", "opening + new + expansion + reactivation − contraction − churn + fx = closing"),
        ("Range", f"{at(question.ask.period.start)} to {at(question.ask.period.end)} (not included)"),
        ("Time zone", closing.timezone),
        ("Data through", at(closing.data_through)),
        ("Computed at", at(closing.computed_at)),
    )


def movers_sheet(request: HttpRequest) -> Sheet:
    """Who moved, the largest first. That they were written out is written down first."""
    question = page_question(request, tenant_of(request), known=KNOWN)
    kind = request.GET.get("kind", "")
    moved = _moved(question)
    found = _chosen(moved, kind if kind in (*KINDS, FX) else "")
    _record(request, question, kind or "all", 0, len(found))
    digits, code, money = moved.exponent, moved.currency, ColumnKind.MONEY
    columns = (
        Column("person", ColumnKind.COUNT), Column("movement", ColumnKind.TEXT),
        *(Column(f"{name} ({code})", money, digits) for name in ("amount", "opening", "closing", "fx")),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (one.person, one.kind, *(Decimal(value).scaleb(-digits) for value in _amounts(one))) for one in found
    ]
    footer = (
        ("Data through", moved.stamp.data_through.isoformat()),
        ("Complete", "yes" if moved.stamp.is_complete else "no"),
    )
    return Sheet("customers-movers", columns, rows, footer)


def _amounts(one: Moved) -> tuple[int, int, int, int]:
    return one.amount, one.opening, one.closing, one.fx


files.register(TableFile("customers-movements", movements_sheet))
files.register(TableFile("customers-movers", movers_sheet, Scope.EVENTS_READ))
