"""`/customers/payback/`: what customers cost to win, and how much of it came back month by month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from analytics.capture.money import exponents
from analytics.contracts import TenantInfo
from analytics.lake.errors import LakeError
from insights.customers.acquisition import BY, LEAST, By, Paybacks, paybacks_read
from insights.customers.payback import Payback
from insights.plain import MARGINS
from kpis.series import NoCalendar
from reports.dashboard import shown
from reports.dashboard.doors import tenant_of, tenant_page
from reports.explore.card import CardPage, CardTable, Parameters, pages
from reports.explore.drawing import Lines, lines_of
from reports.explore.frame import DASH, count, credit_shown, head_of, moment, share
from reports.explore.to_board import keep_form
from reports.exports.sheet import Cell, Column, ColumnKind, Sheet
from reports.exports.tables import NoTable, TableFile, downloads, files

TITLE: Final = "Payback of acquisition costs"
INTRO: Final = "What a new customer cost, and after how many months customers had brought that back."
MONTHS: Final = (6, 12, 24, 36)
MOST_LINES: Final = 8
STANDINGS: Final = {
    "no_cost": "no cost told",
    "no_customers": "won nobody",
    "paid_back": "",
    "not_yet": "not yet",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for; `complaints` say what of it was left out."""

    months: int
    margin: Decimal | None
    by: By
    complaints: tuple[str, ...] = ()

    def href(self, **changes: Any) -> str:
        """The page with something changed."""
        wanted = {"months": self.months, "margin": self.margin, "by": self.by, **changes}
        defaults = {"months": 12, "margin": None, "by": "channel"}
        told = "&".join(f"{name}={value}" for name, value in wanted.items() if value != defaults[name])
        return f"/customers/payback/?{told}" if told else "/customers/payback/"

    @property
    def query(self) -> dict[str, str]:
        """For a file or the API."""
        return {"months": str(self.months), "margin": str(self.margin or ""), "by": self.by}


@dataclass(frozen=True, slots=True)
class PaybackShown:
    """A channel, a campaign or a month."""

    label: str
    customers: str
    cost: str
    cac: str
    months: str
    recovered: str
    width: str
    is_back: bool
    observed: str


@dataclass(frozen=True, slots=True)
class CurveRow:
    """A line of the drawing as a row of its table."""

    label: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PaybacksShown:
    """The whole page."""

    reading: str
    margin_note: str
    overall: PaybackShown
    parts: tuple[PaybackShown, ...]
    cohorts: tuple[PaybackShown, ...]
    drawing: Lines | None
    curves: tuple[CurveRow, ...]
    ages: range
    without_rate: int
    has_costs: bool


@require_GET
@tenant_page()
def payback(request: HttpRequest) -> HttpResponse:
    """The page; without costs it says where they are told."""
    tenant, asked = tenant_of(request), asked_of(request.GET)
    found, away = None, ""
    try:
        found = _read(tenant.id, asked, timezone.now())
    except LakeError as error:
        away = str(error) or "The store of events cannot be read just now."
    except NoCalendar:
        pass  # nothing was counted yet
    api = f"/api/v1/customers/payback/?{'&'.join(f'{name}={value}' for name, value in asked.query.items() if value)}"
    context = {
        "head": head_of(tenant, TITLE, INTRO),
        "through": moment(tenant, found.stamp.data_through.isoformat()) if found else "",
        "asked": asked,
        "away": away,
        "view": paybacks_shown(found) if found else None,
        "months": [(each, asked.href(months=each), each == asked.months) for each in MONTHS],
        "by": [(each, asked.href(by=each), each == asked.by) for each in BY],
        "actions": downloads("customers-payback", api, **asked.query),
        **keep_form(request, TITLE),
    }
    return render(request, "reports/customers/payback.html", context)


def asked_of(parameters: Mapping[str, str]) -> Asked:
    """The question of an address; odd parts are told and left out."""
    complaints = []
    text = parameters.get("months", "")
    months = int(text) if text.isascii() and text.isdigit() and len(text) < 3 else 0
    if not 1 <= months <= 60:
        months = 12
        if text:
            complaints.append("Months are a number from 1 to 60; 12 are shown.")
    margin = _margin(parameters.get("margin", "").strip())
    if margin is None and parameters.get("margin", "").strip():
        complaints.append("The margin is a share from 0.001 to 1, for example 0.6; it was left out.")
    by: By = "campaign" if parameters.get("by") == "campaign" else "channel"
    return Asked(months, margin, by, tuple(complaints))


def _margin(text: str) -> Decimal | None:
    try:
        found = Decimal(text) if text and len(text) <= 12 else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() and LEAST <= found <= 1 else None


def _read(tenant_id: int, asked: Asked, now: datetime) -> Paybacks:
    return paybacks_read(tenant_id=tenant_id, months=asked.months, margin=asked.margin, by=asked.by, now=now)


def paybacks_shown(found: Paybacks) -> PaybacksShown:
    """All numbers written out."""
    code = found.currency
    parts = tuple(_row(_named(name, found.by), whole, code) for name, whole, _ in found.channels)
    lines = _lines(found)
    most = max((len(curve) for _, curve in lines), default=0)
    ages = range(1, most + 1)
    curves = tuple(
        CurveRow(label, tuple(share(value, 0) for value in curve) + ("",) * (most - len(curve)))
        for label, curve in lines
    )
    return PaybacksShown(
        reading=reading_of(found),
        margin_note=MARGINS[found.margin_from].format(share=f"{float(found.margin) * 100:g} %"),
        overall=_row("All", found.overall, code),
        parts=parts,
        cohorts=tuple(_row(f"{one.start:%b %Y}" if one.start else "", one, code) for one in found.cohorts),
        drawing=_drawing(lines, most) if most else None,
        curves=curves,
        ages=ages,
        without_rate=found.without_rate,
        has_costs=found.overall.cost is not None or found.without_rate > 0,
    )


