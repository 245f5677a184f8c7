"""Erasing a person from every store, with a receipt.

Numbers stay: subjects are integers that nothing links to anybody any more. What identified the person is deleted, or
was never there but as ciphertext whose key is deleted. Erasure may be killed anywhere and run again.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from django.db import connections, transaction

from analytics.answers import answers_mentioning
from analytics.audit import COMMAND, audit_record
from analytics.erased import Erased, erased_append, erased_log
from analytics.failpoints import failpoint
from analytics.imports import uploads_forget
from analytics.jobs import enqueue
from analytics.locks import IDENTIFYING, hold
from analytics.models import Identity, LakePiece, Quarantine, Subject
from analytics.sealing import SealBroken, installation, keyring, unseal
from analytics.signals import subject_erased, subject_erasing
from analytics.spool import Spool, spool_folder
from analytics.tenancy import tenant_context
from analytics.writing.staging import server_cursor

logger = logging.getLogger("bellwether.privacy")

# Values of these properties are coarse enough to stay; other texts may hold anything. Numbers stay unless they look
# like ids.
KEPT_PROPERTIES: Final = (
    "$browser", "$browser_version", "$os", "$os_version", "$device_type", "$lib", "$lib_version", "$browser_language",
    "$timezone", "$event_type", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "currency",
    "plan", "status", "category", "method", "tier", "reason", "variant", "$feature_flag", "$feature_flag_response",
)  # fmt: skip
ID_LIKE: Final = r"(^|_|\$)(id|no|nr|num|number|code|key|ref|phone|zip)s?$|[a-z]Id$"
SETTLE_SECONDS: Final = 30.0
REPEAT: Final = "privacy.erase"
"""The kind of job that erases somebody, or tries again what failed."""
TELLINGS: Final = 3

# Each statement reports its rows under the name of its store. `salt` makes references of the person's events to one
# another (session, parent) survive as values that nobody can trace back.
STATEMENTS: Final[tuple[tuple[str, str], ...]] = (
    (
        "dirty_minutes",
        """
        INSERT INTO bw_dirty_mark (tenant_id, minute, reason, created_at)
        SELECT DISTINCT tenant_id, date_trunc('minute', ts), 'erasure', %(now)s::timestamptz FROM bw_event
         WHERE tenant_id = %(tenant)s AND object_id = ANY (%(names)s::text[])
        """,
    ),
    (
        "lake_hours",
        """
        INSERT INTO bw_lake_mark (tenant_id, hour, reason, created_at)
        SELECT DISTINCT tenant_id, date_trunc('hour', ts, 'UTC'), 'erasure', %(now)s::timestamptz FROM bw_event
         WHERE tenant_id = %(tenant)s AND object_id = ANY (%(names)s::text[])
        """,
    ),
    (
        "events",
        """
        UPDATE bw_event SET
               event_id = md5(%(salt)s || event_id),
               session_id = md5(%(salt)s || session_id),
               parent_id = md5(%(salt)s || parent_id),
               object_id = CASE WHEN object_id = ANY (%(names)s::text[]) THEN NULL ELSE object_id END,
               properties = coalesce((
                   SELECT jsonb_object_agg(p.key, p.value) FROM jsonb_each(properties) p
                    WHERE (p.value #>> '{}') <> ALL (%(names)s::text[])
                      AND (p.key = ANY (%(kept)s::text[]) AND jsonb_typeof(p.value) IN ('string', 'number', 'boolean')
                           OR p.key !~ %(id_like)s AND jsonb_typeof(p.value) IN ('number', 'boolean'))), '{}')
         WHERE tenant_id = %(tenant)s AND subject_id = ANY (%(subjects)s::int[])
        """,
    ),
    (
        "events_about",
        """
        UPDATE bw_event SET object_id = NULL
         WHERE tenant_id = %(tenant)s AND object_id = ANY (%(names)s::text[])
        """,
    ),
    (
        "outbox",
        """
        DELETE FROM bw_outbox
         WHERE tenant_id = %(tenant)s
           AND (payload ->> 'distinct_id' = ANY (%(hexes)s::text[]) OR event_uuid IN (
                SELECT id FROM bw_event WHERE tenant_id = %(tenant)s AND subject_id = ANY (%(subjects)s::int[])))
        """,
    ),
    (
        "sessions",
        """
        UPDATE bw_session SET sdk_id = NULL
         WHERE tenant_id = %(tenant)s AND person_id = ANY (%(subjects)s::int[]) AND sdk_id IS NOT NULL
        """,
    ),
    ("profiles", "DELETE FROM bw_profile WHERE tenant_id = %(tenant)s AND subject_id = ANY (%(subjects)s::int[])"),
    ("identities", "DELETE FROM bw_identity WHERE tenant_id = %(tenant)s AND subject_id = ANY (%(subjects)s::int[])"),
    (
        "identity_edges",
        """
        UPDATE bw_identity_edge SET event_id = md5(%(salt)s || event_id), actor = '', reason = '', undone_by = ''
         WHERE tenant_id = %(tenant)s
           AND (left_subject = ANY (%(subjects)s::int[]) OR right_subject = ANY (%(subjects)s::int[]))
        """,
    ),
    (
        "subject_keys",
        """
        UPDATE bw_subject SET wrapped_key = NULL, erased_at = %(now)s
         WHERE tenant_id = %(tenant)s AND id = ANY (%(subjects)s::int[]) AND erased_at IS NULL
        """,
    ),
    (
        "quarantine",
        """
        UPDATE bw_quarantine SET state = 'discarded', payload = '', event_id = NULL, detail = '', subject_id = NULL,
                                 payload_hash = NULL
         WHERE tenant_id = %(tenant)s AND id = ANY (%(held)s::uuid[])
        """,
    ),
    (
        "kept_answers",
        "DELETE FROM bw_idempotent_answer WHERE tenant_id = %(tenant)s AND id = ANY (%(answers)s::bigint[])",
    ),
    (
        "dirty_marks",
        """
        INSERT INTO bw_dirty_mark (tenant_id, subject_id, reason, created_at)
        SELECT %(tenant)s, s.id, 'erasure', %(now)s FROM unnest(%(subjects)s::int[]) AS s (id)
         WHERE EXISTS (SELECT 1 FROM bw_event e WHERE e.tenant_id = %(tenant)s AND e.subject_id = s.id)
        """,
    ),
    (
        "lake_marks",
        """
        INSERT INTO bw_lake_mark (tenant_id, subject_id, reason, created_at)
        SELECT %(tenant)s, s.id, 'erasure', %(now)s FROM unnest(%(subjects)s::int[]) AS s (id)
         WHERE EXISTS (SELECT 1 FROM bw_event e WHERE e.tenant_id = %(tenant)s AND e.subject_id = s.id)
        """,
    ),
)

# Where a trace would be, and how to find one. All must answer 0.
VERIFY: Final[tuple[tuple[str, str], ...]] = (
    (
        "identities",
        "SELECT count(*) FROM bw_identity WHERE tenant_id = %(tenant)s AND digest = ANY (%(digests)s::uuid[])",
    ),
    (
        "subject_keys",
        """
        SELECT count(*) FROM bw_subject
         WHERE tenant_id = %(tenant)s AND id = ANY (%(subjects)s::int[]) AND wrapped_key IS NOT NULL
        """,
    ),
    (
        "profiles",
        "SELECT count(*) FROM bw_profile WHERE tenant_id = %(tenant)s AND subject_id = ANY (%(subjects)s::int[])",
    ),
    (
        "events",
        """
        SELECT count(*) FROM bw_event e, unnest(%(names)s::text[]) AS n (name)
         WHERE e.tenant_id = %(tenant)s AND e.subject_id = ANY (%(subjects)s::int[])
           AND (n.name IN (e.event_id, e.session_id, e.parent_id, e.object_id)
                OR strpos(e.properties::text, to_json(n.name)::text) > 0)
        """,
    ),
    (
        "events_about",
        "SELECT count(*) FROM bw_event WHERE tenant_id = %(tenant)s AND object_id = ANY (%(names)s::text[])",
    ),
    (
        "outbox",
        """
        SELECT count(*) FROM bw_outbox
         WHERE tenant_id = %(tenant)s AND payload ->> 'distinct_id' = ANY (%(hexes)s::text[])
        """,
    ),
)


UNSUPPRESSED: Final = """
SELECT d FROM unnest(%(digests)s::uuid[]) d
 WHERE NOT EXISTS (SELECT 1 FROM bw_suppression x WHERE x.tenant_id = %(tenant)s AND x.digest = d) ORDER BY d"""


@dataclass(slots=True)
class Receipt:
    """What was erased: rows by store, and what a scan afterwards still found (all zero when it is complete).

    `is_settled` is false when writers that began before the erasure were still open; run it once more then. `failed`
    names the parts that keep something of the person and could not let go of it; a job tries them again.
    """

    tenant_id: int
    subjects: int
    rows: dict[str, int]
    traces: dict[str, int]
    is_dry_run: bool
    is_settled: bool
    erased_at: datetime
    failed: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """True when nothing is left and nobody can still add anything."""
        is_clean = not self.failed and not any(self.traces.values())
        return not self.is_dry_run and self.is_settled and is_clean

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "erased_at": self.erased_at.isoformat(), "is_complete": self.is_complete}


@dataclass(slots=True)
class _Traces:
    """All that leads to people: subjects, whose they are, digests, distinct ids in plain text (in memory only), held
    events, answers that tell of it.
    """

    subjects: list[int] = field(default_factory=list)
    people: list[int] = field(default_factory=list)
    digests: list[UUID] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    held: list[UUID] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Who:
    """Whom an erasure is of, by any of these."""

    distinct_id: str
    subject_id: int | None
    digests: tuple[UUID, ...]


def erase_subject(
    *,
    tenant_id: int,
    now: datetime,
    distinct_id: str = "",
    subject_id: int | None = None,
    digests: Sequence[UUID] = (),
    dry_run: bool = False,
    settle_seconds: float = SETTLE_SECONDS,
    using: str = "erasure",
    is_repeated: bool = False,
    actor: str = COMMAND,
) -> Receipt:
    """Erase the person of a distinct id or subject, with all its distinct ids. A dry run tells what it would do.

    A restore has no more than digests of ids, and erases whomever they lead to, several people at once. An id that is
    not known is suppressed all the same: its events may be on their way. Parts that fail are tried again by a job,
    unless the caller says that it repeats the erasure itself.
    """
    who = _Who(distinct_id, subject_id, tuple(digests))
    settled = True
    if not dry_run:
        mark = _suppress(tenant_id, who, now, using)
        settled = _settle(mark, settle_seconds, using)
    with tenant_context(tenant_id, using=using), transaction.atomic(using=using):
        cursor = server_cursor(connections[using])
        hold(IDENTIFYING, tenant_id, cursor=cursor)
        traces = _find(tenant_id, who, using)
        parameters = _parameters(tenant_id, traces, now)
        rows = {store: _count(cursor, statement, parameters) for store, statement in STATEMENTS}
        told: dict[str, Any] = {"subjects": traces.subjects, "names": traces.names, "now": now, "using": using}
        heard: list[tuple[Any, Any]] = subject_erasing.send(sender=Receipt, tenant_id=tenant_id, **told)
        for _, changed in heard:
            found: dict[str, int] = changed if isinstance(changed, dict) else {"buckets": changed}
            rows |= {part: rows.get(part, 0) + count for part, count in found.items() if count}
        left = {store: _scan(cursor, statement, parameters) for store, statement in VERIFY}
        if not is_repeated:
            _note(tenant_id, traces.subjects, actor, now, using)
        transaction.set_rollback(dry_run, using=using)
    rows["lake"], left["lake"] = _erase_lake(tenant_id, traces.subjects, now, dry_run, using)
    rows["spool"] = 0 if dry_run else _forget_spool(tenant_id, traces.names)
    rows["uploads"] = 0 if dry_run else uploads_forget(tenant_id, using=using)
    failed = () if dry_run else _tell(tenant_id, traces.subjects)
    if failed and not is_repeated:
        for person in traces.people:
            erasure_repeat(tenant_id=tenant_id, subject_id=person)
    return Receipt(
        tenant_id=tenant_id,
        subjects=len(traces.subjects),
        rows=rows,
        traces=left,
        is_dry_run=dry_run,
        is_settled=settled,
        erased_at=now,
        failed=failed,
    )


def erasure_repeat(*, tenant_id: int, subject_id: int) -> None:
    """Have a job erase the person once more, until every part has let go of it."""
    key = f"subject:{subject_id}"
    enqueue(kind=REPEAT, tenant_id=tenant_id, params={"subject_id": subject_id}, dedupe_key=key, max_attempts=20)


def _note(tenant_id: int, subjects: list[int], actor: str, now: datetime, using: str) -> None:
    """Numbers that lead to nobody any more: enough to tell when somebody was forgotten, and on whose word."""
    what = ", ".join(map(str, subjects))
    audit_record(tenant_id=tenant_id, actor=actor, action="subject.erased", what=what, at=now, using=using)


def _tell(tenant_id: int, subjects: list[int]) -> tuple[str, ...]:
    """Tell everybody who keeps something of the person, whatever becomes of the others; who failed each time."""
    failed: tuple[str, ...] = ()
    for _ in range(TELLINGS):
        told = subject_erased.send_robust(sender=Receipt, tenant_id=tenant_id, subject_ids=subjects)
        failed = tuple(sorted(_name(receiver) for receiver, error in told if isinstance(error, Exception)))
        if not failed:
            break
    return failed


def _name(receiver: Any) -> str:
    return f"{getattr(receiver, '__module__', '')}.{getattr(receiver, '__qualname__', type(receiver).__name__)}"


def _suppress(tenant_id: int, who: _Who, now: datetime, using: str) -> int:
    """Refuse the person's events from here on. Returns the transaction's number."""
    with tenant_context(tenant_id, using=using), connections[using].cursor() as cursor:
        digests = _find(tenant_id, who, using).digests
        cursor.execute(UNSUPPRESSED, {"tenant": tenant_id, "digests": digests})
        _log(tenant_id, [digest for (digest,) in cursor.fetchall()], now)
        failpoint("erasure.after_log")
        cursor.execute(
            "INSERT INTO bw_suppression (tenant_id, digest, created_at)"
            " SELECT %s, d, %s FROM unnest(%s::uuid[]) d ORDER BY d ON CONFLICT DO NOTHING",
            [tenant_id, now, digests],
        )
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        return int(cursor.fetchone()[0])


def _log(tenant_id: int, digests: Sequence[UUID], now: datetime) -> None:
    """For backups that were taken before. A disk that is full keeps nobody from being forgotten: then the log is
    behind, which `manage.py doctor` says and mends, and the next backup makes up for.
    """
    if not digests:
        return
    line = Erased(at=now, installation=installation(), tenant=tenant_id, digests=tuple(digests))
    try:
        erased_append([line])
    except OSError as error:
        logger.error("%s cannot be written (%s): `manage.py doctor --fix --yes`", erased_log(), error.strerror)


def _settle(mark: int, seconds: float, using: str) -> bool:
    """Wait until every transaction that may have missed the suppression has ended, without blocking a single writer."""
    if connections[using].in_atomic_block:
        return False
    end = time.monotonic() + seconds
    while True:
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint > %s", [mark])
            if cursor.fetchone()[0]:
                return True
        if time.monotonic() > end:
            return False
        time.sleep(0.02)


def _find(tenant_id: int, who: _Who, using: str) -> _Traces:
    """The subjects, ids and held events of the person. Needs the tenant's context."""
    traces = _Traces(digests=list(who.digests))
    identities = Identity.objects.using(using).filter(tenant_id=tenant_id)
    if who.distinct_id:
        traces.digests.append(UUID(bytes=keyring().digest(tenant_id, who.distinct_id)))
        traces.names.append(who.distinct_id)
    named = set(identities.filter(digest__in=traces.digests).values_list("subject_id", flat=True))
    subjects = Subject.objects.using(using).filter(tenant_id=tenant_id)
    people = subjects.filter(pk__in=named or {who.subject_id or 0}).values_list("person_id", flat=True)
    traces.people = sorted(set(people))
    members = list(subjects.filter(person_id__in=traces.people).order_by("pk"))
    traces.subjects = [member.pk for member in members]
    keys = {m.pk: keyring().unwrap(tenant_id, m.wrapped_key) for m in members if m.wrapped_key is not None}
    for identity in identities.filter(subject_id__in=traces.subjects):
        traces.digests.append(identity.digest)
        if identity.subject_id in keys:
            sealed = unseal(keys[identity.subject_id], bytes(identity.sealed_id), context=b"distinct_id")
            traces.names.append(sealed.decode("utf-8", "surrogatepass"))
    traces.digests, traces.names = sorted(set(traces.digests)), sorted(set(traces.names))
    traces.held = list(_held(tenant_id, traces, using))
    traces.answers = list(answers_mentioning(tenant_id, _needles(traces), using=using))
    return traces


def _needles(traces: _Traces) -> list[bytes]:
    """The person's ids as they stand in JSON, escaped or not."""
    return [json.dumps(name, ensure_ascii=style).encode() for name in traces.names for style in (True, False)]


def _held(tenant_id: int, traces: _Traces, using: str) -> Iterator[UUID]:
    """Quarantined events that are the person's or mention it: each has to be opened, there is no other way to know."""
    needles = _needles(traces)
    rows = Quarantine.objects.using(using).filter(tenant_id=tenant_id).exclude(payload=b"")
    for id_, subject, payload in rows.values_list("pk", "subject_id", "payload").iterator():
        if subject in traces.subjects or _mentions(tenant_id, bytes(payload), needles):
            yield id_


def _mentions(tenant_id: int, payload: bytes, needles: Sequence[bytes]) -> bool:
    try:
        plain = keyring().unseal(tenant_id, payload, context=b"quarantine")
    except SealBroken:
        return False
    return any(needle in plain for needle in needles)


def _parameters(tenant_id: int, traces: _Traces, now: datetime) -> dict[str, Any]:
    return {
        "tenant": tenant_id,
        "subjects": traces.subjects,
        "names": traces.names,
        "digests": traces.digests,
        "hexes": [digest.hex for digest in traces.digests],
        "held": traces.held,
        "answers": traces.answers,
        "kept": list(KEPT_PROPERTIES),
        "id_like": ID_LIKE,
        "salt": secrets.token_hex(16),
        "now": now,
    }


def _count(cursor: psycopg.Cursor[Any], statement: str, parameters: dict[str, Any]) -> int:
    cursor.execute(statement, parameters)
    return int(cursor.rowcount)


def _scan(cursor: psycopg.Cursor[Any], statement: str, parameters: dict[str, Any]) -> int:
    cursor.execute(statement, parameters)
    row = cursor.fetchone()
    return int(row[0]) if row else 0


def _erase_lake(tenant_id: int, subjects: Sequence[int], now: datetime, dry_run: bool, using: str) -> tuple[int, int]:
    """Pieces of the lake that were written again (or would be), and former ones that are left."""
    with tenant_context(tenant_id, using=using):
        if not LakePiece.objects.using(using).filter(tenant_id=tenant_id).exists():
            return 0, 0
    from analytics.lake.forgetting import lake_erase, lake_holds  # brings Arrow along, which few processes need

    if dry_run:
        return lake_holds(tenant_id=tenant_id, subjects=subjects, using=using), 0
    erased = lake_erase(tenant_id=tenant_id, subjects=subjects, now=now, using=using)
    return erased.rewritten, erased.left


def _forget_spool(tenant_id: int, names: Sequence[str]) -> int:
    wanted = {(tenant_id, name) for name in names}
    return Spool(spool_folder()).forget(lambda tenant, name: (tenant, name) in wanted)
