"""Imports that were sent to the API: the same machinery as the command's, as a job that may be killed anywhere."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.db import DatabaseError, connection
from django.utils import timezone

from analytics.capture.importing.problems import ImportProblem, StoreAway, nearest
from analytics.capture.importing.progress import Progress
from analytics.capture.importing.uploads import HomeFile, Upload, upload_keep, upload_of, uploads_sweep
from analytics.contracts import Outcome, TenantInfo
from analytics.jobs import ACTIVE, JobCancelled, LeaseLost, PermanentFailure, RunningJob, enqueue, job_kind
from analytics.loading import history_loading
from analytics.models import Job
from analytics.periods import Calendar
from analytics.starters import NothingToDo, Order, starters
from analytics.tenancy import tenant_context, tenants

if TYPE_CHECKING:
    from analytics.capture.importer import ImportReport
    from analytics.capture.importing.delivery import Delivery
    from analytics.capture.importing.mapping import LoadedMapping

KIND: Final = "import.upload"
MAPPINGS: Final = Path(__file__).resolve().parent / "mappings"
MAX_WAITING: Final = 20
TELL_SECONDS: Final = 1.0


class TooManyWaiting(Exception):
    """The tenant has as many imports waiting as it may. Trying again helps when one of them has ended."""


# --- Ordering ---------------------------------------------------------------------------------------------------------


def mapping_text(given: str | bytes) -> tuple[str, bytes]:
    """Name and text of a mapping: YAML as it was sent, or one of ours by its name. Raises ImportProblem."""
    text = given.encode() if isinstance(given, str) else given
    word = text.strip().removesuffix(b".yaml")
    if not word.replace(b"_", b"").isalnum() or b"\n" in word:
        return "mapping", text
    name, known = word.decode(), sorted(path.stem for path in MAPPINGS.glob("*.yaml"))
    if name not in known:
        raise ImportProblem(f'there is no mapping called "{name[:60]}"', remedy=nearest(name, known))
    return name, (MAPPINGS / f"{name}.yaml").read_bytes()


def mapping_check(tenant: TenantInfo, name: str, text: bytes, *, now: datetime) -> LoadedMapping:
    """The mapping, if rows can be read by it. Raises ImportProblem."""
    from analytics.capture.importing.mapping import MAX_MAPPING_BYTES, parse_mapping

    if len(text) > MAX_MAPPING_BYTES:
        raise ImportProblem(f"the mapping is larger than {MAX_MAPPING_BYTES:,} bytes", remedy="send the data as file")
    loaded = parse_mapping(text, name=name)
    _plan_columns(tenant, loaded, now)
    return loaded


def file_check(tenant: TenantInfo, file: HomeFile, loaded: LoadedMapping, *, now: datetime) -> None:
    """Raise the ImportProblem that the first look at a file shows: its kind, and the columns of a text."""
    from analytics.capture.importing.readers import kind_of, open_rows

    if not file.size:
        raise ImportProblem("the file is empty", remedy="export it again; a header line and one row are the least")
    # Parquet is looked at by the job: reading it brings much into memory that a web process need not hold.
    if kind_of(Path(file.name or ""), loaded.mapping.file) != "parquet":
        form = _form(file.name or "", loaded)
        open_rows(file.path, form, _plan_columns(tenant, loaded, now))


def import_enqueue(
    *, tenant: TenantInfo, file: HomeFile, mapping: tuple[str, bytes], dry_run: bool, created_by: str
) -> Job:
    """Keep the file and have it imported. While an equal order waits or runs, that is the answer. Raises
    TooManyWaiting.
    """
    name, text = mapping
    active = Job.objects.filter(tenant_id=tenant.id, kind=KIND, state__in=ACTIVE)
    key = f"{file.digest}:{blake2b(text, digest_size=8).hexdigest()}:{dry_run}"
    with tenant_context(tenant.id):
        waiting = {str(params.get("upload")) for params in active.values_list("params", flat=True)}
        same = active.filter(dedupe_key=key).first()
    if same is not None:
        return same
    uploads_sweep(tenant.id, active=waiting)
    if len(waiting) >= MAX_WAITING:
        raise TooManyWaiting(f"{len(waiting)} imports are waiting already: send this one when one of them has ended.")
    id_, upload = upload_keep(tenant.id, file, text)
    params = {"upload": id_, "file": (file.name or "upload")[:200], "mapping": name, "dry_run": dry_run}
    try:
        job = enqueue(kind=KIND, tenant_id=tenant.id, params=params, dedupe_key=key, created_by=created_by)
    except BaseException:
        upload.drop()
        raise
    if job.params["upload"] != id_:  # an equal one came at the same moment
        upload.drop()
    return job


def uploads_forget(tenant_id: int, *, using: str = "default") -> int:
    """Delete what is left of imports that have ended, because somebody is being erased who may be in it."""
    with tenant_context(tenant_id, using=using):
        found = Job.objects.using(using).filter(tenant_id=tenant_id, kind=KIND, state__in=ACTIVE)
        active = {str(params.get("upload")) for params in found.values_list("params", flat=True)}
    return uploads_sweep(tenant_id, active=active, older_than=timedelta(0))


def _plan_columns(tenant: TenantInfo, loaded: LoadedMapping, now: datetime) -> tuple[str, ...]:
    from analytics.capture.importing.drafts import Setting
    from analytics.capture.importing.plan import compile_plan

    currency = loaded.mapping.currency or tenant.base_currency
    return tuple(compile_plan(loaded, Setting(tenant=tenant, received_at=now, currency=currency)).columns)


def _form(name: str, loaded: LoadedMapping) -> Any:
    """The mapping's description of the file, with the kind that its name tells (on disk it has none)."""
    import msgspec

    from analytics.capture.importing.readers import kind_of

    form = loaded.mapping.file
    return msgspec.structs.replace(form, format=kind_of(Path(name), form))


