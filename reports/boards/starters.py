"""Boards to begin with: a question that most teams ask, laid out."""

from __future__ import annotations

from typing import Any, Final


def _tile(metric: str, column: int) -> dict[str, Any]:
    return {"kind": "tile", "metric": metric, "x": column, "y": 1, "w": 3, "h": 2}


STARTERS: Final[dict[str, dict[str, Any]]] = {
    "empty": {"title": "New board"},
    "sales": {
        "title": "Sales",
        "description": "What was sold, to whom, and where they came from.",
        "cards": [
            _tile("revenue.gross", 1),
            _tile("orders.count", 4),
            _tile("revenue.aov", 7),
            _tile("users.paying", 10),
            {"kind": "chart", "metric": "revenue.gross", "x": 1, "y": 3, "w": 8, "h": 5},
            {"kind": "table", "metric": "revenue.gross", "query": {"by": "country"}, "x": 9, "y": 3, "w": 4, "h": 5},
            {"kind": "chart", "metric": "orders.count", "x": 1, "y": 8, "w": 6, "h": 5},
            {"kind": "table", "metric": "orders.count", "query": {"by": "channel"}, "x": 7, "y": 8, "w": 6, "h": 5},
        ],
    },
    "people": {
        "title": "People",
        "description": "Who comes, and who comes back.",
        "cards": [
            _tile("users.active", 1),
            _tile("users.new", 4),
            _tile("users.stickiness", 7),
            _tile("sessions.count", 10),
            {"kind": "chart", "metric": "users.active", "x": 1, "y": 3, "w": 6, "h": 5},
            {"kind": "table", "metric": "users.active", "query": {"by": "platform"}, "x": 7, "y": 3, "w": 6, "h": 5},
            {"kind": "retention", "x": 1, "y": 8, "w": 12, "h": 6},
        ],
    },
}