def _named(name: str, by: str) -> str:
    return "Touches of no campaign" if by == "campaign" and name == "(none)" else credit_shown(name)


def _lines(found: Paybacks) -> list[tuple[str, tuple[float, ...]]]:
    """All together, then the largest of which the costs are known."""
    costed = [(_named(name, found.by), whole.curve) for name, whole, _ in found.channels if whole.curve]
    return [("All", found.overall.curve), *costed[: MOST_LINES - 1]] if found.overall.curve else costed[:MOST_LINES]


def _drawing(lines: Sequence[tuple[str, tuple[float, ...]]], most: int) -> Lines:
    """Months across; the dashed-in last line is where all of the cost is back."""
    padded = [(label, [0.0, *curve, *[None] * (most - len(curve))]) for label, curve in lines]
    top = max(max(curve) for _, curve in lines if curve)
    padded.append(("All of the cost", [1.0] * (most + 1)))
    return lines_of(padded, [f"month {age}" for age in range(most + 1)], share(max(top, 1.0), 0))


def _row(label: str, one: Payback, code: str) -> PaybackShown:
    recovered = one.recovered
    standing = STANDINGS[one.standing]
    return PaybackShown(
        label=label,
        customers=count(one.customers),
        cost=DASH if one.cost is None else shown.minor_shown(one.cost, code),
        cac=DASH if one.cac is None else shown.minor_shown(round(one.cac), code),
        months=f"{one.months}" if one.months is not None else standing,
        recovered=DASH if recovered is None else share(recovered, 0),
        width=f"{min(max(recovered or 0, 0), 1) * 100:.1f}",
        is_back=one.months is not None,
        observed=count(one.observed),
    )


def reading_of(found: Paybacks) -> str:
    """The result in words, of its own numbers only."""
    whole, code = found.overall, found.currency
    if whole.cost is None:
        return "Nobody told what customers cost in these months, so there is nothing to bring back."
    if whole.cac is None:
        return f"{shown.minor_shown(whole.cost, code)} was spent, and nobody bought for the first time."
    cac, cost = shown.minor_shown(round(whole.cac), code), shown.minor_shown(whole.cost, code)
    won = f"{whole.customers:,} new customer{'s' if whole.customers != 1 else ''}"
    told = f"{won} cost {cost}: {cac} each."
    if whole.months is not None:
        told += f" They had brought it back by the end of month {whole.months}, that of the first purchase counted."
    elif whole.recovered is not None:
        told += f" After {whole.observed} months {share(whole.recovered, 0)} of it has come back."
    ranked = [(name, part) for name, part, _ in found.channels if part.months is not None and part.customers]
    if len(ranked) > 1:
        name, best = min(ranked, key=lambda row: (row[1].months or 0, -row[1].customers))
        told += f" Fastest: {_named(name, found.by)}, {best.months} month{'s' if best.months != 1 else ''}."
    return told


# --- As a card and as a file ------------------------------------------------------------------------------------------


def payback_card(parameters: Parameters, tenant: TenantInfo, now: datetime) -> CardTable:
    """All together, then by channel or campaign."""
    asked = asked_of(parameters)
    found = _read(tenant.id, asked, now)
    view = paybacks_shown(found)
    heads = (asked.by.capitalize(), "New customers", "Cost", "Each", "Back in month", "Come back")
    rows = tuple((row.label, row.customers, row.cost, row.cac, row.months, row.recovered)
                 for row in (view.overall, *view.parts))  # fmt: skip
    return CardTable(view.reading, heads, rows)


pages.register(CardPage("/customers/payback/", payback_card))


def payback_sheet(request: HttpRequest) -> Sheet:
    """Every channel or campaign and every month of it, with the whole before them."""
    asked = asked_of(request.GET)
    try:
        found = _read(tenant_of(request).id, asked, timezone.now())
    except (LakeError, NoCalendar) as error:
        raise NoTable(str(error) or "The store of events cannot be read just now.") from None
    digits = exponents().get(found.currency, 2)
    code, text, number = found.currency, ColumnKind.TEXT, ColumnKind.COUNT
    columns = (
        Column(found.by, text), Column("first_bought", text), Column("customers", number),
        Column(f"cost ({code})", ColumnKind.MONEY, digits), Column(f"cac ({code})", ColumnKind.MONEY, digits),
        Column("months", number), Column("months_observed", number), Column("recovered", ColumnKind.RATIO),
        Column("standing", text),
    )  # fmt: skip
    rows = [("(all)", found.overall), *(("(all)", one) for one in found.cohorts)]
    for name, whole, cohorts in found.channels:
        rows += [(name, whole), *((name, one) for one in cohorts)]
    footer = (
        ("Reading", reading_of(found)),
        ("Margin", f"{float(found.margin):g} of revenue ({found.margin_from})"),
        ("Costs without an exchange rate", str(found.without_rate)),
        ("Data through", found.stamp.data_through.isoformat()),
    )
    return Sheet("customers-payback", columns, [_cells(name, one, digits) for name, one in rows], footer)


def _cells(name: str, one: Payback, digits: int) -> tuple[Cell, ...]:
    start: date | None = one.start
    return (
        name,
        start.isoformat() if start else "(all months)",
        one.customers,
        None if one.cost is None else Decimal(one.cost).scaleb(-digits),
        None if one.cac is None else Decimal(round(one.cac)).scaleb(-digits),
        one.months,
        one.observed,
        one.recovered,
        one.standing,
    )


files.register(TableFile("customers-payback", payback_sheet))
