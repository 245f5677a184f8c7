"""The cards of a board with their numbers: those of one question are read together, and one that fails fails alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from analytics.contracts import TenantInfo
from analytics.periods import Granularity
from kpis.catalogue import Catalogue
from kpis.goals.contracts import GoalView
from kpis.goals.selectors import UnknownGoal, goal_read
from kpis.retention import retention_read
from kpis.series import NoCalendar
from reports.boards.draft import QUERY, RANGE, Card, Draft, question_of_card
from reports.boards.kinds import KINDS, CardKind
from reports.boards.retention import RetentionTable, for_strangers, retention_table
from reports.boards.shared import NOT_HERE, Curtain
from reports.dashboard import shown
from reports.dashboard.breakdowns import WHOLE, split_read
from reports.dashboard.cards import NO_MARKS, ChartCard, TableCard, Tile, actions_of
from reports.dashboard.charts import legend_of
from reports.dashboard.marks import Marks, marks_read
from reports.dashboard.pages import chart_for, table_for, tile_for
from reports.dashboard.question import PageQuestion, question_of
from reports.dashboard.reading import Numbers, numbers_read
from reports.explore.card import ExplorationCard, NoCard, exploration_card

Together: TypeAlias = Mapping[str, tuple[PageQuestion, Numbers, Marks]]
WEEKS: Final = 8
BROKEN: Final = "This card cannot be shown as it is: edit the board."


@dataclass(frozen=True, slots=True)
class BoardCard:
    """A card in its place. `item` is what its template writes; `problem` stands in its stead."""

    index: int
    card: Card
    kind: CardKind
    item: Tile | ChartCard | TableCard | GoalView | RetentionTable | ExplorationCard | None = None
    title: str = ""
    problem: str = ""
    note: str = ""

    @property
    def id(self) -> str:
        """Its anchor on the page."""
        return f"card-{self.index}"

    @property
    def template(self) -> str:
        """What writes it."""
        return f"reports/boards/cards/{self.kind.name}.html"


@dataclass(frozen=True, slots=True)
class Stage:
    """What all cards of one showing have in common. `curtain` is drawn before people without an account."""

    draft: Draft
    tenant: TenantInfo
    now: datetime
    question: PageQuestion
    over: Mapping[str, str]
    catalogue: Catalogue
    curtain: Curtain | None = None

    def asked(self, card: Card) -> PageQuestion:
        """The card's own question; its links lead from the board's."""
        wanted = question_of_card(self.draft, card, self.over)
        question = question_of(wanted, self.tenant, self.now, path=self.question.path, known=QUERY)
        if self.curtain is None or not question.ask.filters:
            return question
        # The few of an earlier range would show in the comparison.
        return replace(question, ask=replace(question.ask, compare=None))


def board_question(
    draft: Draft, tenant: TenantInfo, now: datetime, *, over: Mapping[str, str], path: str
) -> PageQuestion:
    """The question of the whole board: its own, changed by the visitor's address."""
    wanted = question_of_card(draft, Card("text"), over)
    return question_of(wanted, tenant, now, path=path, known=QUERY)


def board_cards(stage: Stage) -> list[BoardCard]:
    """Every card, in the order of the page. Needs the tenant's context."""
    together = _together(stage)
    return [_made(stage, index, card, together) for index, card in enumerate(stage.draft.cards)]


def _together(stage: Stage) -> Together:
    """One reading for all tiles and charts that ask the same. What goals and annotations say is the team's own."""
    wanted: dict[str, tuple[PageQuestion, list[str]]] = {}
    for card in stage.draft.cards:
        if card.kind in ("tile", "chart"):
            question = stage.asked(card)
            wanted.setdefault(_key(question), (question, []))[1].append(card.metric)
    return {key: _read(stage, question, names) for key, (question, names) in wanted.items()}


def _read(stage: Stage, question: PageQuestion, names: list[str]) -> tuple[PageQuestion, Numbers, Marks]:
    ask = replace(question.ask, by=None)
    numbers = numbers_read(names, ask, tenant_id=stage.tenant.id, catalogue=stage.catalogue)
    has_marks = stage.curtain is None and not numbers.is_empty
    return question, numbers, marks_read(names, question) if has_marks else NO_MARKS


def _key(question: PageQuestion) -> str:
    return repr(
        (question.ask.grain, sorted((name, value) for name, value in question.parameters.items() if name != "by"))
    )


