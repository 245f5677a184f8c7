"""What must be true when it is quiet again. Each check returns its breaches in words; none is the proof."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from tests.chaos.load import Ledger
from tests.chaos.prepare import TENANTS
from tests.chaos.product import Product

QUIET_SECONDS = 90.0
REFUSED = "tenant_id = %s AND outcome IN ('quarantined', 'rejected')"
Connection = psycopg.Connection[tuple[object, ...]]


@dataclass(frozen=True)
class Evidence:
    """What the checks look at."""

    product: Product
    admin: Connection
    ledgers: list[Ledger]
    jobs: list[str]

    def number(self, sql: str, *arguments: object) -> int:
        row = self.admin.execute(sql, arguments).fetchone()
        return int(str(row[0])) if row else 0

    def tenant_ids(self) -> dict[str, int]:
        return {str(slug): int(str(key)) for key, slug in self.admin.execute("SELECT id, slug FROM bw_tenant")}


def await_quiet(evidence: Evidence) -> float:
    """Wait until no mark and no running job is left; seconds that it took. Raises TimeoutError."""
    began = time.monotonic()
    while time.monotonic() - began < QUIET_SECONDS:
        open_work = evidence.number(
            "SELECT (SELECT count(*) FROM bw_dirty_mark) + "
            "(SELECT count(*) FROM bw_job WHERE state IN ('queued', 'running') AND run_at <= now())"
        )
        if open_work == 0:
            return time.monotonic() - began
        time.sleep(0.25)
    raise TimeoutError("Marks or jobs are still open: the workers did not come back.")


def nothing_lost(evidence: Evidence) -> list[str]:
    """R1: every acknowledged id is stored, in its own tenant."""
    ids = evidence.tenant_ids()
    breaches = []
    for slug in TENANTS:
        acked = {each for ledger in evidence.ledgers for tenant, each in ledger.acked if tenant == slug}
        stored = {
            str(row[0])
            for row in evidence.admin.execute("SELECT event_id FROM bw_event WHERE tenant_id = %s", [ids.get(slug)])
        }
        if lost := acked - stored:
            breaches.append(
                f"{slug}: {len(lost)} of {len(acked)} acknowledged events are lost, e.g. {sorted(lost)[:3]}"
            )
        sent = set().union(*(ledger.sent for ledger in evidence.ledgers))
        if strange := stored - sent:
            breaches.append(f"{slug}: {len(strange)} stored events were never sent, e.g. {sorted(strange)[:3]}")
    return breaches


def nothing_doubled(evidence: Evidence) -> list[str]:
    """R1: one row an id."""
    doubled = evidence.number(
        "SELECT count(*) FROM (SELECT 1 FROM bw_event GROUP BY tenant_id, event_id HAVING count(*) > 1) d"
    )
    shared = evidence.number(
        "SELECT count(*) FROM (SELECT 1 FROM bw_event GROUP BY event_id HAVING count(DISTINCT tenant_id) > 1) d"
    )
    breaches = [f"{doubled} events are stored more than once"] if doubled else []
    return [*breaches, f"{shared} events stand in two tenants"] if shared else breaches


def everything_accounted_for(evidence: Evidence) -> list[str]:
    """R6: the outcomes of each tenant add up to what is there, and to at least what was acknowledged."""
    breaches = []
    for slug, tenant in evidence.tenant_ids().items():
        stored = evidence.number(
            "SELECT coalesce(sum(n), 0) FROM bw_outcome WHERE tenant_id = %s AND outcome = 'stored'", tenant
        )
        events = evidence.number("SELECT count(*) FROM bw_event WHERE tenant_id = %s", tenant)
        if stored != events:
            breaches.append(f"{slug}: the ledger says {stored} stored, the table holds {events}")
        every = evidence.number("SELECT coalesce(sum(n), 0) FROM bw_outcome WHERE tenant_id = %s", tenant)
        acked = sum(ledger.deliveries[slug] for ledger in evidence.ledgers)
        if every < acked:
            breaches.append(f"{slug}: {acked} events were acknowledged, only {every} have an outcome")
        nameless = evidence.number(
            f"SELECT coalesce(sum(n), 0) FROM bw_outcome WHERE {REFUSED} AND reason = ''",
            tenant,
        )
        if nameless:
            breaches.append(f"{slug}: {nameless} refusals have no reason")
    return breaches


def poison_isolated(evidence: Evidence) -> list[str]:
    """R16: a bad event of an acknowledged batch is held or refused with a reason, never stored."""
    breaches = []
    for slug, tenant in evidence.tenant_ids().items():
        poison = sum(ledger.poison_acked[slug] for ledger in evidence.ledgers)
        refused = evidence.number(
            f"SELECT coalesce(sum(n), 0) FROM bw_outcome WHERE {REFUSED}",
            tenant,
        )
        if refused < poison:
            breaches.append(f"{slug}: {poison} bad events were acknowledged, {refused} are accounted for as refused")
    return breaches


def clocks_corrected(evidence: Evidence) -> list[str]:
    """R15: no event lies in the future of its receipt, whatever the client's clock said."""
    ahead = evidence.number("SELECT count(*) FROM bw_event WHERE ts > received_at + interval '5 minutes'")
    return [f"{ahead} events lie more than five minutes ahead of their receipt"] if ahead else []


def rollups_equal_a_recompute(evidence: Evidence) -> list[str]:
    """R3: counting everything again gives the same cells."""
    breaches = []
    for slug in TENANTS:
        done = evidence.product.manage("check_rollups", "--tenant", slug, check=False)
        if "Traceback" in done.stderr:
            raise RuntimeError(f"The check itself failed, which shows nothing:\n{done.stderr}")
        if done.returncode:
            breaches.append(f"{slug}: {(done.stdout + done.stderr).strip()[-600:]}")
    buckets = evidence.number("SELECT count(*) FROM bw_bucket")
    return breaches if buckets else [*breaches, "there are no roll-ups at all"]


def jobs_finished_once(evidence: Evidence) -> list[str]:
    """R9: work that was asked for while Redis was emptied and workers died is done."""
    left = evidence.number("SELECT count(*) FROM bw_job WHERE state IN ('queued', 'running') AND run_at <= now()")
    failed = evidence.number("SELECT count(*) FROM bw_job WHERE state = 'failed'")
    promised = set(evidence.jobs)
    done = evidence.number("SELECT count(*) FROM bw_job WHERE id = ANY(%s::uuid[]) AND state = 'done'", list(promised))
    if done != len(promised):
        return [f"{len(promised)} jobs were promised, {done} are done; {left} are stuck, {failed} failed for good"]
    breaches = [f"{left} jobs are stuck"] if left else []
    return [*breaches, f"{failed} jobs failed for good"] if failed else breaches


def tenants_walled_off(evidence: Evidence) -> list[str]:
    """T2: row-level security is on and forced on every table of a tenant and on every partition."""
    open_tables = evidence.number(
        "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname LIKE 'bw\\_%%' "
        "AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
    )
    return [f"{open_tables} tables of tenants are not guarded"] if open_tables else []


Check = Callable[[Evidence], list[str]]

INVARIANTS: tuple[Check, ...] = (
    nothing_lost,
    nothing_doubled,
    everything_accounted_for,
    poison_isolated,
    clocks_corrected,
    rollups_equal_a_recompute,
    jobs_finished_once,
    tenants_walled_off,
)
COUNTED: frozenset[Check] = frozenset({rollups_equal_a_recompute, jobs_finished_once})
"""Those that hold only when the workers have nothing left to do."""
