"""What a board says, as typed values: read from JSON or YAML with the place of every mistake, and written back.

    {"title": "Sales", "description": "", "visibility": "team", "query": {"period": "last_30d"},
     "cards": [{"kind": "chart", "metric": "revenue.gross", "query": {}, "x": 1, "y": 1, "w": 6, "h": 5}]}

`query` is the grammar of the API (`kpis/parameters.py`): the board's holds for every card, a card's own wins over it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from rest_framework.exceptions import APIException, ValidationError

from analytics.contracts import TenantInfo
from analytics.filters import nearest
from kpis.parameters import EVERYTHING, as_query, ask_of
from reports.boards.grid import COLUMNS, MAX_HEIGHT, MAX_ROW, Box, settle
from reports.boards.kinds import KINDS

RANGE: Final = ("period", "from", "to")
QUERY: Final = tuple(name for name in EVERYTHING if name != "timezone")
VISIBILITIES: Final = ("private", "team")
MAX_CARDS: Final = 60
MAX_TITLE: Final = 200
MAX_TEXT: Final = 4000
CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One card. `by` is a parameter like any other, so it lies in `query`; `goal` is a goal's id."""

    kind: str
    metric: str = ""
    title: str = ""
    text: str = ""
    goal: str = ""
    query: dict[str, Any] = {}
    x: int = 1
    y: int = 1
    w: int = 4
    h: int = 3


class Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole board."""

    title: str
    description: str = ""
    visibility: str = "team"
    query: dict[str, Any] = {}
    cards: tuple[Card, ...] = ()


@dataclass(frozen=True, slots=True)
class Mistake:
    """`path` leads to it: `cards.2.metric`."""

    path: str
    message: str


class DraftError(ValueError):
    """The board cannot be kept like that."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("; ".join(f"{mistake.path}: {mistake.message}" for mistake in mistakes))
        self.mistakes = mistakes


def draft_read(data: Any, *, tenant: TenantInfo, metrics: Collection[str], now: datetime) -> Draft:
    """The board that `data` describes, with its cards where they come to lie. Raises DraftError with all mistakes."""
    draft = draft_shape(data)
    mistakes = list(_mistakes(draft, tenant, metrics, now))
    if mistakes:
        raise DraftError(mistakes)
    return draft_settled(draft)


def draft_shape(data: Any) -> Draft:
    """The types alone, of what was checked when it was kept. Raises DraftError."""
    try:
        found = msgspec.convert(data, Draft)
    except (msgspec.ValidationError, RecursionError) as error:
        raise DraftError([_of_types(str(error))]) from None
    cards = tuple(msgspec.structs.replace(card, query=_texts(card.query)) for card in found.cards)
    return msgspec.structs.replace(found, query=_texts(found.query), cards=cards)


def draft_plain(draft: Draft) -> dict[str, Any]:
    """As JSON has it; what says nothing is left out, where a card lies never is."""
    plain: dict[str, Any] = msgspec.to_builtins(draft)
    cards = [{**msgspec.to_builtins(card), "x": card.x, "y": card.y, "w": card.w, "h": card.h} for card in draft.cards]
    return {"title": draft.title, "visibility": draft.visibility, **plain, "cards": cards}


def draft_settled(draft: Draft) -> Draft:
    """With every card where it falls to."""
    boxes = settle(Box(card.x, card.y, card.w, card.h) for card in draft.cards)
    moved = (msgspec.structs.replace(card, x=box.x, y=box.y) for card, box in zip(draft.cards, boxes, strict=True))
    return msgspec.structs.replace(draft, cards=tuple(sorted(moved, key=lambda card: (card.y, card.x))))


def question_of_card(draft: Draft, card: Card, over: Mapping[str, str] | None = None) -> dict[str, str]:
    """The parameters of a card: the board's, then those of the visitor's address, then its own. A range is replaced."""
    found: dict[str, str] = dict(draft.query)
    for layer in (over or {}, card.query):
        if any(layer.get(name) for name in RANGE):
            found = {name: value for name, value in found.items() if name not in RANGE}
        found.update(layer)
    return found


# --- Checks -----------------------------------------------------------------------------------------------------------


def _mistakes(draft: Draft, tenant: TenantInfo, metrics: Collection[str], now: datetime) -> Iterator[Mistake]:
    yield from _of_text("title", draft.title, MAX_TITLE, is_needed=True)
    yield from _of_text("description", draft.description, MAX_TEXT)
    if draft.visibility not in VISIBILITIES:
        yield Mistake("visibility", f"Write private or team, not {draft.visibility[:40]!r}.")
    if len(draft.cards) > MAX_CARDS:
        yield Mistake("cards", f"A board holds at most {MAX_CARDS} cards, not {len(draft.cards)}: make two boards.")
        return
    wrong = list(_of_query("query", draft.query, tenant, now))
    yield from wrong
    for index, card in enumerate(draft.cards):
        path = f"cards.{index}"
        yield from _of_card(path, card, metrics)
        if card.query and not wrong:
            yield from _of_query(f"{path}.query", question_of_card(draft, card), tenant, now)


