"""Which way a funnel is matched: by numbers, by the kernel over fetched events, or by the plan inside the engine."""

from __future__ import annotations

from kpis.explore.stamp import EventSource
from kpis.funnels.attempts import Attempts
from kpis.funnels.groups import group_rows
from kpis.funnels.kernel import attempts_of
from kpis.funnels.packed import is_plain, packed_attempts
from kpis.funnels.plan import planned
from kpis.funnels.question import Funnel
from kpis.funnels.rows import Rows, rows_of, selection
from kpis.funnels.visits import visit_rows


def attempts_read(source: EventSource, funnel: Funnel, data_through: int, executor: str) -> tuple[Attempts, str]:
    """The attempts, and by whom: `duckdb+kernel`, `spark` … A cluster matches itself what has an order, one attempt a
    person; visits, groups, and attempts one after the other are the kernel's.

    `executor` "packed", "kernel" or "plan" insists on a way; a funnel that it cannot answer goes to the kernel.
    """
    if funnel.session or funnel.group or funnel.entry == "every":
        return attempts_of(_units_read(source, funnel), funnel, data_through), f"{source.engine}+kernel"
    if executor == "plan" or (not executor and source.engine == "spark" and funnel.order != "any"):
        return planned(source, funnel, data_through), source.engine
    found = None
    if executor in ("", "packed") and is_plain(funnel):
        found = packed_attempts(source, funnel, data_through)
    if found is None:
        found = attempts_of(rows_of(source.run(selection(source, funnel))), funnel, data_through)
    return found, f"{source.engine}+kernel"


def _units_read(source: EventSource, funnel: Funnel) -> Rows:
    """The events by what passes the steps: people, their visits, or groups."""
    if funnel.session:
        return visit_rows(source, funnel)
    return group_rows(source, funnel) if funnel.group else rows_of(source.run(selection(source, funnel)))
