"""A synthetic history, made inside PostgreSQL: `python tests/bench/generate.py --events 1000000 --users 50000 --days
90`.

Visits of people with a heavy tail (the busiest percent makes about a quarter of them), one to nine events each, written
straight into partitions as role app, with subjects and one person in twenty known under two of them. No identities,
keys or marks: this is for measuring the counting, not the writing. The same arguments give the same history.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import django

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

SUBJECTS = """
INSERT INTO bw_subject (tenant_id, id, person_id, is_identified, first_seen_at)
SELECT %(tenant)s, id, CASE WHEN id %% 20 = 0 THEN id - 1 ELSE id END, id %% 3 = 0, %(start)s
  FROM generate_series(1, %(users)s) AS id
ON CONFLICT DO NOTHING"""

EVENTS = """
INSERT INTO bw_event (id, tenant_id, ts, received_at, event_id, name, type, source, subject_id, session_id, platform,
    country, campaign, channel, object_type, object_id, method, tier, value, duration_ms, amount, currency, amount_base,
    is_bot, is_internal, is_historical, is_clamped, properties)
SELECT gen_random_uuid(), %(tenant)s, at, at + interval '1 second', md5(visit::text || step), name, 'user_action',
'api',
       subject, CASE WHEN subject %% 4 = 0 THEN 's' || %(day)s || '-' || visit END,
       (ARRAY['web', 'ios', 'android', 'server'])[1 + subject %% 4],
       (ARRAY['FR', 'DE', 'GB', 'US', 'ES', 'IT', 'NP', 'JP', 'BR', 'IN', NULL, 'CH'])[1 + subject %% 12],
       CASE WHEN subject %% 5 = 0 THEN 'campaign-' || subject %% 17 END,
       (ARRAY['search', 'direct', 'email', 'social'])[1 + subject %% 4], 'product', 'p' || floor(luck * luck *
       500)::int, CASE WHEN name = 'order_completed' THEN (ARRAY['card', 'transfer', 'wallet'])[1 + step %% 3] END,
       NULL, NULL, CASE WHEN name = 'stream_ended' THEN round(luck * 3600000) END, CASE WHEN is_money THEN 100 +
       floor(luck * 20000)::int END, CASE WHEN is_money THEN 'EUR' END, CASE WHEN is_money THEN 100 + floor(luck *
       20000)::int END, subject %% 100 = 7, subject %% 500 = 11, false, false, jsonb_build_object('path', '/p/' ||
       floor(luck * 500)::int, 'browser', 'Firefox', 'viewers', floor(luck * 100)::int)
  FROM (
    SELECT visit, step, subject, start + step * interval '40 seconds' * (0.5 + random()) AS at, random() AS luck, name,
           name IN ('order_completed', 'order_refunded', 'gift_sent') AS is_money
      FROM (SELECT visit, least(%(users)s, 1 + floor(%(users)s * power(random(), 3.2))::int) AS subject,
                   %(start)s::timestamptz + random() * %(seconds)s * interval '1 second' AS start, 1 + floor(random()
                   * 9)::int AS steps
              FROM generate_series(1, %(visits)s) AS visit) visits,
           LATERAL generate_series(1, steps) AS step,
           LATERAL (SELECT (ARRAY['$pageview', '$pageview', '$pageview', '$pageview', 'product_viewed',
           'product_viewed',
                'message_sent', '$pageleave', 'order_completed', 'gift_sent', 'cart_updated', 'stream_ended',
                'order_refunded', '$identify'])[1 + (visit * 31 + step * 7 + subject) %% 14] AS name) named
  ) made"""


def generate(
    *,
    slug: str,
    events: int,
    users: int,
    days: int,
    end: date,
    zone: str = "Europe/Paris",
    workers: int = 4,
    only: range | None = None,
) -> int:
    """Fill the tenant of that slug (made if it is missing) with about `events` events before `end`; its id.

    `only` limits it to some of the days, which are numbered from 0.
    """
    from django.db import connections

    from analytics.access.services import tenant_create
    from analytics.partitions import month_after, partitions_between
    from analytics.tenancy import UnknownTenant, tenant_by_slug, tenant_context

    try:
        tenant_id = tenant_by_slug(slug).id
    except UnknownTenant:
        tenant_id = tenant_create(slug=slug, name=slug.title(), zone=zone, base_currency="EUR").pk
    first = end - timedelta(days=days)
    partitions_between(first, month_after(end))
    with tenant_context(tenant_id), connections["default"].cursor() as cursor:
        cursor.execute(
            SUBJECTS,
            {"tenant": tenant_id, "users": users, "start": datetime(first.year, first.month, first.day, tzinfo=UTC)},
        )
    connections.close_all()
    visits = max(1, events // days // 5)
    with ProcessPoolExecutor(workers) as pool:
        numbers = only if only is not None else range(days)
        for future in [pool.submit(_day, tenant_id, first + timedelta(days=n), n, visits, users) for n in numbers]:
            future.result()
    with connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE bw_event, bw_subject")
    return tenant_id


def _day(tenant_id: int, day: date, number: int, visits: int, users: int) -> None:
    from analytics.tenancy import tenant_context

    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    with tenant_context(tenant_id):
        insert(tenant_id, start, seconds=86_040, number=number, visits=visits, users=users)


def insert(tenant_id: int, start: datetime, *, seconds: float, number: int, visits: int, users: int) -> None:
    """About five events for each of `visits` that begin within `seconds` after `start`; `number` is the seed."""
    from django.db import connections

    values: dict[str, Any] = {
        "tenant": tenant_id,
        "start": start,
        "day": number,
        "visits": visits,
        "users": users,
        "seconds": seconds,
    }
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT setseed(%s)", [number / 10_000])
        cursor.execute(EVENTS, values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenant", default="bench")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--end", type=date.fromisoformat, default=date(2026, 11, 1), help="the day after the last")
    parser.add_argument("--workers", type=int, default=4)
    chosen = parser.parse_args()
    django.setup()
    begun = time.perf_counter()
    generate(
        slug=chosen.tenant,
        events=chosen.events,
        users=chosen.users,
        days=chosen.days,
        end=chosen.end,
        workers=chosen.workers,
    )
    print(
        json.dumps({"tenant": chosen.tenant, "events": chosen.events, "seconds": round(time.perf_counter() - begun, 1)})
    )


if __name__ == "__main__":
    main()