def _made(stage: Stage, index: int, card: Card, together: Together) -> BoardCard:
    kind = KINDS.get(card.kind)
    if kind is None:
        return BoardCard(index, card, KINDS["text"], problem=BROKEN)
    empty = BoardCard(index, card, kind, title=card.title or kind.title)
    made = READERS[kind.name](stage, empty, together)
    if stage.curtain is not None and made.item is not None:
        return stage.curtain.drawn(made, stage.asked(card))
    return made


# --- Each kind --------------------------------------------------------------------------------------------------------


def _tile(stage: Stage, empty: BoardCard, together: Together) -> BoardCard:
    question, numbers, marks = together[_key(stage.asked(empty.card))]
    tile = tile_for(empty.card.metric, numbers, question, marks)
    return replace(empty, item=replace(tile, name=empty.card.title or tile.name), note=_own_range(empty.card, question))


def _chart(stage: Stage, empty: BoardCard, together: Together) -> BoardCard:
    question = stage.asked(empty.card)
    _, numbers, marks = together[_key(question)]
    # Strangers see charts whole: whether each value of a breakdown has enough people at each point is not known.
    is_split = question.ask.by and stage.curtain is None and not numbers.is_empty
    split = split_read([empty.card.metric], [], question, stage.catalogue) if is_split else WHOLE
    chart = chart_for(empty.card.metric, numbers, question, marks, split)
    if empty.card.metric in split.charts:
        series = split.charts[empty.card.metric]
        legend = legend_of(stage.catalogue[empty.card.metric], series, _linked(stage, question))
        chart = replace(chart, legend=legend)
    titled = replace(chart, id=f"chart-{empty.index}", title=empty.card.title or chart.title)
    return replace(empty, item=titled, note=_own_range(empty.card, question))


def _linked(stage: Stage, question: PageQuestion) -> PageQuestion:
    """A value that is clicked narrows the board; files and newer answers are of the card's own question."""
    return replace(question, parameters=stage.question.parameters)


def _table(stage: Stage, empty: BoardCard, together: Together) -> BoardCard:
    question, by = stage.asked(empty.card), empty.card.query.get("by", "")
    if stage.curtain is not None:
        return stage.curtain.table(stage, empty, question, by)
    table = table_for(empty.card.metric, by, _linked(stage, question), stage.catalogue, limit=_limit(empty.card))
    titled = replace(
        table,
        id=f"table-{empty.index}",
        title=empty.card.title or table.title,
        actions=actions_of(empty.card.metric, question, by=by),
    )
    return replace(empty, item=titled, note=_own_range(empty.card, question))


def _text(stage: Stage, empty: BoardCard, together: Together) -> BoardCard:
    return replace(empty, title=empty.card.title)


def _goal(stage: Stage, empty: BoardCard, together: Together) -> BoardCard:
    try:
        goal = goal_read(tenant_id=stage.tenant.id, goal_id=UUID(empty.card.goal), now=stage.now)
    except (UnknownGoal, ValueError):
        return replace(empty, problem="This goal is not there any more.")
    return replace(empty, item=goal, title=empty.card.title or goal.name)


def _retention(stage: Stage, empty: BoardCard, together: Together) -> BoardCard:
    calendar = stage.question.ask.calendar
    start = calendar.last(WEEKS, Granularity.WEEK, stage.now).start
    try:
        found = retention_read(tenant_id=stage.tenant.id, start=start, periods=WEEKS, now=stage.now)
    except NoCalendar:
        return replace(empty, problem="Nothing is counted yet.")
    title = empty.card.title or "Retention by week"
    made = for_strangers if stage.curtain is not None else retention_table
    return replace(empty, item=made(found, calendar), title=title)


def _exploration(stage: Stage, empty: BoardCard, together: Together) -> BoardCard:
    if stage.curtain is not None:
        return replace(empty, problem=NOT_HERE)
    try:
        item = exploration_card(tenant=stage.tenant, address=empty.card.text, now=stage.now)
    except NoCard as error:
        return replace(empty, problem=str(error))
    return replace(empty, item=item, title=empty.card.title or empty.kind.title)


READERS: Final[dict[str, Callable[[Stage, BoardCard, Together], BoardCard]]] = {
    "tile": _tile,
    "chart": _chart,
    "table": _table,
    "text": _text,
    "goal": _goal,
    "retention": _retention,
    "exploration": _exploration,
}


def _limit(card: Card) -> int:
    text = card.query.get("limit", "")
    return min(int(text), 100) if text.isdecimal() else 8


def _own_range(card: Card, question: PageQuestion) -> str:
    """A card with a range of its own says so: the board's toolbar does not move it."""
    has_own = any(card.query.get(name) for name in RANGE)
    return shown.period_shown(question.ask.period, question.ask.calendar) if has_own else ""
