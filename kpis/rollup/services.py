"""What commands, jobs and the admin ask of roll-ups: backfill a range, change a tenant's calendar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import Any

from django.db import transaction
from django.db.models import Max

from analytics.jobs import RunningJob, enqueue
from analytics.loading import history_loading
from analytics.models import Calendar as CalendarRow
from analytics.models import DirtyMark, Job, Tenant
from analytics.periods import EPOCH, Calendar, zone_named
from analytics.signals import buckets_refreshed
from analytics.tenancy import tenant_context
from kpis.catalogue import Catalogue
from kpis.jobs import BACKFILL, SWITCH, backfill_params
from kpis.models import Bucket
from kpis.needs import measures_in
from kpis.rollup.backfill import Backfill, Ledger, Part, bounds, plan_parts, run_backfill
from kpis.rollup.dirty import lock_tenant, mark_range
from kpis.rollup.frozen import frozen_carry, zones_check
from kpis.rollup.plan import EVENT_NAMES, own_names
from kpis.rollup.refresh import Scope

FAR = datetime(2100, 1, 1, tzinfo=UTC)


def backfill_enqueue(
    *, tenant_id: int, first: date, end: date, workers: int, metrics: Sequence[str] = (), created_by: str = ""
) -> Job:
    """The job that counts these local days again; an unfinished one for the same days is returned, to be gone on
    with. `metrics` limits it to what these are made of (see `measures_behind`).
    """
    params = backfill_params(first, end, workers=workers)
    key = f"{first.isoformat()}:{end.isoformat()}"
    if metrics:
        params["measures"] = list(measures_behind(tenant_id=tenant_id, metrics=metrics))
        key += f":{blake2b(','.join(params['measures']).encode(), digest_size=8).hexdigest()}"
    return enqueue(kind=BACKFILL, tenant_id=tenant_id, params=params, dedupe_key=key, created_by=created_by)


def measures_behind(*, tenant_id: int, metrics: Sequence[str]) -> tuple[str, ...]:
    """What these metrics are made of. A family stands for all of its metrics (`gaming`). Raises UnknownName."""
    with tenant_context(tenant_id):
        catalogue = Catalogue(tenant_id)
        families = {name: [id_ for id_ in catalogue if id_.partition(".")[0] == name] for name in metrics}
        chosen = [catalogue[id_] for name in metrics for id_ in families[name] or [name]]
        return tuple(sorted(frozenset().union(*(measures_in(metric, catalogue) for metric in chosen))))


def backfill_run(job: RunningJob, *, tenant_id: int, now: datetime, workers: int) -> dict[str, Any]:
    """Do what is left of a backfill job."""
    first, end = date.fromisoformat(job.params["from"]), date.fromisoformat(job.params["to"])
    calendar_id = job.params.get("calendar_id")
    measures = tuple(job.params.get("measures", ()))
    is_whole = calendar_id is None and not measures
    with history_loading(tenant_id) if is_whole else nullcontext():
        return _run(job, Backfill(tenant_id, first, end, calendar_id, is_whole, measures), workers, now)


def _run(job: RunningJob, backfill: Backfill, workers: int, now: datetime) -> dict[str, Any]:
    parts = [Part(*part) for part in job.cursor.get("parts", ())] or plan_parts(backfill)
    plan = [(part.phase, part.first, part.end, part.events) for part in parts]

    def save(cursor: dict[str, Any], done: int, total: int) -> None:
        job.checkpoint({"parts": plan, **cursor}, done=done, total=total)

    ledger = Ledger.of(parts, job.cursor.get("done", {}), save)
    save({"done": ledger.done}, ledger.events, ledger.total)
    run_backfill(backfill, parts, ledger, workers=workers, now=now, is_first_look=not ledger.done)
    return {"parts": len(parts), "events": sum(part.events for part in parts if part.phase == "buckets")}


def calendar_change(
    *, tenant_id: int, zone: str | None = None, week_start: int | None = None, created_by: str = ""
) -> Job | None:
    """Change how a tenant cuts time. Weeks are unions of days, so another week start holds at once (None is returned);
    another zone is counted as a new version by a job, and answers stay on the old one until it is done.

    Raises RangeError for a zone that there is not, or that would cut hours whose events are gone, and for a weekday
    that there is not; then nothing has changed.
    """
    if zone is not None:
        zone_named(zone)
    with tenant_context(tenant_id):
        live = CalendarRow.objects.select_for_update().get(tenant_id=tenant_id, state=CalendarRow.State.LIVE)
        wanted = Calendar(zone or live.zone, live.week_start if week_start is None else week_start, live.base_currency)
        if wanted.zone != live.zone:
            zones_check(Scope.of(tenant_id), wanted)
        if wanted.week_start != live.week_start:
            _week_start_set(tenant_id, wanted.week_start)
        begun = CalendarRow.objects.filter(tenant_id=tenant_id, state=CalendarRow.State.BUILDING).order_by("-version")
        if zone is None or zone == (begun.first() or live).zone:
            return None
        return _version_begin(tenant_id, zone=zone, names=None, created_by=created_by)


def _week_start_set(tenant_id: int, week_start: int) -> None:
    """In every version that is in use, also in one that is being counted."""
    rows = CalendarRow.objects.filter(tenant_id=tenant_id).exclude(state=CalendarRow.State.RETIRED)
    rows.update(week_start=week_start)
    Tenant.objects.filter(pk=tenant_id).update(week_start=week_start)
    transaction.on_commit(lambda: _announce(tenant_id))


def event_names_change(*, tenant_id: int, names: Mapping[str, str], created_by: str = "") -> Job:
    """Have the tenant's events counted with these meanings: own name → standard name.

    As with another zone, a new version is counted by a job, and answers stay on the old meanings until one COMMIT.
    """
    with tenant_context(tenant_id):
        return _version_begin(tenant_id, zone=None, names=names, created_by=created_by)


def _version_begin(tenant_id: int, *, zone: str | None, names: Mapping[str, str] | None, created_by: str) -> Job:
    """A calendar version to be counted. What another one was being built for goes into it; None: as that has it."""
    tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
    rows = CalendarRow.objects.filter(tenant_id=tenant_id)
    live = rows.get(state=CalendarRow.State.LIVE)
    begun = rows.filter(state=CalendarRow.State.BUILDING).order_by("-version").first()
    wanted = dict(names) if names is not None else own_names(tenant.settings, begun.pk if begun else None)
    chosen = zone or (begun.zone if begun else live.zone)
    version = rows.aggregate(last=Max("version"))["last"] + 1
    rows.filter(state=CalendarRow.State.BUILDING).update(state=CalendarRow.State.RETIRED)
    new = CalendarRow.objects.create(
        tenant_id=tenant_id,
        version=version,
        zone=chosen,
        week_start=live.week_start,
        base_currency=live.base_currency,
        state=CalendarRow.State.BUILDING,
    )
    live_names = own_names(tenant.settings)
    tenant.settings[EVENT_NAMES] = {"live": live_names, "building": {"calendar": new.pk, "names": wanted}}
    tenant.save(update_fields=["settings"])
    return enqueue(
        kind=SWITCH,
        tenant_id=tenant_id,
        params={"calendar_id": new.pk},
        dedupe_key=f"calendar:{new.pk}",
        created_by=created_by,
    )


def calendar_build(job: RunningJob, *, tenant_id: int, now: datetime) -> dict[str, Any]:
    """Count a calendar version that is being built, then make it the live one."""
    calendar_id = int(job.params["calendar_id"])
    with tenant_context(tenant_id):
        row = CalendarRow.objects.get(pk=calendar_id, tenant_id=tenant_id)
    if row.state != CalendarRow.State.BUILDING:
        return {"state": row.state}
    carried = frozen_carry(tenant_id=tenant_id, calendar_id=calendar_id, now=now)
    span = bounds(tenant_id, calendar_id=calendar_id)
    result: dict[str, Any] = {"days_taken_over": carried} if carried else {}
    if span is not None:
        backfill = Backfill(tenant_id, *span, calendar_id=calendar_id, with_sessions=False)
        result |= _run(job, backfill, 1, now)
    calendar_switch(tenant_id=tenant_id, calendar_id=calendar_id)
    return result


def calendar_switch(*, tenant_id: int, calendar_id: int) -> None:
    """From one COMMIT to the next, answers come from the new version. The old one's buckets are dropped."""
    with tenant_context(tenant_id), transaction.atomic():
        lock_tenant(tenant_id)
        rows = CalendarRow.objects.filter(tenant_id=tenant_id)
        rows.filter(state=CalendarRow.State.LIVE).update(state=CalendarRow.State.RETIRED)
        rows.filter(pk=calendar_id).update(state=CalendarRow.State.LIVE)
        new = rows.get(pk=calendar_id)
        tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
        tenant.zone = new.zone
        tenant.settings[EVENT_NAMES] = {"live": own_names(tenant.settings, calendar_id)}
        tenant.save(update_fields=["zone", "settings"])
        Bucket.objects.filter(tenant_id=tenant_id).exclude(calendar_id=calendar_id).delete()
        transaction.on_commit(lambda: _announce(tenant_id))


def _announce(tenant_id: int) -> None:
    """Every number of the tenant may be another one now."""
    buckets_refreshed.send_robust(sender=None, tenant_id=tenant_id, start=EPOCH, end=FAR)


def days_mark(*, tenant_id: int, first: date, end: date, now: datetime) -> None:
    """Mark the local days from `first` until before `end` as dirty; not those of which events are gone."""
    with tenant_context(tenant_id):
        scope = Scope.of(tenant_id)
        period = scope.live.days(first, end)
        start = max(period.start, scope.kept_from) if scope.kept_from is not None else period.start
        if start < period.end:
            mark_range(tenant_id, start, period.end, now=now)


def minutes_dirty(*, tenant_id: int, first: date | None = None, end: date | None = None) -> int:
    """How many minutes a refresh would count again; with days, how many if these were marked too."""
    with tenant_context(tenant_id):
        marks = DirtyMark.objects.filter(tenant_id=tenant_id, minute__isnull=False)
        if first is None or end is None:
            return marks.values("minute").distinct().count()
        sid = transaction.savepoint()
        days_mark(tenant_id=tenant_id, first=first, end=end, now=EPOCH)
        count = marks.values("minute").distinct().count()
        transaction.savepoint_rollback(sid)
        return count
