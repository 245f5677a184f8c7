"""Who is behind the values of a metric: how small a group is decides whether strangers may see it (S36).

People are counted from events, by each measure that the metric is made of and under the question's own filters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from pyroaring import FrozenBitMap

from analytics.periods import to_micros
from kpis.base import Condition, measures
from kpis.catalogue import Catalogue
from kpis.needs import measures_in
from kpis.series.count import cells_counted
from kpis.series.strips import Strip, members

NOBODY = FrozenBitMap()
SMALLEST = 5
"""A group of fewer people is not shown outside of the tenant."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """People by measure and value of the dimension ('' without one), in each span between two edges."""

    people: Mapping[str, Mapping[str, tuple[FrozenBitMap, ...]]]

    def keys(self) -> frozenset[str]:
        """Every value that somebody is behind."""
        return frozenset(key for found in self.people.values() for key in found)

    def is_small(self, keys: Sequence[str], *, span: int | None = None, least: int = SMALLEST) -> bool:
        """Whether some, but fewer than `least`, people are behind these values together (in one span, or in all).

        By each measure apart: a hundred visitors do not hide the one of them who bought something.
        """
        return any(0 < len(self._union(found, keys, span)) < least for found in self.people.values())

    def size(self, key: str) -> int:
        """People behind a value, by the measure with the fewest."""
        counts = [len(self._union(found, [key], None)) for found in self.people.values()]
        return min((count for count in counts if count), default=0)

    def _union(
        self, found: Mapping[str, tuple[FrozenBitMap, ...]], keys: Sequence[str], span: int | None
    ) -> FrozenBitMap:
        chosen = [found[key] for key in keys if key in found]
        maps = [each for spans in chosen for each in (spans if span is None else spans[span : span + 1])]
        return FrozenBitMap.union(*maps) if maps else NOBODY


def crowd_read(
    *,
    tenant_id: int,
    metric: str,
    edges: Sequence[datetime],
    by: str | None = None,
    filters: Sequence[Condition] = (),
    include: frozenset[str] = frozenset(),
) -> Crowd:
    """The people behind a metric between each two `edges`. Needs the tenant's context; raises UnknownName."""
    catalogue = Catalogue(tenant_id)
    wanted = [
        replace(
            measures[name],
            aggregate="distinct",
            over="person",
            field=None,
            is_magnitude=False,
            where=(*measures[name].where, *filters),
            dimensions=(by,) if by else (),
        )
        for name in sorted(measures_in(catalogue[metric], catalogue))
    ]
    instants = [to_micros(edge) for edge in edges]
    cells = cells_counted(
        tenant_id=tenant_id,
        wanted=wanted,
        spans=[(edges[0], edges[-1])],
        edges=instants,
        dimensions=frozenset({by or ""}),
        include=include,
    )
    found: dict[str, dict[str, list[tuple[int, tuple[int, object, bytes | None]]]]] = {}
    for cell in cells:
        parts = found.setdefault(cell.measure, {}).setdefault(cell.key, [])
        parts.append((cell.start, (cell.n, cell.total, cell.state)))
    spans = list(pairwise(instants))
    return Crowd(
        {measure: {key: _spans(parts, spans) for key, parts in by_key.items()} for measure, by_key in found.items()}
    )


def withheld(crowd: Crowd, keys: Sequence[str], *, shown: int, least: int = SMALLEST) -> frozenset[str]:
    """The values to leave out, given in the order in which the first `shown` of the rest would be shown.

    Those of small groups, and as many more of the smallest as it takes that all that is not shown is no small group
    either: otherwise it is found by subtracting what is shown from the total.
    """
    hidden = {key for key in keys if crowd.is_small([key], least=least)}
    while True:
        rest = [key for key in keys if key not in hidden]
        if not rest or not crowd.is_small([*hidden, *rest[shown:]], least=least):
            return frozenset(hidden)
        hidden.add(min(rest[:shown], key=crowd.size))


def _spans(
    parts: Sequence[tuple[int, tuple[int, object, bytes | None]]], spans: Sequence[tuple[int, int]]
) -> tuple[FrozenBitMap, ...]:
    strip = Strip.of("distinct", parts)  # type: ignore[arg-type]  # a total of a set is None
    return tuple(members(strip.merged(span)) for span in spans)
