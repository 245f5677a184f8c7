"""One tenant of the product, asked in the same words as the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connections, transaction

from analytics.access.services import tenant_create
from analytics.capture.normalise import normalise
from analytics.contracts import CapturedEvent, Refusal, TenantInfo
from analytics.identity import identity_edges, identity_merge, identity_unmerge, subject_of
from analytics.privacy import erase_subject
from analytics.quarantine import quarantine_replay
from analytics.tenancy import tenant_by_slug, tenant_context
from analytics.writer import write_batch
from kpis.base import Condition
from kpis.rollup.backfill import Backfill, Ledger, bounds, plan_parts, run_backfill
from kpis.rollup.check import check_tenant
from kpis.rollup.refresh import close_hours, refresh_tenant
from kpis.rollup.services import calendar_change, calendar_switch
from kpis.series import metric_series
from tests.model.reference import Claim, Message


@dataclass
class Product:
    """A tenant of its own, so that a story needs no empty database; all other stories are its neighbours."""

    tenant: TenantInfo
    merges: dict[str, UUID] = field(default_factory=dict)

    @classmethod
    def make(cls, slug: str, zone: str, currency: str) -> Product:
        tenant_create(slug=slug, name=slug, zone=zone, base_currency=currency)
        return cls(tenant_by_slug(slug))

    def normalised(self, message: Message, now: datetime, sent_at: datetime | None) -> CapturedEvent | Refusal:
        return normalise(message, tenant=self.tenant, received_at=now, sent_at=sent_at)

    def merge(self, left: str, right: str, number: str, now: datetime) -> None:
        one, other = (subject_of(tenant_id=self.tenant.id, distinct_id=each) for each in (left, right))
        edge = identity_merge(tenant_id=self.tenant.id, left=one, right=other, actor="model", reason="", now=now)
        self.merges[number] = edge.pk

    def unmerge(self, claim: Claim, now: datetime) -> None:
        left, right, kind, number = claim
        one, other = (subject_of(tenant_id=self.tenant.id, distinct_id=each) for each in (left, right))
        (edge,) = (
            edge
            for edge in identity_edges(tenant_id=self.tenant.id, subject_id=one)
            if (edge.left_subject, edge.right_subject, edge.kind) == (one, other, kind)
            and self.merges.get(number, edge.pk) == edge.pk
        )
        identity_unmerge(tenant_id=self.tenant.id, edge_id=edge.pk, actor="model", reason="", now=now)

    def erase(self, who: str, now: datetime) -> None:
        receipt = erase_subject(tenant_id=self.tenant.id, distinct_id=who, now=now, settle_seconds=0.1)
        assert not any(receipt.traces.values()), receipt

    def replay(self, now: datetime) -> None:
        quarantine_replay(tenant=self.tenant, now=now)

    def refresh(self, now: datetime) -> None:
        refresh_tenant(self.tenant.id, now=now)

    def close_hours(self, now: datetime) -> None:
        close_hours(self.tenant.id, now=now)

    def backfill(self, now: datetime) -> None:
        if (span := bounds(self.tenant.id)) is not None:
            self._count(Backfill(self.tenant.id, *span), now)

    def move(self, zone: str, now: datetime) -> None:
        """Another calendar: counted beside the old one as its job does, then switched to."""
        job = calendar_change(tenant_id=self.tenant.id, zone=zone)
        assert job is not None
        calendar_id = job.params["calendar_id"]
        if (span := bounds(self.tenant.id, calendar_id=calendar_id)) is not None:
            self._count(Backfill(self.tenant.id, *span, calendar_id=calendar_id, with_sessions=False), now)
        calendar_switch(tenant_id=self.tenant.id, calendar_id=calendar_id)
        self.tenant = tenant_by_slug(self.tenant.slug)

    def _count(self, backfill: Backfill, now: datetime) -> None:
        parts = plan_parts(backfill)
        ledger = Ledger(sum(part.events for part in parts), lambda *progress: None)
        run_backfill(backfill, parts, ledger, workers=1, now=now)

    def values(
        self,
        metric: str,
        start: datetime,
        end: datetime,
        grain: str,
        now: datetime,
        *,
        by: str | None = None,
        filters: Sequence[Condition] = (),
        internal: bool = False,
    ) -> tuple[Decimal | None, list[tuple[datetime, Decimal | None]], dict[str, Decimal | None], str]:
        """Total, points, totals of the breakdown, and who counted."""
        series = metric_series(
            tenant_id=self.tenant.id,
            metric=metric,
            start=start,
            end=end,
            grain=grain,
            by=by,
            filters=filters,
            include=["internal"] if internal else [],
            limit=None,
            now=now,
        )
        points = [(point.start, point.value) for point in series.points]
        return series.total, points, {part.key: part.total for part in series.series}, series.executor

    def ledger(self) -> Counter[tuple[datetime, str]]:
        query = "SELECT hour, outcome, sum(n)::int FROM bw_outcome WHERE tenant_id = %s GROUP BY 1, 2"
        with tenant_context(self.tenant.id), connections["default"].cursor() as cursor:
            cursor.execute(query, [self.tenant.id])
            return Counter({(hour, outcome): n for hour, outcome, n in cursor.fetchall()})

    def dropped_without_reason(self) -> int:
        query = """
            SELECT count(*) FROM bw_outcome
             WHERE tenant_id = %s AND reason = '' AND outcome NOT IN ('stored', 'duplicate')"""
        with tenant_context(self.tenant.id), connections["default"].cursor() as cursor:
            cursor.execute(query, [self.tenant.id])
            return int(cursor.fetchone()[0])

    def differences(self, now: datetime) -> list[str]:
        return check_tenant(self.tenant.id, now=now)


def write(entries: Sequence[CapturedEvent | Refusal], role: str, now: datetime) -> list[str]:
    """Outcomes in the order of the entries. Role ingest writes all tenants at once, role app one after the other."""
    if role == "ingest":
        with transaction.atomic(using="ingest"):
            return _write(entries, "ingest", now)
    found: dict[int, str] = {}
    for tenant_id in sorted({entry.tenant_id for entry in entries}):
        places = [place for place, entry in enumerate(entries) if entry.tenant_id == tenant_id]
        with tenant_context(tenant_id):
            found |= dict(zip(places, _write([entries[place] for place in places], "default", now), strict=True))
    return [found[place] for place in range(len(entries))]


def _write(entries: Sequence[CapturedEvent | Refusal], using: str, now: datetime) -> list[str]:
    events = [entry for entry in entries if isinstance(entry, CapturedEvent)]
    refusals = [entry for entry in entries if isinstance(entry, Refusal)]
    verdicts = iter(write_batch(connections[using], events, refusals, now=now))
    return [str(next(verdicts).outcome if isinstance(entry, CapturedEvent) else entry.outcome) for entry in entries]
