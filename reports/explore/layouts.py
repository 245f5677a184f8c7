"""The tables of answers of exploration as columns and rows of a file. One more is one more entry of `LAYOUTS`.

A table is named after its kind of question, and further tables of the same answer `<kind>-<part>`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from analytics.capture.money import exponents
from reports.explore.attribution_shown import MODEL_NAMES
from reports.exports.sheet import Cell, Column, ColumnKind

Answer = Mapping[str, Any]
Rows = Iterable[tuple[Cell, ...]]
COUNT, RATIO, TEXT, FLAG = ColumnKind.COUNT, ColumnKind.RATIO, ColumnKind.TEXT, ColumnKind.FLAG
NUMBER, MONEY, INSTANT = ColumnKind.NUMBER, ColumnKind.MONEY, ColumnKind.INSTANT


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of an answer, and its rows. `missing`: what to say when it has none."""

    columns: Callable[[Answer], Iterable[Column]]
    rows: Callable[[Answer], Rows]
    missing: str = ""


def kind_of(table: str) -> str:
    """The kind of question whose answer holds the table."""
    return table.partition("-")[0]


def tables_of(kind: str) -> dict[str, str]:
    """The further tables of a kind of question, by part."""
    return {name.partition("-")[2]: name for name in LAYOUTS if name.startswith(f"{kind}-")}


def _named(*names: tuple[str, ColumnKind]) -> Callable[[Answer], Iterable[Column]]:
    return lambda found: [Column(*name) for name in names]


def _edges(interval: Answer | None) -> tuple[Cell, Cell]:
    return (interval["low"], interval["high"]) if interval else (None, None)


def _decimal(text: Any) -> Cell:
    return None if text is None else Decimal(str(text))


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- Funnel -----------------------------------------------------------------------------------------------------------

FUNNEL: Final = _named(
    ("key", TEXT), ("step", COUNT), ("label", TEXT), ("reached", COUNT), ("dropped", COUNT), ("still_open", COUNT),
    ("rate", RATIO), ("rate_low", RATIO), ("rate_high", RATIO), ("rate_total", RATIO), ("rate_total_low", RATIO),
    ("rate_total_high", RATIO), ("seconds_p50", NUMBER), ("seconds_p90", NUMBER),
)  # fmt: skip
FUNNEL_CURVE: Final = _named(
    ("from", INSTANT), ("seconds", NUMBER), ("converted_share", RATIO), ("low", RATIO), ("high", RATIO),
    ("converted", COUNT), ("at_risk", COUNT),
)  # fmt: skip
FUNNEL_CHANGES: Final = _named(
    ("step", COUNT), ("label", TEXT), ("rate_total", RATIO), ("rate_total_before", RATIO), ("difference", RATIO),
    ("low", RATIO), ("high", RATIO), ("is_clear", FLAG), ("lets_through", RATIO), ("lets_through_before", RATIO),
    ("lets_through_low", RATIO), ("lets_through_high", RATIO), ("points", RATIO), ("conversions", NUMBER),
)  # fmt: skip


def _funnel_rows(found: Answer) -> Rows:
    groups = [("", found["steps"]), *((part["key"], part["steps"]) for part in found["breakdown"])]
    for key, steps in groups:
        for step in steps:
            times = step["from_previous"] or {}
            yield (
                key, step["index"] + 1, step["label"], step["reached"], step["dropped"], step["still_open"],
                step["rate"], *_edges(step["rate_interval"]), step["rate_total"], *_edges(step["rate_total_interval"]),
                times.get("p50"), times.get("p90"),
            )  # fmt: skip


def _curve_rows(found: Answer) -> Rows:
    """Of the range asked for, then of the one compared with."""
    for part in (found, found.get("comparison") or {}):
        for point in (part.get("curve") or {"points": ()})["points"]:
            edges = _edges(point["interval"])
            yield (_instant(part["from"]), point["seconds"], point["share"], *edges, point["converted"],
                   point["at_risk"])  # fmt: skip


def _times_rows(found: Answer) -> Rows:
    return ((bar["low"], bar["high"], bar["n"], bar["share"]) for bar in found["times"])


