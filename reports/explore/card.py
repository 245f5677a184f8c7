"""An answer of exploration as a card of a board: asked anew each time, so that its range moves with the days."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from rest_framework.exceptions import ValidationError

from analytics.cache import Audience
from analytics.contracts import TenantInfo
from analytics.filters import calendar_of
from analytics.lake.errors import LakeError, StoreTimeout
from kpis.explore.grammar import Asking, question_of
from kpis.explore.selectors import explore
from kpis.parameters import NothingCounted
from reports.dashboard.shown import point_shown
from reports.explore.attribution_shown import MODEL_NAMES
from reports.explore.frame import amount, count, credit_shown, key_shown, share

CARD_SECONDS: Final = 3.0
MOST_ROWS: Final = 12
PATHS: Final = {f"/explore/{kind}/": kind for kind in ("funnel", "retention", "paths", "attribution")}
NO_ADDRESS: Final = "This card needs the address of an exploration, such as /explore/funnel/?q=…"


@dataclass(frozen=True, slots=True)
class ExplorationCard:
    """What the card writes: a sentence and a small table; `href` is the whole answer."""

    href: str
    reading: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class NoCard(ValueError):
    """It cannot be shown; the message says why."""


def exploration_card(*, tenant: TenantInfo, address: str, now: datetime) -> ExplorationCard:
    """The answer behind an address of a page of exploration. Raises NoCard."""
    kind, wanted = asked_at(address)
    try:
        found = explore(
            kind=kind,
            wanted=wanted,
            asking=Asking(tenant, now),
            audience=Audience(tenant.id, "card of a board"),
            timeout=CARD_SECONDS,
        )
    except StoreTimeout:
        raise NoCard("This answer takes longer than a board waits: open it.") from None
    except LakeError as error:
        raise NoCard(str(error) or "The store of events cannot be read just now.") from None
    except (ValidationError, NothingCounted):
        raise NoCard("This question cannot be answered any more: open it and see why.") from None
    heads, rows = TABLES[kind](found, tenant)
    return ExplorationCard(address, str(found["reading"]), heads, rows[:MOST_ROWS])


def asked_at(address: str) -> tuple[str, dict[str, Any]]:
    """The kind and the question of an address. Raises NoCard."""
    parts = urlsplit(address.strip())
    kind = PATHS.get(parts.path)
    if kind is None or parts.scheme or parts.netloc:
        raise NoCard(NO_ADDRESS)
    try:
        return kind, question_of(parse_qs(parts.query).get("q", [""])[0])
    except ValidationError:
        raise NoCard(NO_ADDRESS) from None


Table = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]


def _funnel(found: Mapping[str, Any], tenant: TenantInfo) -> Table:
    rows = ((step["label"], count(step["reached"]), share(step["rate_total"])) for step in found["steps"])
    return ("Step", "People", "Of all"), tuple(rows)


def _retention(found: Mapping[str, Any], tenant: TenantInfo) -> Table:
    calendar = calendar_of(tenant)
    most = min(max((len(row["cells"]) for row in found["rows"]), default=0), 9)
    heads = ("Came first", "People", *(f"{found['unit'].capitalize()} {period}" for period in range(most)))
    rows = (
        (
            point_shown(datetime.fromisoformat(row["start"]), found["unit"], calendar),
            count(row["size"]),
            *("" if cell["share"] is None else share(cell["share"], 0) for cell in row["cells"][:most]),
        )
        for row in found["rows"]
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
