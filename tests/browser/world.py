"""What acme's people have made before the tests come (goal, note, board, links), and where all pages are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.browser.stage import Stage

NOBODY = "00000000-0000-4000-8000-000000000000"
CARDS = [
    {"kind": "tile", "metric": "revenue.gross", "x": 1, "y": 1, "w": 4, "h": 2},
    {"kind": "chart", "metric": "orders.count", "x": 1, "y": 2, "w": 8, "h": 5},
    {"kind": "table", "metric": "revenue.gross", "query": {"by": "country"}, "x": 9, "y": 2, "w": 4, "h": 5},
    {"kind": "text", "text": "Read me first", "x": 1, "y": 3, "w": 4, "h": 2},
]


@dataclass(frozen=True)
class World:
    """Ids and addresses of what there is to see."""

    board: str
    goal: str
    note: str
    objective: str
    link: str
    locked_link: str
    segment: str
    subject: int


_worlds: dict[str, World] = {}


def world(stage: Stage) -> World:
    """Made by the API at its first use in a process; a second process makes its own."""
    if stage.url not in _worlds:
        _worlds[stage.url] = _make(stage)
    return _worlds[stage.url]


def _make(stage: Stage) -> World:
    today = datetime.now(UTC).date()
    board = stage.post("boards/", title="Monday", description="What we look at", cards=CARDS)["id"]
    made = stage.post(
        "goals/", name="A good month", metric="revenue.gross", target="50000", first=str(today), objective="Grow"
    )
    at = f"{datetime.now(UTC) - timedelta(days=3):%FT%TZ}"
    note = stage.post("annotations/", title="New prices", kind="note", at=at)["id"]
    return World(
        board=board,
        goal=made["id"],
        note=note,
        objective=made["objective_id"],
        link=_link(stage, board),
        locked_link=_link(stage, board, password="open sesame"),
        segment=_segment(stage),
        subject=1,
    )


def _link(stage: Stage, board: str, **more: Any) -> str:
    ends = f"{datetime.now(UTC) + timedelta(days=5):%FT%TZ}"
    made = stage.post(f"boards/{board}/links/", name="Everybody", expires_at=ends, **more)
    return "/" + str(made["url"]).split("/", 3)[-1]


def _segment(stage: Stage) -> str:
    headers = {"Authorization": f"Bearer {stage.keys['acme']}"}
    found = httpx.get(f"{stage.url}/api/v1/segments/", headers=headers).json()
    if found.get("results"):
        return str(found["results"][0]["id"])
    active = {"measure": "users.active", "period": "last_30d"}
    return str(stage.post("segments/", name="Active", source="measure", definition=active)["id"])


def addresses(stage: Stage) -> dict[str, list[str]]:
    """Where each named page is; a page with several faces has several."""
    there = world(stage)
    board, metric = f"/boards/{there.board}/", "/metrics/revenue.gross/"
    return {
        "login": [],  # signed in it leads on; see the gate
        "overview": [
            *("/", "/?period=today", "/?from=2020-01-01&to=2020-02-01", "/?country=DE&compare=none"),
            *("/?by=country", "/?period=today&by=platform", "/?kiosk=1"),
        ],
        "realtime": ["/realtime/", "/realtime/?kiosk=1"],
        "metrics": ["/metrics/", "/metrics/?search=revenue"],
        "metric": [metric, f"{metric}?by=channel&country=DE,FR", "/metrics/users.stickiness/"],
        "panel": [f"{metric}moved/", f"{metric}explained/", f"{metric}ledger/"],
        "thresholds": [f"{metric}thresholds/"],
        "area": [
            f"/{slug}/"
            for slug in (
                *("revenue", "engagement", "monetisation", "creators", "safety", "gaming", "product", "risk"),
                *("payments", "webhooks", "system", "platforms"),
            )
        ]
        + ["/revenue/?by=channel", "/revenue/?kiosk=1"],
        "platform": ["/platforms/marketing/"],
        "annotations": [
            "/annotations/",
            "/annotations/?metric=orders.count&at=2026-11-02T00:00:00%2B01:00&next=/revenue/",
        ],
        "annotation": [f"/annotations/{there.note}/"],
        "boards": ["/boards/", "/boards/?kiosk=1"],
        "board": [board, f"{board}?kiosk=1"],
        "board-edit": [f"{board}edit/"],
        "board-links": [f"{board}links/"],
        "shared": [there.link],  # one with a password: see the journeys
        "goals": ["/goals/"],
        "goal-new": ["/goals/new/"],
        "goal": [f"/goals/{there.goal}/"],
        "goal-edit": [f"/goals/{there.goal}/edit/"],
        "objective": [f"/goals/objectives/{there.objective}/"],
        "objective-new": ["/goals/objectives/new/"],
        "objective-edit": [f"/goals/objectives/{there.objective}/edit/"],
        "mapping": ["/settings/events/"],
        "quality": ["/quality/"],
        "explore-funnel": ["/explore/funnel/"],
        "explore-retention": [
            "/explore/retention/",
            "/explore/retention/?" + urlencode({"q": '{"unit":"week","periods":6,"by":"country"}', "value": "FR"}),
        ],
        "explore-paths": ["/explore/paths/"],
        "explore-attribution": ["/explore/attribution/"],
        "explore-channels": ["/explore/channels/"],
        "explore-costs": ["/explore/costs/"],
        "explore-people": [],  # a cell of another page leads there
        "segments": ["/segments/"],
        "segment": [f"/segments/{there.segment}/"],
        "segment-people": [f"/segments/{there.segment}/people/"],
        "customers": ["/customers/"],
        "customers-payback": ["/customers/payback/", "/customers/payback/?by=campaign&margin=0.5"],
        "customers-movements": ["/customers/movements/?period=last_12m", "/customers/movements/?kind=new"],
        "customer-table": ["/customers/table/"],
        "customer": [f"/customers/{there.subject}/"],
        "performance": ["/performance/"],
        "usage": ["/usage/", "/usage/?window=1d"],
    }


NO_PAGE = {
    "logout", "tenant", "theme", "range", "first-key", "annotation-delete", "board-new", "board-import",
    "board-preview", "board-keep", "board-copy", "board-delete", "goal-check-in", "goal-archive", "objective-archive",
    "segment-refresh", "segment-delete", "customers-snapshot", "explore-cancel",
    "explore-to-board",  # forms: posted, they lead to a page
    "card", "present",  # fragments
    "board-file", "export", "explore-export", "table-file", "palette",  # files
}  # fmt: skip