def _funnel_changes(found: Answer) -> Rows:
    other = found["comparison"] or {"changes": [], "split": None}
    parts = {part["index"]: part for part in (other["split"] or {"steps": []})["steps"]}
    for change, step in zip(other["changes"], found["steps"], strict=False):
        part = parts.get(change["index"]) or dict.fromkeys(("rate", "rate_before", "interval", "points", "conversions"))
        yield (
            change["index"] + 1, step["label"], change["rate_total"], change["rate_total_before"],
            change["difference"], *_edges(change["interval"]), change["is_clear"], part["rate"], part["rate_before"],
            *_edges(part["interval"]), part["points"], part["conversions"],
        )  # fmt: skip


# --- Retention and lifecycle ------------------------------------------------------------------------------------------

RETENTION: Final = _named(
    ("key", TEXT), ("cohort", INSTANT), ("people", COUNT), ("period", COUNT), ("returned", COUNT), ("share", RATIO),
    ("low", RATIO), ("high", RATIO), ("revenue", MONEY), ("is_complete", FLAG),
)  # fmt: skip
RETENTION_TESTS: Final = _named(
    ("cohort", INSTANT), ("other", INSTANT), ("period", COUNT), ("share", RATIO), ("share_other", RATIO),
    ("difference", RATIO), ("low", RATIO), ("high", RATIO), ("p", NUMBER), ("p_holm", NUMBER), ("test", TEXT),
    ("is_clear", FLAG),
)  # fmt: skip
LIFECYCLE: Final = _named(
    ("start", INSTANT),
    *((name, COUNT) for name in ("active", "new", "returning", "resurrected", "dormant")),
    ("quick_ratio", NUMBER),
    ("is_complete", FLAG),
)


def _by_value(found: Answer) -> Iterable[tuple[str, Answer]]:
    """The table of everybody, then that of each value."""
    return [("", found), *((part["key"], part) for part in found.get("breakdown", ()))]


def _retention_rows(found: Answer) -> Rows:
    for key, row in ((key, row) for key, part in _by_value(found) for row in part["rows"]):
        for cell in row["cells"]:
            yield (
                key, _instant(row["start"]), row["size"], cell["period"], cell["returned"], cell["share"],
                *_edges(cell.get("interval")), _decimal(cell["revenue"]), cell["is_complete"],
            )  # fmt: skip


def _means_rows(found: Answer) -> Rows:
    for key, part in _by_value(found):
        intervals = part["mean_intervals"] or [None] * len(part["means"])
        for period, (mean, interval) in enumerate(zip(part["means"], intervals, strict=False)):
            yield (key, sum(row["size"] for row in part["rows"]), period, mean, *_edges(interval))


def _tests_rows(found: Answer) -> Rows:
    versus = found["versus"] or {"periods": []}
    for test in versus["periods"]:
        one, other = (_instant(found["rows"][versus[name]]["start"]) for name in ("cohort", "other"))
        yield (one, other, test["period"], test["share"], test["share_other"], test["difference"],
               *_edges(test["interval"]), test["p"], test["p_holm"], test["test"], test["is_clear"])  # fmt: skip


def _lifecycle_rows(found: Answer) -> Rows:
    for point in found["points"]:
        numbers = [point[name] for name in ("active", "new", "returning", "resurrected", "dormant", "quick_ratio")]
        yield (_instant(point["start"]), *numbers, point["is_complete"])


# --- Paths ------------------------------------------------------------------------------------------------------------

PATHS: Final = _named(("place", COUNT), ("source", TEXT), ("target", TEXT), ("paths", COUNT))
PATHS_CHANGES: Final = _named(
    ("place", COUNT), ("name", TEXT), ("paths", COUNT), ("paths_before", COUNT), ("share", RATIO),
    ("share_before", RATIO), ("difference", RATIO), ("low", RATIO), ("high", RATIO), ("is_clear", FLAG),
)  # fmt: skip


def _paths_rows(found: Answer) -> Rows:
    return ((link["place"], link["source"], link["target"], link["paths"]) for link in found["links"])


def _paths_nodes(found: Answer) -> Rows:
    return ((node["place"], node["name"], node["paths"], node["people"]) for node in found["nodes"])


