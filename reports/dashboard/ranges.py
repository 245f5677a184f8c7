"""The forms of the toolbar: days that people choose (both included) as parameters of the address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final
from urllib.parse import parse_qsl

from kpis.parameters import FILTERS
from reports.dashboard.shown import country_code

FORM_FIELDS: Final = ("next", "first", "last", "compare_first", "compare_last", "filter_by", "filter_value")


def chosen_range(form: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The page and its parameters that a submitted form means. What cannot be read is passed on, to be told there."""
    path, _, query = form.get("next", "/").partition("#")[0].partition("?")
    # The page's own parameters come first: what the form says of the same name wins over them.
    given = {**dict(parse_qsl(query)), **dict(form.items())}  # of a name that comes twice the last, as one text
    parameters = {name: value for name, value in given.items() if name not in FORM_FIELDS and value.strip()}
    if form.get("first") or form.get("last"):
        for name in ("period", "days", "granularity"):
            parameters.pop(name, None)
        first = form.get("first") or form.get("last", "")
        parameters |= {"from": first, "to": _day_after(form.get("last") or first)}
    if form.get("compare_first") and form.get("compare_last"):
        parameters["compare"] = f"{form['compare_first']}..{_day_after(form['compare_last'])}"
    column, value = form.get("filter_by", ""), form.get("filter_value", "").strip()
    if column in FILTERS and value:
        parameters[column] = ",".join(map(country_code, value.split(","))) if column == "country" else value
    return path, parameters


def _day_after(text: str) -> str:
    try:
        return (date.fromisoformat(text) + timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return text
