"""Which way a funnel is matched: the kernel over fetched events, or the plan inside the engine."""

from __future__ import annotations

from kpis.explore.stamp import EventSource
from kpis.funnels.attempts import Attempts
from kpis.funnels.kernel import attempts_of
from kpis.funnels.plan import planned
from kpis.funnels.question import Funnel
from kpis.funnels.rows import rows_of, selection


def attempts_read(source: EventSource, funnel: Funnel, data_through: int, executor: str) -> tuple[Attempts, str]:
    """The attempts, and by whom: `duckdb+kernel`, `spark` … A cluster matches itself what has an order."""
    if executor == "plan" or (not executor and source.engine == "spark" and funnel.order != "any"):
        return planned(source, funnel, data_through), source.engine
    return attempts_of(rows_of(source.run(selection(source, funnel))), funnel, data_through), f"{source.engine}+kernel"
