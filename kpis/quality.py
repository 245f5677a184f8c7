"""How far a tenant's numbers can be trusted: what was looked at, how it is, and what to do about it.

Each look is one function in LOOKS: it takes a `Look` and gives a `Finding`. Shares are of the newest SAMPLE events,
which an index gives in milliseconds however many there are; counts over days come from the buckets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from analytics.cache import LIVE, MAPPING, Audience, cached
from analytics.contracts import Grain, Outcome
from analytics.models import OutcomeCount
from analytics.outcomes import outcome_reasons
from analytics.tenancy import tenant_context
from kpis.mapping import event_names_read, suggestion
from kpis.models import RollupCheck
from kpis.quality_look import LEVELS, Finding, Level, Limits, Look, Quality
from kpis.series.context import context_read
from kpis.taxonomy import STANDARD_NAMES

LATE: tuple[tuple[str, timedelta], ...] = (
    ("within a minute", timedelta(minutes=1)),
    ("within an hour", timedelta(hours=1)),
    ("within a day", timedelta(days=1)),
    ("within a week", timedelta(days=7)),
    ("later", timedelta.max),
)

_SOURCES = """
SELECT key, max(start) FROM bw_bucket
 WHERE tenant_id = %(tenant)s AND calendar_id = %(calendar)s AND measure = 'events.count' AND dimension = 'source'
   AND grain = %(grain)s AND start >= %(start)s GROUP BY key ORDER BY key"""

DELAY = Limits(15 * 60, 60 * 60)  # seconds that the newest counted event lies back
BACKLOG = Limits(5 * 60, 30 * 60)  # seconds that the oldest mark has waited
REFUSED = Limits(0.01, 0.05)
NOBODY = Limits(0.5, 0.9)
NOWHERE = Limits(0.3, 0.9)
RATELESS = Limits(0.000_001, 0.05)
CLAMPED = Limits(0.01, 0.1)
TARDY = Limits(0.05, 0.2)  # share that arrives after more than a day
UNCHECKED = timedelta(days=3)


def quality_read(*, tenant_id: int, now: datetime, days: int = 7) -> Quality:
    """Look at everything, over the last `days` local days and today. Raises NoCalendar."""
    with tenant_context(tenant_id):
        look = Look(context_read(tenant_id=tenant_id, now=now), days)
        findings = sorted((find(look) for find in LOOKS), key=lambda finding: LEVELS.index(finding.status))
    status = findings[0].status if findings else "unknown"
    return Quality(now, days, status, tuple(findings))


@cached(ttl=LIVE, tags=(MAPPING,), into=Quality)
def quality_of(*, audience: Audience, days: int = 7, now: datetime) -> Quality:
    """`quality_read`, remembered for half a minute: what it says ages by the second, and nobody watches it closer."""
    return quality_read(tenant_id=audience.tenant_id, now=now, days=days)


def freshness(look: Look) -> Finding:
    """How far back everything received is counted."""
    lag = max(look.now - look.context.data_through, timedelta(0))
    level = DELAY.level(lag.total_seconds())
    rows = look.rows(
        _SOURCES, calendar=look.context.calendar_id, grain=int(Grain.HOUR), start=look.now - timedelta(days=look.days)
    )
    imported = look.context.known_until < look.now and look.context.dirty is None
    remedy = {
        True: "The newest events came out of a file: import the next one, or let your application send events.",
        False: f"See whether workers run (`manage.py doctor`), then `manage.py rollup --tenant {look.slug}`.",
    }[imported]
    return Finding(
        "freshness",
        "How far counting lies behind",
        level,
        _ago(lag),
        f"Everything received before {look.local(look.context.data_through)} is counted. By source: the newest hour "
        f"of the last {look.days} days with events.",
        remedy if level != "ok" else "",
        tuple({"source": source, "last_hour": hour.isoformat()} for source, hour in rows),
    )


def backlog(look: Look) -> Finding:
    """How many marks wait to be counted, and how long the oldest has."""
    count, since, _ = look.backlog
    waited = max(look.now - since, timedelta(0)) if since else timedelta(0)
    level = BACKLOG.level(waited.total_seconds())
    detail = f"{count:,} marks wait; the oldest has waited {_ago(waited)}." if count else "Nothing waits."
    remedy = f"Start a worker, or count by hand: `manage.py rollup --tenant {look.slug}`." if level != "ok" else ""
    return Finding("backlog", "Waiting to be counted", level, f"{count:,}", detail, remedy)


def outcomes(look: Look) -> Finding:
    """What became of what was received, by reason."""
    found = outcome_reasons(tenant_id=look.tenant_id, start=look.span.start, end=look.span.end)
    total = sum(found.values())
    refused = sum(n for (outcome, _), n in found.items() if outcome in REFUSALS)
    share = refused / total if total else 0.0
    level: Level = REFUSED.level(share) if total else "unknown"
    by_day = _refused_by_day(look)
    rows = [{"outcome": outcome.value, "reason": reason, "events": n} for (outcome, reason), n in found.items()]
    rows += [{"day": day, "refused": n} for day, n in sorted(by_day.items())]
    return Finding(
        "outcomes",
        "Events that were refused",
        level,
        f"{share * 100:.2f} %",
        f"{refused:,} of {total:,} events received in the last {look.days} days were quarantined, rejected or in "
        "conflict with an earlier one of the same id.",
        "Look at the reasons below, correct the sender, then replay what is held in the quarantine."
        if level != "ok"
        else "",
        tuple(rows),
    )


REFUSALS = frozenset({Outcome.QUARANTINED, Outcome.REJECTED, Outcome.CONFLICT})


def _refused_by_day(look: Look) -> dict[str, int]:
    rows = OutcomeCount.objects.filter(
        tenant_id=look.tenant_id, hour__gte=look.span.start, hour__lt=look.span.end, outcome__in=sorted(REFUSALS)
    )
    found: dict[str, int] = defaultdict(int)
    for hour, n in rows.values_list("hour", "n"):
        found[look.context.calendar.local_date(hour).isoformat()] += n
    return dict(found)


def nobody(look: Look) -> Finding:
    """The share of events without a known person."""
    shares = look.shares
    return _share_finding(
        "nobody", "Events without a person", shares.nobody, shares.events, NOBODY,
        "Send a distinct id with each event (`identify` after signing in); without one nobody is counted.",
    )  # fmt: skip


def nowhere(look: Look) -> Finding:
    """The share of events without a country."""
    shares = look.shares
    return _share_finding(
        "nowhere", "Events without a country", shares.nowhere, shares.events, NOWHERE,
        "Send `country` with events of the server, or let the proxy in front add it; breakdowns by country miss them.",
    )  # fmt: skip


def rateless(look: Look) -> Finding:
    """Money that is in no sum yet."""
    shares = look.shares
    currencies = ", ".join(shares.currencies or ())
    found = _share_finding(
        "rateless", "Amounts without an exchange rate", shares.rateless, shares.amounts, RATELESS,
        f"Give the rates of {currencies}: `manage.py import_rates`, the admin, or `POST /api/v1/exchange-rates/`.",
        of=" with an amount",
    )  # fmt: skip
    return found if shares.amounts else Finding(found.id, found.title, "ok", "–", "No event carried an amount.")


def clamped(look: Look) -> Finding:
    """Events whose clock was ahead."""
    shares = look.shares
    return _share_finding(
        "clamped", "Events from clocks that are ahead", shares.clamped, shares.events, CLAMPED,
        "Send `sent_at` with each batch, so that the device's clock is corrected.",
    )  # fmt: skip


def lateness(look: Look) -> Finding:
    """How long after they happened events arrive; imported history is left out."""
    shares = look.shares
    upper = (shares.in_minute, shares.in_hour, shares.in_day, shares.in_week, shares.live)
    counts = [count - before for count, before in zip(upper, (0, *upper), strict=False)]
    tardy = shares.live - shares.in_day
    share = tardy / shares.live if shares.live else 0.0
    level: Level = TARDY.level(share) if shares.live else "unknown"
    return Finding(
        "lateness",
        "Events that arrive after more than a day",
        level,
        f"{share * 100:.2f} %",
        f"Of the newest {shares.live:,} events; late ones move days that were published (see the ledger).",
        "See which platform sends late (phones that are offline, a queue that is stuck)." if level != "ok" else "",
        tuple({"arrived": words, "events": count} for (words, _), count in zip(LATE, counts, strict=True)),
    )


def unknown_names(look: Look) -> Finding:
    """Event names that no metric knows, with what they may stand for."""
    counted = look.series("events.count", "name")
    own = event_names_read(tenant_id=look.tenant_id).live
    strange: list[dict[str, Any]] = [
        {"name": part.key, "events": int(part.total or 0), "suggestion": suggestion(part.key)}
        for part in counted.series
        if part.key not in STANDARD_NAMES and part.key not in own and not part.key.startswith(("$", "__"))
    ]
    hinted = [row for row in strange if row["suggestion"]]
    level: Level = "warning" if hinted else "ok"
    return Finding(
        "unknown_names",
        "Event names that no built-in metric knows",
        level,
        f"{len(strange):,}",
        f"{len(strange):,} names of the last {look.days} days are your own; {len(hinted):,} look like a standard one.",
        "Say what they stand for on the mapping page: then they count." if hinted else "",
        tuple(sorted(strange, key=lambda row: (not row["suggestion"], -row["events"], row["name"]))[:50]),
    )


def rollups(look: Look) -> Finding:
    """The last comparison of a day's buckets with a recount."""
    row = RollupCheck.objects.filter(tenant_id=look.tenant_id).order_by("-checked_at", "-id").first()
    title = "Buckets against a recount of their events"
    if row is None:
        return Finding(
            "rollups", title, "unknown", "–", "No day has been checked yet; the first check runs at half past five.",
            f"Or check now: `manage.py check_rollups --tenant {look.slug}`.",
        )  # fmt: skip
    is_old = look.now - row.checked_at > UNCHECKED
    level: Level = "critical" if row.differences else "warning" if is_old else "ok"
    remedy = {
        "critical": f"Count the day again (`manage.py backfill --tenant {look.slug} --from {row.day} "
        f"--to {row.day + timedelta(days=1)}`); if the difference comes back, report it with the rows below.",
        "warning": "Checks have stopped: see whether workers and the scheduler run (`manage.py doctor`).",
    }.get(level, "")
    return Finding(
        "rollups", title, level, f"{row.differences:,} differences",
        f"{row.day} was counted again on {look.local(row.checked_at)} in {row.took_ms:,} ms.", remedy,
        tuple({"difference": text} for text in row.samples),
    )  # fmt: skip


LOOKS: tuple[Callable[[Look], Finding], ...] = (
    freshness, backlog, outcomes, rollups, rateless, unknown_names, lateness, nobody, nowhere, clamped,
)  # fmt: skip


def _share_finding(id: str, title: str, part: int, whole: int, limits: Limits, remedy: str, of: str = "") -> Finding:
    if not whole:
        return Finding(id, title, "unknown", "–", "There were no events to look at.", "Send events.")
    share = part / whole
    level = limits.level(share)
    detail = f"{part:,} of the newest {whole:,} events{of}."
    return Finding(id, title, level, f"{share * 100:.2f} %", detail, remedy if level != "ok" else "")


def _ago(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 172_800 else f"{seconds // 86_400} days"


def quality_plain(found: Quality) -> dict[str, Any]:
    """As JSON, in the shape of `GET /api/v1/quality/`."""
    return {
        "as_of": found.as_of.isoformat(),
        "days": found.days,
        "status": found.status,
        "findings": [
            {
                "id": finding.id,
                "title": finding.title,
                "status": finding.status,
                "value": finding.value,
                "detail": finding.detail,
                "remedy": finding.remedy,
                "rows": list(finding.rows),
            }
            for finding in found.findings
        ],
    }
