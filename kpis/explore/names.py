"""Names of events as a tenant uses them: its own for standard ones; slips of the pen told from answers of zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from django.db import connection

from analytics.filters import refuse
from analytics.tenancy import tenant_context
from kpis.contracts import OTHER
from kpis.explore.picks import EventPick, names_of
from kpis.mapping import names_live
from kpis.taxonomy import STANDARD_EVENTS, STANDARD_NAMES, named

T = TypeVar("T")

# Every count of events is rolled up by name; the fold keeps it to one row a name.
_NAMES = """
SELECT DISTINCT key FROM bw_bucket
 WHERE tenant_id = %s AND measure = 'events.count' AND dimension = 'name' AND grain = 3"""
# What is not counted yet, or was folded into "other" for being one of too many names.
_SENT = """
SELECT n.name FROM unnest(%s::text[]) AS n (name)
 WHERE EXISTS (SELECT 1 FROM bw_event e WHERE e.tenant_id = %s AND e.name = n.name)"""


def names_seen(*, tenant_id: int) -> frozenset[str]:
    """All that were counted; there may be more."""
    with tenant_context(tenant_id), connection.cursor() as cursor:
        cursor.execute(_NAMES, [tenant_id])
        return frozenset(row[0] for row in cursor.fetchall()) - {OTHER, ""}


def names_check(names: Iterable[str], *, tenant_id: int) -> None:
    """Refuse names that are neither standard nor mapped nor were ever sent, with the nearest that were."""
    asked = [name for name in dict.fromkeys(names) if name not in STANDARD_NAMES]
    if not asked:
        return
    known = names_seen(tenant_id=tenant_id) | names_live(tenant_id=tenant_id).keys() | set(names_of(STANDARD_EVENTS))
    if unknown := [name for name in asked if name not in known]:
        sent = _sent(unknown, tenant_id)
        for name in unknown:
            if name not in sent:
                _refuse(name, sorted(known))


def _sent(names: list[str], tenant_id: int) -> frozenset[str]:
    with tenant_context(tenant_id), connection.cursor() as cursor:
        cursor.execute(_SENT, [[name.replace("\x00", "") for name in names], tenant_id])
        return frozenset(row[0] for row in cursor.fetchall())


def _refuse(name: str, known: list[str]) -> None:
    words = {each.casefold().replace(" ", "_"): each for each in reversed(known)}
    close = get_close_matches(name.casefold().replace(" ", "_"), list(words), n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(words[each] for each in close)}?" if close else ""
    hint = hint or " GET /api/v1/events/ shows what you send."
    refuse("events", "unknown_event", f"You never sent an event {name[:100]!r}.{hint}")


def with_own_names(question: T, own: Mapping[str, str]) -> T:
    """The question with every pick of standard events opened to the tenant's own names for them."""
    found: Any = _opened(question, own) if own else question
    result: T = found
    return result


def _opened(value: Any, own: Mapping[str, str]) -> Any:
    if isinstance(value, EventPick):
        wanted = named(*(name for name in value.names if name in STANDARD_EVENTS))
        mine = tuple(sorted(name for name, means in own.items() if means in wanted))
        return replace(value, own=mine) if mine else value
    if isinstance(value, tuple) and type(value) is tuple:
        opened = tuple(_opened(each, own) for each in value)
        return opened if any(new is not old for new, old in zip(opened, value, strict=True)) else value
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changed = {}
    for field in fields(value):
        if field.init and (new := _opened(old := getattr(value, field.name), own)) is not old:
            changed[field.name] = new
    return replace(value, **changed) if changed else value
