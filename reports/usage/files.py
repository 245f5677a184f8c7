"""The tables of `/usage/` as files: the numbers of the page, unrounded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from django.http import HttpRequest

from analytics.cache import Audience
from analytics.capture.money import exponents
from analytics.lake.errors import LakeError, StoreTimeout
from kpis.series import NoCalendar
from kpis.usage.answer import usage_read
from reports.dashboard.doors import role_of, tenant_of
from reports.exports.sheet import Cell, Column, ColumnKind, Sheet
from reports.exports.tables import NoTable, TableFile, files
from reports.usage.asking import PAGE_SECONDS, TOO_LONG, asked_of

Answer = Mapping[str, Any]
Row = Mapping[str, Any]
TEXT, COUNT, RATIO = ColumnKind.TEXT, ColumnKind.COUNT, ColumnKind.RATIO
NUMBER, MONEY, FLAG = ColumnKind.NUMBER, ColumnKind.MONEY, ColumnKind.FLAG
STAMP: Final = ("from", "to", "timezone", "data_through", "is_complete", "executor", "definition_version",
                "computed_at")  # fmt: skip
COEFFICIENT: Final = ("value", "low", "high")


@dataclass(frozen=True, slots=True)
class Part:
    """A table of the page: where its rows are, and what of a row is written; a point leads into a part of it."""

    rows: tuple[str, ...]
    columns: tuple[tuple[str, ColumnKind], ...]


def _coefficients(*names: str) -> tuple[tuple[str, ColumnKind], ...]:
    return tuple((f"{name}.{edge}", NUMBER) for name in names for edge in COEFFICIENT)


PARTS: Final[Mapping[str, Part]] = {
    "features": Part(
        ("features",),
        (
            ("feature", TEXT), ("users", COUNT), ("share", RATIO), ("uses", COUNT), ("uses_per_user", NUMBER),
            ("again", COUNT), ("settled", COUNT), ("again_share", RATIO), ("revenue_per_user", MONEY),
            ("revenue_per_other", MONEY), ("payer_share", RATIO), ("payer_share_of_others", RATIO),
            *_coefficients("with_revenue", "with_paying"),
        ),
    ),
    "posts": Part(
        ("posts", "results"),
        (
            ("id", TEXT), ("kind", TEXT), ("platform", TEXT), ("published_at", ColumnKind.INSTANT), ("reach", COUNT),
            ("engagements", COUNT), ("converted", COUNT), ("linear.conversions", NUMBER), ("linear.revenue", MONEY),
            ("last.conversions", NUMBER), ("last.revenue", MONEY), ("cost", MONEY), ("return_on_cost", NUMBER),
            ("is_open", FLAG),
        ),
    ),
    "platforms": Part(
        ("platforms", "platforms"), (("platform", TEXT), ("users", COUNT), ("engagement", COUNT), ("revenue", MONEY))
    ),
    "shared": Part(
        ("platforms", "shared_users"),
        (("first", TEXT), ("second", TEXT), ("both", COUNT), ("share_of_first", RATIO), ("share_of_second", RATIO),
         ("share_of_either", RATIO)),
    ),
    "together": Part(
        ("platforms", "together"),
        (
            ("first", TEXT), ("first_measure", TEXT), ("second", TEXT), ("second_measure", TEXT), ("pearson.n", COUNT),
            *_coefficients("pearson", "spearman"), ("lag", NUMBER), *_coefficients("lagged"),
        ),
    ),
    "automation": Part(
        ("automation", "by_automation"),
        (("automation", TEXT), ("hours_saved", NUMBER), ("efficiency", RATIO), ("runs", COUNT), ("completed", COUNT),
         ("failed", COUNT)),
    ),
}  # fmt: skip


def usage_sheet(request: HttpRequest, part: str) -> Sheet:
    """A table of the answer that the page gives to this visitor: what is left out there is empty here."""
    tenant = tenant_of(request)
    asked = asked_of(request)
    audience = Audience.member(tenant.id, role_of(request))
    try:
        answer = usage_read(tenant=tenant, question=asked.ask, audience=audience, timeout=PAGE_SECONDS)
    except NoCalendar:
        raise NoTable("Nothing is counted yet.") from None
    except StoreTimeout:
        raise NoTable(TOO_LONG) from None
    except LakeError:
        raise NoTable("The store of events cannot be read just now; nothing was lost.") from None
    return sheet_of(answer, part)


def sheet_of(answer: Answer, part: str) -> Sheet:
    """One table, with what its numbers stand on."""
    table, code = PARTS[part], answer["currency"]
    digits = exponents().get(code, 2)
    found: Any = answer
    for name in table.rows:
        found = found[name]
    columns = tuple(Column(f"{name} ({code})" if kind is MONEY else name, kind, digits) for name, kind in table.columns)
    footer = [(name.replace("_", " ").capitalize(), str(answer[name])) for name in STAMP if name in answer]
    if answer["smallest_group"]:
        footer.append(("Left out", f"what is known of fewer than {answer['smallest_group']} people"))
    return Sheet(f"usage-{part}", columns, list(_rows(found, table)), (*footer, ("Method", answer["method"])))


def _rows(rows: Iterable[Row], table: Part) -> Iterable[tuple[Cell, ...]]:
    for row in rows:
        yield tuple(_cell(row, name, kind) for name, kind in table.columns)


def _cell(row: Row, name: str, kind: ColumnKind) -> Cell:
    value: Any = row
    for part in name.split("."):
        value = value[part] if value is not None else None
    if value is None:
        return None
    if kind is MONEY:
        return Decimal(str(value))
    if kind is ColumnKind.INSTANT:
        return datetime.fromisoformat(str(value))
    return float(value) if kind in (RATIO, NUMBER) else value


for each in PARTS:
    files.register(TableFile(f"usage-{each}", partial(usage_sheet, part=each)))
