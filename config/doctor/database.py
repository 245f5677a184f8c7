"""PostgreSQL: does it answer, is it new enough, are its walls up, is its clock right?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from analytics.partitions import partitions_ensure
from analytics.rls import role_problems
from analytics.tenancy import tenants
from config.doctor import Finding, check
from config.figures import partition_lead_days, query
from config.health import PARTITION_DAYS, Unwell, migrations

# Minors of the same day as 18.7 (RELIABILITY, version floors): earlier ones leak past row-level security.
FLOORS: Final = {18: 7, 17: 13, 16: 17, 15: 21}
SKEW_WARNING, SKEW_ERROR = 1.0, 5.0
UNGUARDED: Final = """
SELECT c.relname FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname LIKE 'bw\\_%'
   AND NOT (c.relrowsecurity AND c.relforcerowsecurity
            AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant'))
 ORDER BY 1"""


@check("database", "PostgreSQL answers")
def answers(now: datetime) -> Iterator[Finding]:
    query("SELECT 1")
    yield from ()


@check("database.version", "PostgreSQL is new enough")
def version(now: datetime) -> Iterator[Finding]:
    ((number, folder),) = query("SELECT current_setting('server_version_num')::int, current_setting('cluster_name')")
    major, minor = divmod(int(number), 10_000)
    if folder == "bellwether":
        return  # the embedded server has one user and comes with its package
    if major not in FLOORS and major < max(FLOORS):
        yield Finding("error", f"PostgreSQL {major} is too old.", "Move to PostgreSQL 18 (15 at least).")
    elif minor < FLOORS.get(major, 0):
        wanted = f"{major}.{FLOORS[major]}"
        yield Finding(
            "warning",
            f"PostgreSQL {major}.{minor} has known leaks past row-level security.",
            f"Install {wanted} or later; a minor version needs a restart only.",
        )


@check("database.roles", "No role looks past row-level security")
def roles(now: datetime) -> Iterator[Finding]:
    for alias in ("default", "ingest", "erasure"):
        for problem in role_problems(alias):
            yield Finding(
                "error", problem, "manage.py setup_roles --admin-url postgresql://… makes roles that are bound."
            )


@check("database.walls", "Every table of a tenant is guarded")
def walls(now: datetime) -> Iterator[Finding]:
    for (table,) in query(UNGUARDED):
        fix = f"As owner: ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; and its policy."
        yield Finding("error", f"{table} shows every tenant's rows.", fix)


@check("database.migrations", "All migrations are applied")
def applied(now: datetime) -> Iterator[Finding]:
    try:
        migrations()
    except Unwell as error:
        yield Finding("error", f"{error}.".replace(": run manage.py migrate", ""), "manage.py migrate")


@check("database.partitions", "The next months have partitions")
def partitions(now: datetime) -> Iterator[Finding]:
    days = partition_lead_days(now.astimezone(UTC).date())
    if days < PARTITION_DAYS:
        yield Finding(
            "error" if days == 0 else "warning",
            f"Partitions reach {days} days ahead; {PARTITION_DAYS} are wanted.",
            "manage.py partitions ensure, and see that the scheduler runs.",
            repair=partial(_ensure, now),
        )


def _ensure(now: datetime) -> str:
    made = partitions_ensure(now=now)
    return f"made the partitions of {', '.join(made)}" if made else "they were there already"


@check("database.clock", "The clocks of the application and of PostgreSQL agree")
def clock(now: datetime) -> Iterator[Finding]:
    before = datetime.now(UTC)
    ((there,),) = query("SELECT clock_timestamp()")
    after = datetime.now(UTC)
    away = max(before - there, there - after, timedelta(0)).total_seconds()
    if away > SKEW_WARNING:
        yield Finding(
            "error" if away > SKEW_ERROR else "warning",
            f"They are {away:.1f} s apart: late events and leases are judged wrongly.",
            "Set both machines by NTP: systemctl enable --now chrony (or systemd-timesyncd).",
        )


@check("database.zones", "Both know when the clocks change in each tenant's zone")
def zones(now: datetime) -> Iterator[Finding]:
    # The first of each of the next 24 months at noon UTC: a rule that differs shows in one of them.
    moments = [now.astimezone(UTC) + timedelta(days=30 * month) for month in range(25)]
    for zone in sorted({tenant.zone for tenant in tenants()}):
        ((known,),) = query("SELECT count(*) FROM pg_timezone_names WHERE name = %s", zone)
        if not known:
            yield Finding(
                "error", f"PostgreSQL does not know {zone}.", "Update the server's tzdata package and restart it."
            )
            continue
        rows = query("SELECT m AT TIME ZONE %s FROM unnest(%s::timestamptz[]) m", zone, moments)
        ours = [moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in moments]
        if [there for (there,) in rows] != ours:
            yield Finding(
                "error",
                f"Python and PostgreSQL disagree about {zone}.",
                "pip install --upgrade tzdata here, and update the server's tzdata package.",
            )
