"""What a demo tenant has beside its events: costs, notes, goals, segments, snapshots. Each app registers its own in its
`furnishings.py`.

It is put there by a job, because some of it is worked out over the whole history, and nobody should wait for that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.module_loading import autodiscover_modules

from analytics.contracts import TenantInfo
from analytics.demo.world import Plan
from analytics.jobs import PermanentFailure, RunningJob, enqueue, job_kind
from analytics.models import Job
from analytics.registry import Registry
from analytics.tenancy import tenants

FURNISH: Final = "demo.furnish"


@dataclass(frozen=True, slots=True)
class Room:
    """The tenant, its story and up to when it was told. `still_here` keeps the job's lease."""

    tenant: TenantInfo
    plan: Plan
    until: datetime
    now: datetime
    still_here: Callable[[], None]

    @property
    def zone(self) -> ZoneInfo:
        """The tenant's zone."""
        return ZoneInfo(self.tenant.zone)

    def day(self, number: int) -> date:
        """The local date of a day of the story."""
        return self.plan.start + timedelta(days=number)

    @property
    def days_told(self) -> int:
        """How many local days of the story are over."""
        return (self.until.astimezone(self.zone).date() - self.plan.start).days


@dataclass(frozen=True, slots=True)
class Furnishing:
    """`put` may be called again, and then changes nothing that somebody has changed since."""

    id: str
    put: Callable[[Room], None]


furnishings: Registry[Furnishing] = Registry(Furnishing)
"""In the order in which they are put: what stands on others comes after them."""


def furnish_enqueue(tenant: TenantInfo, plan: Plan, *, until: datetime) -> Job:
    """Have everything put there by the next worker that is free."""
    told = {**asdict(plan), "start": plan.start.isoformat()}
    return enqueue(
        kind=FURNISH,
        tenant_id=tenant.id,
        params={"plan": told, "until": until.isoformat()},
        dedupe_key=plan.key,
        created_by="demo",
    )


@job_kind(FURNISH)
def furnish(job: RunningJob) -> dict[str, Any]:
    """Params: `plan` as of `world.Plan`, `until`. Goes on after a kill with what is not there yet."""
    autodiscover_modules("furnishings")
    tenant = next((each for each in tenants() if each.id == job.tenant_id), None)
    if tenant is None:
        raise PermanentFailure("a demo belongs to a tenant")
    plan = Plan(**{**job.params["plan"], "start": date.fromisoformat(job.params["plan"]["start"])})
    until = datetime.fromisoformat(job.params["until"])
    room = Room(tenant, plan, until, timezone.now(), job.renew)
    done: list[str] = list(job.cursor.get("done", ()))
    for each in furnishings:
        if each.id not in done:
            each.put(room)
            done.append(each.id)
            job.checkpoint({"done": done}, done=len(done), total=len(furnishings))
    return {"furnished": done}


def lake_sealed(room: Room) -> None:
    """Explorations read sealed files: without this they would wait for the next tick."""
    from analytics.lake.sealing import seal_tenant

    seal_tenant(room.tenant.id, now=room.now, progress=lambda done, total: room.still_here())


furnishings.register(Furnishing("lake", lake_sealed))
