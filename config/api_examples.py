"""Examples of the API's description. A test sends each body, so that none of them is wrong."""

from __future__ import annotations

from typing import Any, Final

ID: Final = "0198f0c2-7d1e-7c3a-9a55-2f1b8c0e4d11"
STEPS: Final = [{"events": ["page_view"]}, {"events": ["order_completed"]}]
FUNNEL: Final = {"steps": STEPS, "period": "last_30d", "window": "7d", "by": "country"}
FRENCH: Final = [{"field": "country", "op": "eq", "value": "FR"}]

# By name, for parameters of a query; by `operation.name` where one operation means something else.
PARAMETERS: Final[dict[str, Any]] = {
    "action": ["checkout"],
    "actor": "user:7",
    "after": 0,
    "If-Match": '"3"',
    "archived": False,
    "at": "2026-03-05T09:00:00Z",
    "by": "country",
    "campaign": ["spring"],
    "channel": ["newsletter", "google"],
    "compare": "previous",
    "content_type": ["course"],
    "country": ["FR", "DE"],
    "currency": ["EUR"],
    "cursor": "AAZRgR4RgAABmNv7cWd3EouVpX3lZ7hO",
    "days": 30,
    "distinct_id": "ada",
    "engagement": ["high", "very_high"],
    "event_id": ["order-1001"],
    "family": "revenue",
    "filters": '[{"field": "country", "op": "eq", "value": "FR"}]',
    "from": "2026-03-01",
    "include": ["bots"],
    "is_bot": False,
    "is_historical": False,
    "is_internal": False,
    "kind": "rollup.backfill",
    "limit": 50,
    "margin": 0.4,
    "match_weekday": True,
    "method": ["card"],
    "metric": "revenue.gross",
    "metrics": ["revenue.gross", "orders.count", "users.active"],
    "months": 6,
    "name": ["order_completed"],
    "object": ["course-42"],
    "object_id": ["course-42"],
    "object_type": ["course"],
    "objective": "Grow in France",
    "offset": 0,
    "owner": "olga",
    "period": "30d",
    "platform": ["web", "ios"],
    "q": '{"steps": [{"events": ["page_view"]}, {"events": ["order_completed"]}]}',
    "reason": ["insufficient_funds"],
    "search": "revenue customer",
    "shared": True,
    "session": ["s-81f2"],
    "source": ["api"],
    "taken_on": "2026-03-01",
    "tier": ["gold"],
    "timezone": "Europe/Paris",
    "to": "2026-04-01",
    "type": ["user_action"],
    "units": 12,
    "user": "ada",
    "values": False,
    "window": "7d",
    "with": ID,
    "audit_list.action": "key.revoked",
    "customers_movements.kind": "churn",
    "customers_segments.compare": "2026-02-01",
    "payments.country": "FR",
    "rates_list.currency": "USD",
    "quarantine_list.reason": ["unknown_currency"],
}

