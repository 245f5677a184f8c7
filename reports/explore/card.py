"""An answer as a card of a board: a sentence and a small table, by the address of its page.

Pages that can be a card are entries of `pages`: those of exploration here, others beside their page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from rest_framework.exceptions import ValidationError

from analytics.cache import Audience
from analytics.contracts import TenantInfo
from analytics.filters import calendar_of
from analytics.lake.errors import LakeError, StoreTimeout
from analytics.registry import Registry
from kpis.explore.grammar import Asking, question_of
from kpis.explore.selectors import explore
from kpis.parameters import NothingCounted
from kpis.series import NoCalendar
from reports.dashboard.shown import point_shown
from reports.explore.attribution_shown import MODEL_NAMES
from reports.explore.frame import amount, count, credit_shown, key_shown, share
from reports.explore.retention_shown import value_shown

CARD_SECONDS: Final = 3.0
MOST_ROWS: Final = 12
NO_ADDRESS: Final = "This card needs the address of a page with an answer, such as /explore/funnel/?q=…"
NOTHING: Final = "There is nothing to show yet: open the page and see why."


class NoCard(ValueError):
    """It cannot be shown; the message says why."""


@dataclass(frozen=True, slots=True)
class CardTable:
    """What a page says in short."""

    reading: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ExplorationCard:
    """What the card writes; `href` is the whole answer."""

    href: str
    reading: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Parameters = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CardPage:
    """`id` is the path of a page; `read` answers for the parameters of its address. Who reads it is a member of the
    team, but nobody in particular: what only some may see is not in it. Raises NoCard."""

    id: str
    read: Callable[[Parameters, TenantInfo, datetime], CardTable]


pages: Registry[CardPage] = Registry(CardPage)


def exploration_card(*, tenant: TenantInfo, address: str, now: datetime) -> ExplorationCard:
    """The answer behind the address of a page. Raises NoCard."""
    page, parameters = page_at(address)
    try:
        found = page.read(parameters, tenant, now)
    except StoreTimeout:
        raise NoCard("This answer takes longer than a board waits: open it.") from None
    except LakeError as error:
        raise NoCard(str(error) or "The store of events cannot be read just now.") from None
    except NoCalendar:
        raise NoCard(NOTHING) from None
    except (ValidationError, NothingCounted):
        raise NoCard("This question cannot be answered any more: open it and see why.") from None
    return ExplorationCard(address, found.reading, found.heads, found.rows[:MOST_ROWS])


def page_at(address: str) -> tuple[CardPage, dict[str, str]]:
    """The page of an address, and its parameters. Raises NoCard."""
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        raise NoCard(NO_ADDRESS) from None
    page = None if parts.scheme or parts.netloc else pages.get(parts.path)
    if page is None:
        raise NoCard(NO_ADDRESS)
    return page, dict(parse_qsl(parts.query))


# --- Pages of exploration ---------------------------------------------------------------------------------------------

Table = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]


def _funnel(found: Mapping[str, Any], tenant: TenantInfo) -> Table:
    rows = ((step["label"], count(step["reached"]), share(step["rate_total"])) for step in found["steps"])
    return ("Step", "People", "Of all"), tuple(rows)


def _retention(found: Mapping[str, Any], tenant: TenantInfo) -> Table:
    """Its cohorts; of a breakdown everybody and each value, over all cohorts."""
    calendar, by = calendar_of(tenant), found.get("by")
    most = min(max((len(row["cells"]) for row in found["rows"]), default=0), 9)
    heads = (by or "Came first", "People", *(f"{found['unit'].capitalize()} {period}" for period in range(most)))
    if by:
        everybody = {**found, "size": sum(row["size"] for row in found["rows"])}
        lines = [("Everybody", everybody), *((value_shown(part["key"]), part) for part in found["breakdown"])]
        shares = [(label, part["size"], part["means"]) for label, part in lines]
    else:
        shares = [
            (
                point_shown(datetime.fromisoformat(row["start"]), found["unit"], calendar),
                row["size"],
                [cell["share"] for cell in row["cells"]],
            )
            for row in found["rows"]
        ]
    rows = (
        (label, count(size), *("" if value is None else share(value, 0) for value in values[:most]))
        for label, size, values in shares
    )
    return heads, tuple(rows)


def _paths(found: Mapping[str, Any], tenant: TenantInfo) -> Table:
    whole = found["paths"] or 1
    nodes = sorted((node for node in found["nodes"] if node["place"] == 1), key=lambda node: -node["paths"])
    rows = (({"__end__": "(end)"}.get(n["name"], key_shown(n["name"])), count(n["paths"]), share(n["paths"] / whole))
            for n in nodes)  # fmt: skip
    return ("Next", "Paths", "Share"), tuple(rows)


def _attribution(found: Mapping[str, Any], tenant: TenantInfo) -> Table:
    tables = found["models"][:4]
    credits = [{credit["key"]: credit for credit in table["credits"]} for table in tables]
    keys = sorted(credits[0], key=lambda key: -float(credits[0][key]["revenue"])) if credits else []
    heads = (found["by"].capitalize(), *(MODEL_NAMES.get(table["model"], table["model"]) for table in tables))
    code = found["currency"]

    def money(each: Mapping[str, Any], key: str) -> str:
        return amount(each[key]["revenue"], code) if key in each else ""

    rows = ((credit_shown(key), *(money(each, key) for each in credits)) for key in keys)
    return heads, tuple(rows)


TABLES: Final[Mapping[str, Callable[[Mapping[str, Any], TenantInfo], Table]]] = {
    "funnel": _funnel,
    "retention": _retention,
    "paths": _paths,
    "attribution": _attribution,
}


def _answer(parameters: Parameters, tenant: TenantInfo, now: datetime, *, kind: str) -> CardTable:
    found = explore(
        kind=kind,
        wanted=question_of(parameters.get("q", "")),
        asking=Asking(tenant, now),
        audience=Audience(tenant.id, "card of a board"),
        timeout=CARD_SECONDS,
    )
    return CardTable(str(found["reading"]), *TABLES[kind](found, tenant))


for each in TABLES:
    pages.register(CardPage(f"/explore/{each}/", partial(_answer, kind=each)))
