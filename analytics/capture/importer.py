"""Import of a file: look it over, survey its groups, then store its events in batches that can be repeated.

    file_import(tenant=tenant, path=Path("orders.csv.gz"), loaded=load_mapping(Path("orders.yaml")), now=now)

Nothing is written before the file was read once to its end: an unusable one leaves no trace.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from django.db import DatabaseError

from analytics.capture.importing.delivery import Batch, Delivery
from analytics.capture.importing.drafts import Setting
from analytics.capture.importing.files import FileFacts, look_over
from analytics.capture.importing.groups import GroupStore, group_store
from analytics.capture.importing.ledger import Ledger, import_begin
from analytics.capture.importing.mapping import LoadedMapping
from analytics.capture.importing.plan import Plan, Raw, compile_plan
from analytics.capture.importing.problems import ImportProblem, RowProblem
from analytics.capture.importing.progress import Progress
from analytics.capture.importing.readers import Reader, kind_of, open_rows
from analytics.contracts import CapturedEvent, Outcome, Refusal, TenantInfo
from analytics.signals import events_stored

BATCH = 2_000
# If not one of so many rows fits, the mapping is for another file: say so instead of filling the quarantine.
ALL_REFUSED = 100
LEDGER_SECONDS = 1.0
SHOWN_PROBLEMS = 20
SHOWN_EVENTS = 3
MAX_PAYLOAD = 64 * 1024
# From here on counting whole stretches of days in parallel is faster than following the marks, day by day.
MANY_EVENTS, SOME_EVENTS, MANY_DAYS = 20_000, 1_000, 31


@dataclass
class ImportReport:
    """What an import did, or would do in a dry run; `outcomes` counts by the names of `Outcome`. `days` are UTC.

    `problems` quote the rows; `places` say where the same problems are without quoting anything.
    """

    rows: int = 0
    skipped: int = 0
    resumed_after: int = 0
    names: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    places: list[dict[str, Any]] = field(default_factory=list)
    first_events: list[CapturedEvent] = field(default_factory=list)
    days: set[date] = field(default_factory=set)
    start: datetime | None = None
    end: datetime | None = None
    seconds: float = 0.0

    def saw(self, event: CapturedEvent) -> None:
        """Count an event into the plan."""
        self.names[event.name] += 1
        if len(self.first_events) < SHOWN_EVENTS:
            self.first_events.append(event)
        moment = event.timestamp
        self.days.add(moment.date())
        self.start = moment if self.start is None or moment < self.start else self.start
        self.end = moment if self.end is None or moment > self.end else self.end

    def refused(self, line: int, problem: RowProblem) -> None:
        """Count a problem into the plan; the first few are told in full."""
        self.reasons[problem.reason] += 1
        if len(self.problems) < SHOWN_PROBLEMS:
            self.problems.append(problem.at(line))
            self.places.append({"line": line, "field": problem.field or "", "reason": problem.reason})

    @property
    def is_bulk(self) -> bool:
        """Whether so much is new that whole days are better counted than what is marked."""
        stored = self.outcomes["stored"]
        return stored >= MANY_EVENTS or (stored >= SOME_EVENTS and len(self.days) >= MANY_DAYS)


def file_import(
    *,
    tenant: TenantInfo,
    path: Path,
    loaded: LoadedMapping,
    now: datetime,
    dry_run: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
    name: str = "",
    ledger: Ledger | None = None,
) -> ImportReport:
    """Import one file. Raises ImportProblem when file or mapping is unusable; rows have verdicts of their own.

    `name` is what the file is called in quarantine (its own name if left out); with a `ledger` the import goes on
    where that stands, else it keeps one of its own.
    """
    begun, progress = time.monotonic(), progress or Progress()
    setting = Setting(tenant=tenant, received_at=now, currency=loaded.mapping.currency or tenant.base_currency)
    plan = compile_plan(loaded, setting)
    facts = look_over(path, is_text=kind_of(path, loaded.mapping.file) != "parquet")
    reader = open_rows(path, loaded.mapping.file, plan.columns)
    report = ImportReport()
    with group_store() as groups:
        if plan.parents:
            survey(plan, reader, groups, facts, progress)
        run = _Run(plan, reader, groups, facts, progress, report, tenant.id, name or path.name, now)
        if dry_run:
            run.rehearse()
        else:
            run.perform(ledger or run.begin(loaded.name, resume=resume))
    report.seconds = time.monotonic() - begun
    return report


def file_check(*, tenant: TenantInfo, path: Path, loaded: LoadedMapping, now: datetime) -> None:
    """Raise the ImportProblem that an import would begin with; for whoever has to make the tenant first."""
    setting = Setting(tenant=tenant, received_at=now, currency=loaded.mapping.currency or tenant.base_currency)
    plan = compile_plan(loaded, setting)
    look_over(path, is_text=kind_of(path, loaded.mapping.file) != "parquet")
    open_rows(path, loaded.mapping.file, plan.columns)


def survey(plan: Plan, reader: Reader, groups: GroupStore, facts: FileFacts, progress: Progress) -> None:
    """The first pass, which only parents need."""
    progress.begin("Reading", facts.newlines)
    for line in plan.survey(reader.rows(), groups):
        progress.reach(line)
    progress.end()


@dataclass
class _Run:
    """The second pass of one import."""

    plan: Plan
    reader: Reader
    groups: GroupStore
    facts: FileFacts
    progress: Progress
    report: ImportReport
    tenant_id: int
    file: str
    now: datetime

    def rehearse(self) -> None:
        """Everything but writing."""
        self.progress.begin("Planning", self.facts.newlines)
        for batch in self.batches():
            self.report.outcomes[Outcome.QUARANTINED] += len(batch.refusals)
        self.progress.end()

    def begin(self, mapping: str, *, resume: bool) -> Ledger:
        """The ledger of an import that no job keeps one for."""
        return import_begin(
            tenant_id=self.tenant_id, fingerprint=self.facts.fingerprint, mapping=mapping, path=self.file,
            total=self.facts.newlines, resume=resume, now=self.now,
        )  # fmt: skip

    def perform(self, ledger: Ledger) -> None:
        """Store the events. However it ends, the ledger knows the last line that is committed."""
        self.report.resumed_after = ledger.line
        delivery = Delivery(self.tenant_id, ledger.line)
        delivery.outcomes.update(ledger.outcomes)
        delivery.reasons.update(ledger.reasons)
        try:
            self.deliver(delivery, ledger)
        except BaseException as error:
            delivery.close()
            # Without PostgreSQL there is nobody to tell; the last line that was noted stays.
            with suppress(DatabaseError):
                ledger.stopped(delivery, str(error) or type(error).__name__, now=self.now)
            raise
        else:
            delivery.close()
            ledger.finished(delivery, now=self.now)
        finally:
            with suppress(DatabaseError):
                ledger.release()
            self.report.outcomes, self.report.reasons = delivery.outcomes, delivery.reasons
            if delivery.stored_names:
                events_stored.send(sender=None, tenant_id=self.tenant_id, names=frozenset(delivery.stored_names))

    def deliver(self, delivery: Delivery, ledger: Ledger) -> None:
        self.progress.begin("Storing", self.facts.newlines)
        noted = time.monotonic()
        for batch in self.batches():
            delivery.send(batch)
            if time.monotonic() - noted > LEDGER_SECONDS:
                ledger.reached(delivery, self.facts.newlines)
                noted = time.monotonic()
        delivery.finish()
        self.progress.end()

    def batches(self) -> Iterator[Batch]:
        """Consecutive lines; those that an earlier try has committed are read (ordinals, sums) but not sent again."""
        report, batch, after, last = self.report, Batch(), self.report.resumed_after, 0
        for line, result, raw in self.plan.events(self.reader.rows(), self.groups):
            # A parent shares its last row's line, so a batch ends where the line changes.
            if line != batch.line and len(batch) >= BATCH:
                self.check_fit()
                yield batch
                batch = Batch()
            report.rows += line != last
            batch.line = last = line
            self.progress.reach(line)
            if result is None:
                report.skipped += 1
            elif isinstance(result, CapturedEvent):
                report.saw(result)
                if line > after:
                    batch.events.append(result)
            else:
                report.refused(line, result)
                if line > after:
                    batch.refusals.append(self.refusal(line, result, raw))
        self.check_fit()
        yield batch

    def check_fit(self) -> None:
        """Stop before the first batch when no row fits at all."""
        refused = self.report.reasons.total()
        if refused >= ALL_REFUSED and not self.report.names and not self.report.skipped:
            remedy = "correct the mapping; try it with --dry-run"
            raise ImportProblem(f"not one of the first {refused:,} rows fits: {self.report.problems[0]}", remedy=remedy)

    def refusal(self, line: int, problem: RowProblem, raw: Raw) -> Refusal:
        """The row for quarantine, whole and with its reason; the same row of the same line is held once."""
        cells = [held(cell) for cell in raw or problem.row]
        row: Any = dict(zip(self.plan.columns, cells, strict=True)) if raw else cells
        payload = msgspec.json.encode({"import": {"file": self.file, "line": line, "row": row}})
        if len(payload) > MAX_PAYLOAD:
            cut = msgspec.json.encode(row)[: MAX_PAYLOAD // 2].decode("utf-8", "replace")
            payload = msgspec.json.encode({"import": {"file": self.file, "line": line, "row_begins": cut}})
        digest = blake2b(payload, digest_size=8).hexdigest()
        return Refusal(
            tenant_id=self.tenant_id, outcome=Outcome.QUARANTINED, reason=problem.reason, received_at=self.now,
            detail=f"{self.file}, {problem.at(line)}", event_id=f"import:{line}:{digest}", payload=payload,
        )  # fmt: skip


def held(cell: Any) -> str | None:
    """A cell as quarantine keeps it: what is no text of this encoding is escaped."""
    return None if cell is None else str(cell).encode("utf-8", "backslashreplace").decode()
