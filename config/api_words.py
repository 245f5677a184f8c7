"""What the description of the API says in words: areas, a line for each operation, what every client has to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DESCRIPTION: Final = """\
Business analytics that a team runs itself.

**Who calls.** `Authorization: Bearer …` with a secret key (`sk_…`), a publishable key (`pk_…`, sends events only) or an
access token of `auth/token/`. The tenant is the credential's, never a parameter. Each operation names the scope that it
needs; an id of somebody else's is answered like one that never was.

**Time.** Ranges are half open, `[from, to)`. A date is midnight in the tenant's own zone; answers are ISO 8601 with an
offset. `period` is short for a range: `30d` (complete days), `today`, `mtd`, `last_month`, `2026-11`.

**Numbers.** Money is a decimal string in the tenant's currency, counts are integers, ratios lie between 0 and 1.
`null` is "not known" and never zero. `is_complete` says whether a number can still change by itself.

**Trust.** Every result says whose days it was cut by (`timezone`), over which range (`from`, `to`) and of what
(`filters`, `include`), by which rule (`definition_version`, which changes with the rule and not with the question), up
to when everything is in it (`data_through`), whether that is all of it (`is_complete`), when it was worked out
(`computed_at`) and from what (`executor`: roll-up, events, or the engine that read them).

**Lists** come in pages: `results` and `next`, the address of the page after this one, null at the end. Short lists take
`limit` and `offset` and tell their `count`; long ones take a `cursor` and are not counted.

**Twice.** Any POST with an `Idempotency-Key` acts once in 24 hours. Events have ids of their own for that.

