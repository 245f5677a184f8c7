"""`/explore/<kind>.csv|xlsx?q=…`: the answer of a page as a file, with what it stands on in its last lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from reports.dashboard.doors import tenant_page
from reports.dashboard.problems import problem_page
from reports.explore.asking import asked_of, outcome_of, written
from reports.explore.attribution_shown import MODEL_NAMES
from reports.exports.formats import FORMATS, answer
from reports.exports.sheet import Cell, Column, ColumnKind, Sheet

Answer = Mapping[str, Any]
COUNT, RATIO, TEXT = ColumnKind.COUNT, ColumnKind.RATIO, ColumnKind.TEXT
STAMP: Final = ("reading", "from", "to", "timezone", "data_through", "is_complete", "executor", "definition_version",
                "computed_at")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of an answer, and its rows."""

    columns: Callable[[Answer], Iterable[Column]]
    rows: Callable[[Answer], Iterable[tuple[Cell, ...]]]


@require_GET
@tenant_page()
def export(request: HttpRequest, kind: str, format: str) -> Any:
    """The same question, the same answer; what cannot be answered is told as a page."""
    asked = asked_of(request)
    outcome = outcome_of(request, kind, asked)
    if outcome.answer is None:
        said = outcome.away or " ".join(problem.message for problem in outcome.problems)
        if outcome.job is not None:
            said = "This takes longer than a download waits: open the page, and download when its answer is there."
        return problem_page(request, status=400, title="No file", message=said or "Say what to answer: `?q=`.")
    return _file(kind, format, outcome.answer, asked.wanted)


def _file(kind: str, format: str, found: Answer, wanted: Answer) -> HttpResponseBase:
    layout = LAYOUTS[kind]
    footer = [(name.replace("_", " ").capitalize(), str(found[name])) for name in STAMP if name in found]
    sheet = Sheet(kind, tuple(layout.columns(found)), layout.rows(found), (*footer, ("Question", written(wanted))))
    return answer(sheet, FORMATS[format], f"{kind}_{found['from'][:10]}")


# --- Funnel -----------------------------------------------------------------------------------------------------------


def _funnel_columns(found: Answer) -> Iterable[Column]:
    yield from (Column("key", TEXT), Column("step", COUNT), Column("label", TEXT))
    yield from (Column(name, COUNT) for name in ("reached", "dropped", "still_open"))
    yield from (Column(name, RATIO) for name in ("rate", "rate_low", "rate_high", "rate_total", "rate_total_low",
                                                 "rate_total_high"))  # fmt: skip
    yield from (Column(f"seconds_{name}", ColumnKind.NUMBER) for name in ("p50", "p90"))


def _funnel_rows(found: Answer) -> Iterable[tuple[Cell, ...]]:
    groups = [("", found["steps"]), *((part["key"], part["steps"]) for part in found["breakdown"])]
    for key, steps in groups:
        for step in steps:
            times = step["from_previous"] or {}
            yield (
                key, step["index"] + 1, step["label"], step["reached"], step["dropped"], step["still_open"],
                step["rate"], *_edges(step["rate_interval"]), step["rate_total"], *_edges(step["rate_total_interval"]),
                times.get("p50"), times.get("p90"),
            )  # fmt: skip


def _edges(interval: Answer | None) -> tuple[Cell, Cell]:
    return (interval["low"], interval["high"]) if interval else (None, None)


# --- The others -------------------------------------------------------------------------------------------------------


def _retention_columns(found: Answer) -> Iterable[Column]:
    yield from (Column("cohort", ColumnKind.INSTANT), Column("people", COUNT), Column("period", COUNT))
    yield from (Column("returned", COUNT), Column("share", RATIO), Column("revenue", ColumnKind.MONEY))
    yield Column("is_complete", ColumnKind.FLAG)


def _retention_rows(found: Answer) -> Iterable[tuple[Cell, ...]]:
    for row in found["rows"]:
        for cell in row["cells"]:
            yield (
                datetime.fromisoformat(row["start"]), row["size"], cell["period"], cell["returned"], cell["share"],
                _decimal(cell["revenue"]), cell["is_complete"],
            )  # fmt: skip


def _lifecycle_rows(found: Answer) -> Iterable[tuple[Cell, ...]]:
    for point in found["points"]:
        numbers = [point[name] for name in ("active", "new", "returning", "resurrected", "dormant", "quick_ratio")]
        yield (datetime.fromisoformat(point["start"]), *numbers, point["is_complete"])


def _paths_rows(found: Answer) -> Iterable[tuple[Cell, ...]]:
    for link in found["links"]:
        yield (link["place"], link["source"], link["target"], link["paths"])


def _attribution_rows(found: Answer) -> Iterable[tuple[Cell, ...]]:
    money = ("revenue", "cost", "cac", "cost_per_conversion")
    for table in found["models"]:
        for credit in table["credits"]:
            revenue, cost, cac, each = (_decimal(credit[name]) for name in money)
            yield (
                MODEL_NAMES.get(table["model"], table["model"]), credit["key"], revenue, credit["share"],
                credit["conversions"], credit["new_customers"], cost, cac, each, credit["roas"],
            )  # fmt: skip


def _attribution_columns(found: Answer) -> Iterable[Column]:
    number, money = ColumnKind.NUMBER, ColumnKind.MONEY
    code = found["currency"]
    yield from (Column("model", TEXT), Column(found["by"], TEXT), Column(f"revenue ({code})", money))
    yield from (Column("share", RATIO), Column("conversions", number), Column("new_customers", number))
    yield from (Column(f"{name} ({code})", money) for name in ("cost", "cac", "cost_per_conversion"))
    yield Column("roas", number)


def _decimal(text: Any) -> Cell:
    return None if text is None else Decimal(str(text))


def _named(*names: tuple[str, ColumnKind]) -> Callable[[Answer], Iterable[Column]]:
    return lambda found: [Column(*name) for name in names]


LAYOUTS: Final[Mapping[str, Layout]] = {
    "funnel": Layout(_funnel_columns, _funnel_rows),
    "retention": Layout(_retention_columns, _retention_rows),
    "lifecycle": Layout(
        _named(
            ("start", ColumnKind.INSTANT),
            *((name, COUNT) for name in ("active", "new", "returning", "resurrected", "dormant")),
            ("quick_ratio", ColumnKind.NUMBER),
            ("is_complete", ColumnKind.FLAG),
        ),
        _lifecycle_rows,
    ),
    "paths": Layout(_named(("place", COUNT), ("source", TEXT), ("target", TEXT), ("paths", COUNT)), _paths_rows),
    "attribution": Layout(_attribution_columns, _attribution_rows),
}
