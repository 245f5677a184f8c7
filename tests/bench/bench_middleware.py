"""What the middleware adds to a trivial view: `python -m tests.bench.bench_middleware [--requests 20000]`.

Two handlers answer the same request in turns, one with the middleware and one without, in a process like a host's:
events go to the spooled writer, which stores them. Half of the runs have PostgreSQL unreachable.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from tests.bench.stage import prepare

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
Handler = Callable[[], Any]


def handler(middleware: list[str]) -> Handler:
    """Answers one request through Django's own handler, as a WSGI server would make it."""
    from django.core.handlers.base import BaseHandler
    from django.http import HttpRequest
    from django.test import RequestFactory, override_settings

    factory = RequestFactory()
    base = BaseHandler()
    with override_settings(MIDDLEWARE=middleware):
        base.load_middleware()
    environ = factory.get("/orders/17/?utm_source=news").META

    def answer() -> Any:
        from django.core.handlers.wsgi import WSGIRequest

        request: HttpRequest = WSGIRequest(
            {
                **environ,
                "HTTP_USER_AGENT": FIREFOX,
                "HTTP_COOKIE": "sessionid=abcdefghijklmnop",
                "HTTP_REFERER": "https://news.example/a",
                "wsgi.input": environ["wsgi.input"],
            }
        )
        return base.get_response(request)

    return answer


def measure(plain: Handler, recorded: Handler, requests: int) -> dict[str, float]:
    """Microseconds per request, in turns so that the machine's moods hit both alike."""
    times: dict[str, list[int]] = {"plain": [], "recorded": []}
    for _ in range(500):
        plain()
        recorded()
    gc.disable()
    for _ in range(requests):
        for name, answer in (("plain", plain), ("recorded", recorded)):
            begun = perf_counter_ns()
            answer()
            times[name].append(perf_counter_ns() - begun)
    gc.enable()
    found: dict[str, float] = {}
    for quantile in (50, 95, 99):
        cuts = {name: statistics.quantiles(values, n=100)[quantile - 1] / 1000 for name, values in times.items()}
        found[f"plain_p{quantile}_us"] = round(cuts["plain"], 1)
        found[f"added_p{quantile}_us"] = round(cuts["recorded"] - cuts["plain"], 1)
    return found


def main() -> None:
    """Prints one JSON object for PostgreSQL up and one for PostgreSQL away."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--tenant", default="bench")
    arguments = parser.parse_args()
    os.environ["ANALYTICS_TENANT"] = arguments.tenant
    prepare()
    from django.conf import settings
    from django.db import connections

    from analytics.capture.faults import fault_counts
    from analytics.capture.outlet import outlet

    settings.ROOT_URLCONF = "tests.analytics.host.views"
    settings.ANALYTICS_SPOOL_DIR = tempfile.mkdtemp(prefix="bellwether-bench-")
    settings.ALLOWED_HOSTS = ["testserver"]
    _tenant_make(arguments.tenant)
    contrib = "django.contrib"
    host = [f"{contrib}.sessions.middleware.SessionMiddleware", f"{contrib}.auth.middleware.AuthenticationMiddleware"]
    outlet.tenants.refresh(arguments.tenant)
    plain, recorded = handler(host), handler([*host, "analytics.capture.middleware.AnalyticsMiddleware"])
    results = {"postgresql up": measure(plain, recorded, arguments.requests)}
    outlet.flush(60)
    outlet.close()
    outlet.begin()
    for alias in ("default", "ingest"):
        connections[alias].close()
        connections[alias].settings_dict.update(HOST="127.0.0.1", PORT="1")
    results["postgresql away"] = measure(plain, recorded, arguments.requests // 4)
    print(json.dumps({**results, "faults": fault_counts.snapshot()}, indent=1))
    # What is in the spool stays there: the run is over, and PostgreSQL is still away for this process.
    outlet._writer = None


def _tenant_make(slug: str) -> None:
    from analytics.access.services import tenant_create
    from analytics.tenancy import UnknownTenant, tenant_by_slug

    try:
        tenant_by_slug(slug)
    except UnknownTenant:
        tenant_create(slug=slug, name="Bench", zone="UTC", base_currency="EUR")


if __name__ == "__main__":
    main()
