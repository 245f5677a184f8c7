"""The kinds of card. One more is an entry here, a reader in `reading.py` and a template of its name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class CardKind:
    """`needs` are the fields without which a card says nothing; `width` and `height` are those of a new one."""

    name: str
    title: str
    help: str
    width: int
    height: int
    needs: frozenset[str] = field(default_factory=frozenset)


KINDS: Final = {
    kind.name: kind
    for kind in (
        CardKind("tile", "Number", "One number with its change and its line.", 3, 2, frozenset({"metric"})),
        CardKind("chart", "Chart", "One number over time, against the range before.", 6, 5, frozenset({"metric"})),
        CardKind("table", "Table", "One number by a dimension, the highest first.", 6, 5, frozenset({"metric", "by"})),
        CardKind("text", "Text", "Your own words between the numbers.", 4, 2, frozenset({"text"})),
        CardKind("goal", "Goal", "How far a goal is, and whether it will be reached.", 4, 3, frozenset({"goal"})),
        CardKind("retention", "Retention", "Who came back, week by week.", 12, 6),
        CardKind(
            "exploration",
            "Answer",
            "What a page of Explore, Usage or Customers says.",
            6,
            6,
            frozenset({"text"}),
        ),
    )
}
