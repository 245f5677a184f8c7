"""Segments of customers as a source of kept sets of people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from analytics.contracts import TenantInfo
from kpis.segments.sources import Found, SegmentSource, sources
from kpis.selectors import calendar_read
from kpis.series.question import QuestionError


def of_customers(tenant: TenantInfo, definition: Mapping[str, Any], now: datetime) -> Found:
    """`{"segment": "At risk"}`: who is in a segment of the newest snapshot of customers."""
    from insights.selectors import NoSnapshot, segment_members

    name = definition.get("segment")
    if not isinstance(name, str):
        raise QuestionError("name the segment, for example At risk", "definition.segment")
    try:
        taken_on, people = segment_members(tenant_id=tenant.id, name=name)
    except NoSnapshot as error:
        raise QuestionError(str(error), "definition.segment") from None
    return Found(people, calendar_read(tenant_id=tenant.id).day(taken_on).end)


sources.register(SegmentSource("customers", "A segment of the newest snapshot of customers.", of_customers))