**Errors** are problem documents (RFC 9457): `code` is stable and for programs, `detail` for people, `errors` names each
field, `request_id` is in our logs too. 429 and 503 say in `Retry-After` when to come again.
"""


@dataclass(frozen=True, slots=True)
class Area:
    """Operations that belong together, by how their paths below /api/v1/ begin; the longest beginning wins."""

    name: str
    help: str
    prefixes: tuple[str, ...]


AREAS: Final = (
    Area("Metrics", "The catalogue, series, comparison, and why a number is what it is.", ("kpis/",)),
    Area(
        "Payments and operation",
        "Payments, webhooks, requests of the host.",
        ("payments/", "webhooks/", "performance/"),
    ),
    Area("Goals", "Targets with pace and chance, and the objectives that they add up to.", ("goals/", "objectives/")),
    Area(
        "Exploration",
        "Funnels, retention, lifecycle, paths and attribution; who is behind a bar.",
        ("explore/", "users/", "usage/"),
    ),
    Area("Customers", "Segments, value, cohorts, payback, movements.", ("customers/", "segments/")),
    Area(
        "Boards and notes",
        "Boards with their links, notes on charts, numbers as files.",
        ("boards/", "annotations/", "kpis/{metric}/export/"),
    ),
    Area(
        "Definitions",
        "A tenant's own metrics, and what its event names mean.",
        ("kpis/definitions/", "kpis/mapping/", "kpis/calendar/", "exchange-rates/"),
    ),
    Area("Events", "Sending events, reading them, and what was refused.", ("events/", "quarantine/", "imports/")),
    Area("People", "Who is who, and how to forget somebody.", ("identities/", "subjects/")),
    Area(
        "Access", "Log-in, tenant, members, keys, the audit trail.", ("auth/", "tenant/", "members/", "keys/", "audit/")
    ),
    Area("Work", "Jobs, schedule, cache and data quality.", ("jobs/", "scheduler/", "cache/", "quality/")),
    Area("Start", "Where everything is.", ("",)),
)

SUMMARIES: Final = {
    "root": "Where everything is",
    "kpis_list": "List metrics with their values",
    "kpis_read": "Describe a metric",
    "kpis_series": "Read a metric over time",
    "kpis_overview": "Read several metrics against the range before",
    "kpis_realtime": "Read the last 30 minutes",
    "kpis_trends": "Compare today, this week or month with the one before",
    "kpis_peak_times": "Find the busy hours of the week",
    "kpis_calculate": "Work out several metrics at once",
    "kpis_ledger": "Compare what was reported with what is known now",
    "kpis_contributions": "See what moved a metric",
    "kpis_explain": "See how a metric is computed",
    "kpis_export": "Download a metric as a file",
    "definitions_list": "List the tenant's own metrics",
    "definitions_create": "Make a metric by a formula",
    "definitions_read": "Read one of the tenant's own metrics",
    "definitions_change": "Change one of the tenant's own metrics",
    "definitions_archive": "Take one of the tenant's own metrics out of use",
    "thresholds_read": "Read the limits of a metric",
    "thresholds_change": "Set warning and critical of a metric",
    "thresholds_remove": "Go back to the declared limits of a metric",
    "calendar_read": "Read how days and weeks are cut",
    "calendar_change": "Change time zone or week start",
    "mapping_read": "Read what event names mean",
    "mapping_change": "Say what event names mean",
    "rates_list": "List exchange rates",
    "rates_import": "Store exchange rates",
    "payments_summary": "Summarise payments",
    "payments_success_rate": "Read how many payments succeed",
    "payments_failures": "Read which payments fail, when and why",
    "payments_latency": "Read how long payments take",
    "payments_methods": "Compare payment methods",
    "payments_top_resources": "Rank what sells",
    "payments_customers": "Rank who pays",
    "webhooks_metrics": "Read how webhooks arrive",
    "performance": "Read how quickly the host answers",
    "goals_list": "List goals",
    "goals_create": "Set a goal",
    "goals_read": "Read a goal day by day",
    "goals_change": "Change a goal",
    "goals_archive": "Put a goal away",
    "check_ins_list": "List what was said of a goal",
    "check_ins_add": "Check in on a goal",
    "objectives_list": "List objectives",
    "objectives_create": "Make an objective",
    "objectives_read": "Read an objective with its goals",
    "objectives_change": "Change an objective",
    "objectives_archive": "Put an objective away",
    "explore_funnel": "Ask for a funnel",
    "explore_funnel_read": "Ask for a funnel by address",
    "explore_retention": "Ask for retention",
    "explore_retention_read": "Ask for retention by address",
    "explore_lifecycle": "Ask for the lifecycle",
    "explore_lifecycle_read": "Ask for the lifecycle by address",
    "explore_paths": "Ask for paths",
    "explore_paths_read": "Ask for paths by address",
    "explore_attribution": "Ask for attribution",
    "explore_attribution_read": "Ask for attribution by address",
    "explore_people": "List the people behind a place in an answer",
    "channels_read": "Read the rules of channels",
    "channels_replace": "Replace the rules of channels",
    "costs_list": "List marketing costs",
    "costs_import": "Store marketing costs",
    "users_timeline": "Read what a person did",
    "usage": "Read how features, platforms and posts are used",
    "customers_segments": "Read the customers' segments",
    "customers_segment_table": "Read the table of segments",
    "customers_segment_table_set": "Replace the table of segments",
    "customers_lifetime": "Read what cohorts of customers brought",
    "customers_payback": "Read when customers pay back what they cost",
    "customers_movements": "List customers whose recurring revenue moved",
    "customers_value": "Read what a customer is worth",
    "segments_list": "List kept segments",
    "segments_create": "Keep a segment",
    "segments_read": "Read a kept segment",
    "segments_delete": "Forget a kept segment",
    "segments_refresh": "Ask again who is in a segment",
    "segments_overlap": "Compare two segments",
    "segments_people": "List the people of a segment",
    "boards_list": "List boards",
    "boards_create": "Make a board",
    "boards_read": "Read a board",
    "boards_change": "Save a board",
    "boards_delete": "Delete a board",
    "boards_copy": "Copy a board",
    "board_links_list": "List the links of a board",
    "board_links_create": "Share a board by a link",
    "board_links_revoke": "Close a link",
    "annotations_list": "List annotations",
    "annotations_add": "Write an annotation",
    "annotations_change": "Change an annotation",
    "annotations_delete": "Delete an annotation",
    "events_send": "Send events",
    "events_list": "List events",
    "events_read": "Read an event",
    "outcomes_read": "Count what became of received events",
    "quarantine_list": "List held events",
    "quarantine_read": "Read why an event is held",
    "quarantine_replay": "Try held events again",
    "quarantine_discard": "Give held events up",
    "imports_start": "Import a file of events",
    "identities_read": "Find a person by an id",
    "identities_merge": "Say that two ids are one person",
    "identities_unmerge": "Take a merge back",
    "subjects_erase": "Erase a person",
    "token_create": "Log in",
    "token_refresh": "Renew an access token",
    "tenant_read": "Read the tenant",
    "retention_read": "Read how long events are kept",
    "retention_change": "Change how long events are kept",
    "members_list": "List members",
    "keys_list": "List API keys",
    "keys_create": "Make an API key",
    "keys_read": "Read an API key",
    "keys_revoke": "Revoke an API key",
    "keys_rotate": "Rotate an API key",
    "audit_list": "List who changed what",
    "jobs_list": "List jobs",
    "jobs_start": "Start a roll-up or a backfill",
    "jobs_read": "Read a job",
    "jobs_cancel": "Cancel a job",
    "scheduler_read": "Read the schedule",
    "scheduler_switch": "Start, stop or restart the schedule",
    "cache_read": "Read how often the cache knew",
    "cache_clear": "Clear the cache",
    "quality_read": "Check the quality of the data",
}
