"""The first page, 12 tiles and 4 charts, 30 days against the 30 before: `python tests/bench/bench_page.py`.

Prints the server's time and statements with nothing remembered and remembered, and the largest contentful paint in a
browser on this machine. Bars at ten million events: 120 ms and 25 ms (p95), 25 statements, 1 s.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.bench.stocked import END, percentile, stock, stock_by_month

DAYS = 120
RANGES = 50
ALIASES = ("default", "owner")
LARGEST = """() => new Promise((done) => new PerformanceObserver((list) => done(list.getEntries().at(-1).startTime))
    .observe({type: "largest-contentful-paint", buffered: true}))"""


def address(shift: int) -> str:
    end = END - timedelta(days=shift)
    return f"/?from={end - timedelta(days=30)}&to={end}"


def timed(client: Any, path: str) -> tuple[float, int]:
    """Milliseconds and statements of one answer."""
    from django.db import connections
    from django.test.utils import CaptureQueriesContext

    with ExitStack() as stack:
        captured = [stack.enter_context(CaptureQueriesContext(connections[alias])) for alias in ALIASES]
        begun = time.perf_counter()
        answer = client.get(path)
        took = (time.perf_counter() - begun) * 1000
    assert answer.status_code == 200, answer.content[:2000]
    assert answer.content.count(b'class="tile"') == 12
    return took, sum(len(each) for each in captured)


def server(tenant_id: int) -> tuple[dict[str, object], str]:
    """Times in process, without network; and a session for the browser."""
    from django.test import Client

    client = Client(headers={"accept-encoding": "identity"}, SERVER_NAME="localhost")
    client.force_login(_owner(tenant_id))
    timed(client, address(RANGES + 1))  # imports and plans
    fresh = [timed(client, address(shift)) for shift in range(RANGES)]
    again = [timed(client, address(shift)) for shift in range(RANGES)]
    told = {
        name: {
            "p50_ms": round(percentile([took for took, _ in samples], 0.5), 1),
            "p95_ms": round(percentile([took for took, _ in samples], 0.95), 1),
            "statements": max(count for _, count in samples),
        }
        for name, samples in (("uncached", fresh), ("cached", again))
    }
    return dict(told), str(client.session.session_key)


def _owner(tenant_id: int) -> Any:
    from django.contrib.auth import get_user_model

    from analytics.access.services import membership_set

    users: Any = get_user_model().objects
    user, _ = users.get_or_create(username=f"bench-{tenant_id}")
    membership_set(tenant_id=tenant_id, user=user, role="owner")
    return user


def painted(session: str, rounds: int) -> dict[str, object]:
    """Largest contentful paint over a real server: first visit of a range, and again."""
    from django.conf import settings
    from django.core.management import call_command
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import ARGUMENTS
    from tests.browser.stage import chromium
    from tests.reports.live.server import web

    call_command("collectstatic", interactive=False, verbosity=0)
    home = Path(os.environ["BELLWETHER_HOME"])
    with web({"BELLWETHER_HOME": str(home)}, home / "bench-page.log") as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": site.url}
        samples: dict[str, list[float]] = {"first_visit": [], "again": []}
        for number in range(rounds):
            context = browser.new_context(viewport={"width": 1440, "height": 900})  # an empty cache
            context.add_cookies([cookie])  # type: ignore[list-item]
            page = context.new_page()
            for name in samples:
                page.goto(f"{site.url}{address(number % RANGES)}")
                samples[name].append(page.evaluate(LARGEST))
            context.close()
        browser.close()
    return {
        name: {"lcp_p50_ms": round(percentile(each, 0.5)), "lcp_p95_ms": round(percentile(each, 0.95))}
        for name, each in samples.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--by-month", action="store_true", help="let go of each month's events once they are counted")
    parser.add_argument("--rounds", type=int, default=20, help="of visits in the browser")
    chosen = parser.parse_args()
    stocked = stock_by_month if chosen.by_month else stock
    tenant_id = stocked(events=chosen.events, users=chosen.users, days=DAYS)
    answers, session = server(tenant_id)
    print(json.dumps({"bench": "page", "events": chosen.events, **answers}), flush=True)
    print(json.dumps({"bench": "page in a browser", **painted(session, chosen.rounds)}), flush=True)


if __name__ == "__main__":
    main()