# --- Working ----------------------------------------------------------------------------------------------------------


@job_kind(KIND)
def import_upload(job: RunningJob) -> dict[str, Any]:
    """Params: `upload` (id of the file), `file` (what it was called), `mapping`, `dry_run`. Goes on after a kill."""
    tenant = next((each for each in tenants(using=job.using) if each.id == job.tenant_id), None)
    if tenant is None:
        raise PermanentFailure("the job has no tenant, or it is gone")
    upload = upload_of(tenant.id, job.params["upload"])
    if "result" not in job.cursor:
        try:
            with history_loading(tenant.id, using=job.using):
                result, count = _import(job, tenant, upload)
        except StoreAway:
            raise
        except ImportProblem as problem:
            upload.drop()
            raise PermanentFailure(str(problem).replace(str(upload.data), "the file")) from None
        # From here on a repetition has nothing to read any more.
        job.checkpoint({**job.cursor, "result": result, "count": count}, result=result)
    upload.drop()
    _count(tenant, job.cursor["count"], f"job:{job.id}")
    return dict(job.cursor["result"])


def _import(job: RunningJob, tenant: TenantInfo, upload: Upload) -> tuple[dict[str, Any], dict[str, Any] | None]:
    from analytics.capture.importer import file_import
    from analytics.capture.importing.mapping import LoadedMapping, load_mapping

    if not upload.exists:
        raise PermanentFailure("the file is not there any more: send it again")
    name, dry_run = job.params["file"], bool(job.params["dry_run"])
    loaded = load_mapping(upload.mapping)
    mapping = _with_form(loaded.mapping, _form(name, loaded))
    loaded = LoadedMapping(mapping, loaded.lines, job.params["mapping"])
    report = file_import(
        tenant=tenant, path=upload.data, loaded=loaded, now=timezone.now(), dry_run=dry_run, name=name,
        ledger=JobLedger(job), progress=JobProgress(job, stages=2 if mapping.parents else 1),
    )  # fmt: skip
    return told(report, dry_run=dry_run), None if dry_run else _to_count(report, tenant)


def _with_form(mapping: Any, form: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(mapping, file=form)


class JobLedger:
    """The job itself remembers the last committed line, and what the lines before it came to."""

    def __init__(self, job: RunningJob) -> None:
        self._job = job
        self.line = int(job.cursor.get("line", 0))
        self.outcomes: Counter[str] = Counter(job.cursor.get("outcomes", {}))
        self.reasons: Counter[str] = Counter(job.cursor.get("reasons", {}))

    def reached(self, delivery: Delivery, total: int) -> None:
        counts = {"outcomes": {**delivery.outcomes}, "reasons": {**delivery.reasons}}
        self._job.checkpoint({"line": delivery.line, **counts}, result=counts)

    def finished(self, delivery: Delivery, *, now: datetime) -> None:
        self.reached(delivery, delivery.line)

    def stopped(self, delivery: Delivery, error: str, *, now: datetime) -> None:
        with suppress(LeaseLost, JobCancelled, DatabaseError):
            self.reached(delivery, delivery.line)

    def release(self) -> None:
        """The lease keeps others away."""


class JobProgress(Progress):
    """Tells the job once a second; raises what the job raises when it was cancelled or given to another worker."""

    def __init__(self, job: RunningJob, *, stages: int) -> None:
        self._job, self._stages, self._stage, self._total, self._next = job, stages, -1, 0, 0.0

    def begin(self, what: str, total: int) -> None:
        self._stage, self._total = self._stage + 1, max(total, 1)
        self._tell(0)

    def reach(self, line: int) -> None:
        if line % 256 == 0 and time.monotonic() >= self._next:
            self._tell(line)

    def _tell(self, line: int) -> None:
        self._next = time.monotonic() + TELL_SECONDS
        self._job.progress(self._stage * self._total + min(line, self._total), self._stages * self._total)


def told(report: ImportReport, *, dry_run: bool) -> dict[str, Any]:
    """The report as a job keeps it: counts and places only, because jobs are kept in plain text."""
    return {
        "dry_run": dry_run,
        "rows": report.rows,
        "skipped": report.skipped,
        "resumed_after": report.resumed_after,
        "events": dict(report.names),
        "outcomes": {outcome.value: report.outcomes[outcome] for outcome in Outcome},
        "reasons": dict(report.reasons),
        "problems": report.places,
        "from": report.start.isoformat() if report.start else None,
        "to": report.end.isoformat() if report.end else None,
    }


def _to_count(report: ImportReport, tenant: TenantInfo) -> dict[str, Any] | None:
    """What has to be counted now; None when nothing is new."""
    if not report.outcomes["stored"] or report.start is None or report.end is None:
        return None
    calendar = Calendar(tenant.zone)
    first, last = calendar.local_date(report.start), calendar.local_date(report.end)
    return {"is_bulk": report.is_bulk, "from": first.isoformat(), "to": (last + timedelta(days=1)).isoformat()}


def _count(tenant: TenantInfo, wanted: dict[str, Any] | None, actor: str) -> None:
    """Have the new events counted by whoever can; their marks are there in any case."""
    name = "backfill" if wanted and wanted["is_bulk"] and not connection.in_atomic_block else "rollup"
    if wanted is None or name not in starters:
        return
    first = end = None
    if name == "backfill":
        first, end = (datetime.fromisoformat(wanted[edge]).replace(tzinfo=UTC).date() for edge in ("from", "to"))
    with suppress(NothingToDo):
        starters[name].start(Order(tenant, first, end, actor=actor, now=timezone.now()))
