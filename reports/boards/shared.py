"""What people without an account may see of a card: no names, no groups of fewer than five, no way further in (S36)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from django.db import Error, transaction

from analytics.cache import DASHBOARD, METRICS, Audience, cached
from analytics.selectors import statement_limit
from kpis.contracts import Series
from kpis.goals.contracts import GoalView
from kpis.groups import crowd_read, withheld
from kpis.parameters import Ask
from kpis.series.question import TOTAL
from reports.dashboard.cards import ChartCard, TableCard, Tile, table_of
from reports.dashboard.question import PageQuestion
from reports.dashboard.reading import numbers_read

if TYPE_CHECKING:
    from reports.boards.reading import BoardCard, Stage

# Columns of few, common values. A property, an object or a name of an event may be anything, also somebody's name.
COARSE: Final = frozenset(
    {
        "campaign",
        "channel",
        "content_type",
        "country",
        "currency",
        "method",
        "object_type",
        "platform",
        "source",
        "tier",
    }
)
MOST_KEYS: Final = 1000
SECONDS: Final = 10
ROLE: Final = "shared"
TOO_FEW: Final = "Fewer than 5 people: not shown outside of the team."
NOT_HERE: Final = "This breakdown could name people, so it is not shown outside of the team."
TOO_SLOW: Final = "Whether the groups are large enough took too long to count: ask for a shorter range."


@dataclass(frozen=True, slots=True)
class Curtain:
    """Drawn before every card of a shared board."""

    tenant_id: int

    @property
    def audience(self) -> Audience:
        """Strangers share answers among themselves, and with nobody else."""
        return Audience(self.tenant_id, ROLE)

    def drawn(self, made: BoardCard, question: PageQuestion) -> BoardCard:
        """The card without links and menus; without its numbers where filters leave few people."""
        item = made.item
        if isinstance(item, Tile | ChartCard | TableCard) and item.problem:
            return replace(made, item=None, problem=item.problem)
        if isinstance(item, Tile | ChartCard) and question.ask.filters:
            reason = self._reason(item.metric, question.ask, _starts(item))
            if reason:
                return replace(made, item=None, title=_title(item), problem=reason)
            item = _undivided(item)
        if isinstance(item, GoalView) and item.filters:
            return replace(made, item=None, problem=TOO_FEW)
        if isinstance(item, Tile):
            lines = () if question.ask.filters else item.lines
            return replace(made, item=replace(item, href=f"#{made.id}", lines=lines, actions=()))
        if isinstance(item, ChartCard):
            bare = replace(item, href=f"#{made.id}", actions=(), notes=(), refresh="", note_href="")
            return replace(made, item=bare)
        if isinstance(item, TableCard):
            return replace(made, item=replace(item, href=f"#{made.id}", actions=()))
        return made

    def table(self, stage: Stage, empty: BoardCard, question: PageQuestion, by: str) -> BoardCard:
        """A breakdown whose values are all of five people or more, and whose rest is, too."""
        if by not in COARSE:
            return replace(empty, problem=NOT_HERE)
        ask = replace(question.ask, by=by, grain=TOTAL, compare=None, limit=MOST_KEYS)
        name, limit = empty.card.metric, question.ask.limit
        numbers = numbers_read([name], ask, tenant_id=self.tenant_id, catalogue=stage.catalogue)
        series = numbers.series.get(name)
        if series is None:
            return replace(empty, problem=numbers.missing.get(name, "Nothing is counted yet."))
        keys = [part.key for part in series.series]
        hidden = self._hidden(name, ask, keys, limit)
        if hidden is None:
            return replace(empty, problem=TOO_SLOW)
        shown = table_of(stage.catalogue[name], _without(series, hidden, limit), question)
        rows = tuple(replace(row, href="", daily="") for row in shown.rows)
        titled = replace(shown, id=f"table-{empty.index}", title=empty.card.title or shown.title, rows=rows)
        return replace(empty, item=titled, note=_note(len(hidden)))

    def _hidden(self, metric: str, ask: Ask, keys: list[str], limit: int) -> frozenset[str] | None:
        try:
            with transaction.atomic():
                statement_limit(SECONDS)
                found = hidden_keys(audience=self.audience, metric=metric, ask=ask, keys=tuple(keys), limit=limit)
        except Error as error:
            if getattr(error.__cause__, "sqlstate", None) != "57014":
                raise
            return None
        return frozenset(found)

    def _reason(self, metric: str, ask: Ask, starts: list[datetime]) -> str:
        try:
            with transaction.atomic():
                statement_limit(SECONDS)
                small = is_small(audience=self.audience, metric=metric, ask=ask, starts=tuple(starts))
        except Error as error:
            if getattr(error.__cause__, "sqlstate", None) != "57014":
                raise
            return TOO_SLOW
        return TOO_FEW if small else ""


@cached(ttl=DASHBOARD, tags=(METRICS,))
def hidden_keys(*, audience: Audience, metric: str, ask: Ask, keys: tuple[str, ...], limit: int) -> list[str]:
    """The values of `ask.by` that strangers may not see."""
    crowd = crowd_read(
        tenant_id=audience.tenant_id,
        metric=metric,
        edges=(ask.period.start, ask.period.end),
        by=ask.by,
        filters=ask.filters,
        include=frozenset(ask.include),
    )
    return sorted(withheld(crowd, keys, shown=limit))


@cached(ttl=DASHBOARD, tags=(METRICS,))
def is_small(*, audience: Audience, metric: str, ask: Ask, starts: tuple[datetime, ...]) -> bool:
    """Whether few people are behind a filtered number, in all of its range or at one of its points."""
    edges = sorted({ask.period.start, *starts, ask.period.end})
    crowd = crowd_read(
        tenant_id=audience.tenant_id,
        metric=metric,
        edges=edges,
        filters=ask.filters,
        include=frozenset(ask.include),
    )
    spans = range(len(edges) - 1) if len(edges) > 2 else ()
    return crowd.is_small([""]) or any(crowd.is_small([""], span=span) for span in spans)


def _undivided(item: Tile | ChartCard) -> Tile | ChartCard:
    """Without how many of the few whom filters leave are daily visitors: that, or its rest, is a small group (S36)."""
    marks = tuple(mark for mark in item.marks if not mark.is_told)
    if isinstance(item, Tile):
        return replace(item, marks=marks)
    return replace(item, marks=marks, rows=tuple(replace(row, daily="") for row in item.rows))


def _without(series: Series, hidden: frozenset[str], limit: int) -> Series:
    kept = tuple(part for part in series.series if part.key not in hidden and part.key != "__other__")
    return replace(series, series=kept[:limit])


def _starts(item: Tile | ChartCard) -> list[datetime]:
    """Where the points of a chart begin; a tile has one number only."""
    data = item.data if isinstance(item, ChartCard) else None
    return [datetime.fromisoformat(text) for text in (data or {}).get("starts", ())]


def _title(item: Tile | ChartCard) -> str:
    return item.name if isinstance(item, Tile) else item.title


def _note(count: int) -> str:
    return (
        f"{count} small {'group is' if count == 1 else 'groups are'} left out (fewer than 5 people)." if count else ""
    )