def _of_card(path: str, card: Card, metrics: Collection[str]) -> Iterator[Mistake]:
    kind = KINDS.get(card.kind)
    if kind is None:
        listed = ", ".join(KINDS)
        yield Mistake(f"{path}.kind", f"A card is one of {listed}, not {card.kind[:40]!r}.{nearest(card.kind, KINDS)}")
        return
    has = {"metric": card.metric, "text": card.text.strip(), "goal": card.goal, "by": card.query.get("by")}
    for name in sorted(kind.needs):
        if not has[name]:
            where = "query.by" if name == "by" else name
            yield Mistake(f"{path}.{where}", f"A {kind.name} card needs `{where}`.")
    if card.metric and card.metric not in metrics:
        word = card.metric[:100]
        yield Mistake(f"{path}.metric", f"There is no metric {word!r}.{nearest(word, metrics)}")
    if card.goal and not _is_uuid(card.goal):
        yield Mistake(f"{path}.goal", "`goal` is the id of a goal; `GET /api/v1/goals/` lists them.")
    yield from _of_text(f"{path}.title", card.title, MAX_TITLE)
    yield from _of_text(f"{path}.text", card.text, MAX_TEXT)
    yield from _of_place(path, card)


def _of_place(path: str, card: Card) -> Iterator[Mistake]:
    for name, value, most in (
        ("x", card.x, COLUMNS),
        ("y", card.y, MAX_ROW),
        ("w", card.w, COLUMNS),
        ("h", card.h, MAX_HEIGHT),
    ):
        if not 1 <= value <= most:
            yield Mistake(f"{path}.{name}", f"`{name}` is from 1 to {most}, not {str(value)[:20]}.")
            return
    if card.x + card.w - 1 > COLUMNS:
        yield Mistake(
            f"{path}.w", f"From column {card.x} there is room for {COLUMNS + 1 - card.x} columns, not {card.w}."
        )


def _of_query(path: str, query: Mapping[str, str], tenant: TenantInfo, now: datetime) -> Iterator[Mistake]:
    try:
        ask_of(query, tenant, now, known=QUERY)
    except ValidationError as error:
        detail = error.detail if isinstance(error.detail, dict) else {"": error.detail}
        for name, messages in detail.items():
            yield Mistake(f"{path}.{name}".rstrip("."), " ".join(map(str, messages)))
    except APIException as error:
        yield Mistake(path, str(error.detail))


def _of_text(path: str, text: str, most: int, *, is_needed: bool = False) -> Iterator[Mistake]:
    if is_needed and not text.strip():
        yield Mistake(path, "Give the board a title.")
    if len(text) > most:
        yield Mistake(path, f"At most {most} characters, not {len(text)}.")
    if CONTROL.search(text):
        yield Mistake(path, "Control characters (such as NUL) cannot be kept.")


def _texts(query: Mapping[str, Any]) -> dict[str, str]:
    """Every value as the address would have it: `country: [FR, DE]` is `country=FR,DE`."""
    wanted: dict[str, Any] = {}
    for name, value in query.items():
        if isinstance(value, list) and name != "filters":
            wanted[name] = [str(item) for item in value]
        elif name == "filters" and isinstance(value, str):
            wanted[name] = _decoded(value)
        elif value is not None:
            wanted[name] = value
    try:
        return {name: text for name, text in as_query(wanted).items() if text.strip()}
    except (TypeError, ValueError):
        raise DraftError([Mistake("query", "`filters` is a list of {field, op, value}.")]) from None


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise DraftError([Mistake("query.filters", "Write a list of {field, op, value}.")]) from None


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


TYPES: Final = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<where>[^`]*)`)?$", re.DOTALL)
UNKNOWN: Final = re.compile(r"unknown field `(?P<name>[^`]*)`")
MISSING: Final = re.compile(r"missing required field `(?P<name>[^`]*)`")


def _of_types(text: str) -> Mistake:
    """msgspec's message as one of ours: where it is, what is wrong, and which words are known there."""
    found = TYPES.match(text)
    what, where = (found["what"], found["where"] or "") if found else (text, "")
    path = where.replace("[...]", "").replace("[", ".").replace("]", "").strip(".")
    known: type[msgspec.Struct] = Card if path.startswith("cards") else Draft
    if unknown := UNKNOWN.search(what):
        fields = known.__struct_fields__
        name = unknown["name"][:60]
        return Mistake(
            f"{path}.{name}".strip("."),
            f"There is no `{name}` here; known are {', '.join(fields)}.{nearest(name, fields)}",
        )
    if missing := MISSING.search(what):
        return Mistake(path, f"`{missing['name']}` is missing here.")
    return Mistake(path, f"{what}.")