BODIES: Final[dict[str, Any]] = {
    "annotations_add": {"kind": "deploy", "title": "v2.3.0", "url": "https://ci.example.org/builds/81"},
    "annotations_change": {"text": "Taken back at 10:40: checkouts failed."},
    "board_links_create": {"name": "For the board meeting", "expires_at": "2026-12-31T18:00:00Z"},
    "boards_change": {
        "title": "Sales",
        "cards": [{"kind": "tile", "metric": "revenue.gross", "x": 1, "y": 1, "w": 3, "h": 2}],
    },
    "boards_create": {
        "title": "Sales",
        "query": {"period": "last_7d", "compare": "previous"},
        "cards": [
            {"kind": "tile", "metric": "revenue.gross", "x": 1, "y": 1, "w": 3, "h": 2},
            {"kind": "table", "metric": "revenue.gross", "query": {"by": "country"}, "x": 4, "y": 1, "w": 4, "h": 5},
        ],
    },
    "channels_replace": {"rules": [{"channel": "Newsletter", "medium": "email", "is_paid": False}]},
    "check_ins_add": {"confidence": 0.7, "note": "The spring campaign starts on Monday."},
    "costs_import": {
        "costs": [
            {"day": "2026-03-01", "channel": "google", "campaign": "spring", "amount": "120.00", "currency": "EUR"}
        ]
    },
    "customers_segment_table_set": {
        "segments": [
            {"name": "Champions", "recency": [4, 5], "frequency": [4, 5], "monetary": [4, 5]},
            {"name": "Everybody else", "recency": [1, 5], "frequency": [1, 5], "monetary": [1, 5]},
        ]
    },
    "definitions_change": {
        "metric": "own.net_per_order",
        "name": "Net revenue per order",
        "formula": "revenue.net / orders.count",
        "unit": "money",
    },
    "definitions_create": {
        "metric": "own.net_per_order",
        "name": "Net revenue per order",
        "formula": "revenue.net / orders.count",
        "unit": "money",
    },
    "events_send": {
        "events": [
            {
                "event": "order_completed",
                "user": "ada",
                "value": 19.90,
                "currency": "EUR",
                "id": "order-1001",
                "properties": {"plan": "team"},
            }
        ]
    },
    "explore_attribution": {"period": "last_30d", "models": ["last_non_direct", "linear"], "lookback": "30d"},
    "explore_funnel": FUNNEL,
    "explore_lifecycle": {"period": "last_90d", "unit": "week"},
    "explore_paths": {"period": "last_30d", "anchor": {"events": ["signed_up"]}, "depth": 3},
    "explore_people": {"kind": "funnel", "question": FUNNEL, "place": {"step": 1}},
    "explore_retention": {"unit": "week", "periods": 8, "cohort": "first_ever", "by": "country", "limit": 5},
    "goals_change": {"target": "60000.00"},
    "goals_create": {
        "name": "March",
        "metric": "revenue.net",
        "target": "50000.00",
        "first": "2026-12-01",
        "shape": "seasonal",
        "objective": "Grow in France",
        "filters": FRENCH,
    },
    "identities_merge": {"distinct_id": "ada", "other": "ada@work", "reason": "support ticket 81"},
    "identities_unmerge": {"edge": ID, "reason": "two people share a computer"},
    "jobs_start": {"kind": "backfill", "from": "2026-03-01", "to": "2026-04-01", "dry_run": True},
    "keys_create": {"kind": "sk", "name": "CI", "scopes": ["kpis:read", "kpis:write"]},
    "kpis_calculate": {
        "metrics": ["revenue.gross", "orders.count"],
        "period": "30d",
        "by": "country",
        "filters": FRENCH,
    },
    "calendar_change": {"zone": "America/New_York", "week_start": 6},
    "mapping_change": {"names": {"Checkout Done": "order_completed"}, "dry_run": True},
    "objectives_change": {"note": "Agreed on in January."},
    "objectives_create": {"name": "Keep who came", "first": "2026-10-01", "period": "quarter", "owner": "olga"},
    "quarantine_discard": {"ids": [ID]},
    "quarantine_replay": {"reason": "unknown_currency", "dry_run": True},
    "rates_import": {"rates": [{"day": "2026-03-02", "currency": "USD", "rate": "0.92"}]},
    "retention_change": {"days": 365, "events": {"page_view": 90}, "dry_run": True},
    "segments_create": {
        "name": "Looked and did not buy",
        "source": "answer",
        "definition": {
            "kind": "funnel",
            "question": {"steps": STEPS, "period": "last_30d"},
            "place": {"step": 0, "outcome": "dropped"},
        },
    },
    "subjects_erase": {"dry_run": True},
    "thresholds_change": {"warning": 500, "critical": 300},
    "token_create": {"username": "olga", "password": "…", "tenant": "acme"},
    "token_refresh": {"refresh": "eyJhbGciOiJIUzI1NiIs…"},
}
