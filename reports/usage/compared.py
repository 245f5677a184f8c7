"""Features of two ranges: the share of active people who used each, with the interval of the difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kpis.contracts import OTHER
from kpis.explore.intervals import newcombe
from kpis.explore.plain import plain
from reports.explore.frame import DASH, key_shown, points, share, spread, tone


@dataclass(frozen=True, slots=True)
class ChangeShown:
    """One feature."""

    name: str
    now: str
    before: str
    difference: str
    interval: str
    verdict: str
    tone: str


def changes_of(answer: Mapping[str, Any], before: Mapping[str, Any]) -> list[ChangeShown]:
    """In the order of now; a feature that only one of the two lists tells has no difference."""
    earlier = {row["feature"]: row for row in before["features"]}
    return [
        _change(row, earlier.get(row["feature"]), answer, before)
        for row in answer["features"]
        if row["feature"] != OTHER
    ]


def _change(
    row: Mapping[str, Any], earlier: Mapping[str, Any] | None, answer: Mapping[str, Any], before: Mapping[str, Any]
) -> ChangeShown:
    everybody, everybody_before = answer["active_users"], before["active_users"]
    # A list that was cut may have dropped it; a whole one that lacks it says that nobody used it.
    is_cut = any(each["feature"] == OTHER for each in before["features"])
    used_before = earlier["users"] if earlier else None if is_cut else 0
    name, now = key_shown(row["feature"]), share(row["share"])
    if used_before is None or not everybody or not everybody_before:
        return ChangeShown(name, now, DASH, DASH, "", "nothing to compare", "")
    difference = row["users"] / everybody - used_before / everybody_before
    found = newcombe(row["users"], everybody, used_before, everybody_before)
    assert found is not None  # there are trials on both sides
    return ChangeShown(
        name,
        now,
        share(used_before / everybody_before),
        points(difference),
        spread(plain(found)),
        "more than chance" if found.is_clear else "may be chance",
        tone(difference, found.is_clear),
    )