def _paths_changes(found: Answer) -> Rows:
    for change in (found["comparison"] or {"changes": []})["changes"]:
        yield (
            change["place"], change["name"], change["paths"], change["paths_before"], change["share"],
            change["share_before"], change["difference"], *_edges(change["interval"]), change["is_clear"],
        )  # fmt: skip


# --- Attribution ------------------------------------------------------------------------------------------------------


def _money(found: Answer, *names: str) -> Iterable[Column]:
    code = found["currency"]
    return (Column(f"{name} ({code})", MONEY, exponents().get(code, 2)) for name in names)


def _attribution_columns(found: Answer) -> Iterable[Column]:
    yield from (Column("model", TEXT), Column(found["by"], TEXT), *_money(found, "revenue"), Column("share", RATIO))
    yield from (Column("conversions", NUMBER), Column("new_customers", NUMBER))
    yield from (*_money(found, "cost", "cac", "cost_per_conversion"), Column("roas", NUMBER))


def _attribution_rows(found: Answer) -> Rows:
    for table in found["models"]:
        for credit in table["credits"]:
            names = ("revenue", "cost", "cac", "cost_per_conversion")
            revenue, cost, cac, each = (_decimal(credit[name]) for name in names)
            yield (
                MODEL_NAMES.get(table["model"], table["model"]), credit["key"], revenue, credit["share"],
                credit["conversions"], credit["new_customers"], cost, cac, each, credit["roas"],
            )  # fmt: skip


def _attribution_change_columns(found: Answer) -> Iterable[Column]:
    yield from (Column("model", TEXT), Column(found["by"], TEXT))
    shares = ("share_of_conversions", "share_before", "difference", "low", "high")
    yield from (*(Column(name, RATIO) for name in shares), Column("is_clear", FLAG))
    yield from _money(found, "revenue", "revenue_before", "revenue_difference", "revenue_low", "revenue_high")
    yield Column("is_revenue_clear", FLAG)


def _attribution_changes(found: Answer) -> Rows:
    for table in (found["comparison"] or {"models": []})["models"]:
        for change in table["changes"]:
            money = [_decimal(change[name]) for name in ("revenue", "revenue_before", "revenue_difference")]
            edges = [_decimal(edge) for edge in _edges(change["revenue_interval"])]
            yield (
                MODEL_NAMES.get(table["model"], table["model"]), change["key"], change["share"],
                change["share_before"], change["difference"], *_edges(change["interval"]), change["is_clear"],
                *money, *edges, change["is_revenue_clear"],
            )  # fmt: skip


# --- All of them ------------------------------------------------------------------------------------------------------

NOT_COMPARED: Final = "The question compares with nothing: choose another period to compare with."
NO_CURVE: Final = "Nobody has converted, or the question leaves the curve out."
TIMES: Final = _named(("seconds_from", COUNT), ("seconds_to", COUNT), ("n", COUNT), ("share", RATIO))
MEANS: Final = _named(
    ("key", TEXT), ("people", COUNT), ("period", COUNT), ("share", RATIO), ("low", RATIO), ("high", RATIO)
)
NODES: Final = _named(("place", COUNT), ("name", TEXT), ("paths", COUNT), ("people", COUNT))
NO_TESTS: Final = "The question names no two cohorts to compare."

LAYOUTS: Final[Mapping[str, Layout]] = {
    "funnel": Layout(FUNNEL, _funnel_rows),
    "funnel-curve": Layout(FUNNEL_CURVE, _curve_rows, NO_CURVE),
    "funnel-times": Layout(TIMES, _times_rows, NO_CURVE),
    "funnel-changes": Layout(FUNNEL_CHANGES, _funnel_changes, NOT_COMPARED),
    "retention": Layout(RETENTION, _retention_rows),
    "retention-means": Layout(MEANS, _means_rows),
    "retention-tests": Layout(RETENTION_TESTS, _tests_rows, NO_TESTS),
    "lifecycle": Layout(LIFECYCLE, _lifecycle_rows),
    "paths": Layout(PATHS, _paths_rows),
    "paths-nodes": Layout(NODES, _paths_nodes),
    "paths-changes": Layout(PATHS_CHANGES, _paths_changes, NOT_COMPARED),
    "attribution": Layout(_attribution_columns, _attribution_rows),
    "attribution-changes": Layout(_attribution_change_columns, _attribution_changes, NOT_COMPARED),
}
