"""Every answer that holds numbers says where they come from and how far they can be trusted (S41), or says why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from analytics.access.selectors import places_of_user
from analytics.access.services import membership_set
from analytics.access.tokens import TokenPair
from analytics.lake.sealing import seal_tenant
from analytics.lake.services import lake_mark
from analytics.models import Tenant
from analytics.tenancy import tenant_context
from insights.customers.services import snapshot_take
from kpis.goals.models import Goal
from tests.api import Caller
from tests.architecture.test_api_schema import operations, schema
from tests.kpis.story import Story

PARTS: Final = frozenset(
    ("timezone", "from", "to", "filters", "include", "definition_version", "data_through", "is_complete", "computed_at",
     "executor")
)  # fmt: skip

SET = "what somebody set or said, as it is kept"
ROWS = "rows as they are kept; nothing is worked out of them"
WORK = "how far a job is; what it found is the answer of a route of its own"
DONE = "what the call did"
MACHINE = "how the machine is at this moment"
BOOKS = "the books themselves: they are written with what they count, so nothing of it can still come"
RESULTS = "results, each of which carries its own"
MOMENT = "a set of people as it was kept, with its moment `as_of`; the question it was found by is beside it"

NO_RESULTS: Final = {
    "annotations_list": ROWS,
    "audit_list": ROWS,
    "board_links_create": SET,
    "board_links_list": SET,
    "boards_change": SET,
    "boards_copy": SET,
    "boards_create": SET,
    "boards_list": SET,
    "boards_read": SET,
    "cache_read": MACHINE,
    "calendar_change": SET,
    "calendar_read": SET,
    "check_ins_add": SET,
    "check_ins_list": SET,
    "costs_import": DONE,
    "costs_list": ROWS,
    "customers_segment_table": SET,
    "customers_segment_table_set": SET,
    "definitions_change": SET,
    "definitions_create": SET,
    "definitions_list": SET,
    "definitions_read": SET,
    "events_list": ROWS,
    "events_read": ROWS,
    "events_send": DONE,
    "explore_people": "people behind a place of an answer that carries its own",
    "goals_list": RESULTS,
    "identities_merge": DONE,
    "identities_read": ROWS,
    "identities_unmerge": DONE,
    "jobs_cancel": WORK,
    "jobs_list": WORK,
    "jobs_read": WORK,
    "jobs_start": WORK,
    "keys_list": SET,
    "kpis_export": "the series as a file, with its stamp at its end",
    "kpis_read": "what a metric is; its value is in `series/`",
    "mapping_change": DONE,
    "mapping_read": SET,
    "members_list": ROWS,
    "objectives_change": RESULTS,
    "objectives_create": RESULTS,
    "objectives_list": "what its goals come to, by their ids; each of those carries its own",
    "objectives_read": RESULTS,
    "outcomes_read": BOOKS,
    "quality_read": "how far other numbers can be trusted, as of one moment; each finding has a rule of its own",
    "quarantine_discard": DONE,
    "quarantine_replay": DONE,
    "rates_import": DONE,
    "rates_list": ROWS,
    "retention_change": SET,
    "retention_read": SET,
    "segments_create": MOMENT,
    "segments_list": MOMENT,
    "segments_overlap": "two kept sets against each other, each of a moment of its own, which `segments/{id}/` tells",
    "segments_people": MOMENT,
    "segments_read": MOMENT,
    "segments_refresh": MOMENT,
    "subjects_erase": DONE,
    "tenant_read": SET,
    "thresholds_change": SET,
    "thresholds_read": SET,
    "users_timeline": ROWS,
}


def answers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Of each operation, the schema of what it answers. 202 is a job, whose answer comes later."""
    for _, _, told in operations():
        for status in ("200", "201"):
            content = told["responses"].get(status, {}).get("content", {}).get("application/json")
            if content is not None:
                yield told["operationId"], content["schema"]


def whole(kind: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in kind:
        kind = schema()["components"]["schemas"][kind["$ref"].rpartition("/")[2]]
    return kind


def properties_of(kind: dict[str, Any]) -> set[str]:
    found = whole(kind)
    return set(found.get("properties", {})).union(*(properties_of(part) for part in found.get("allOf", ())))


def may_hold_numbers(kind: dict[str, Any], within: frozenset[str] = frozenset()) -> bool:
    """Whether a number is declared anywhere in it, or something whose kind is not."""
    if (name := kind.get("$ref", "")) in within:
        return False
    found = whole(kind)
    parts = [
        *found.get("properties", {}).values(),
        *(part for several in ("allOf", "oneOf", "anyOf") for part in found.get(several, ())),
        *([found["items"]] if "items" in found else ()),
        *([found["additionalProperties"]] if isinstance(found.get("additionalProperties"), dict) else ()),
    ]
    kinds = found.get("type", ())
    is_number = bool({"number", "integer"} & ({kinds} if isinstance(kinds, str) else set(kinds)))
    is_anything = not kinds and not parts and "enum" not in found and "const" not in found
    return (
        is_number or is_anything or any(may_hold_numbers(part, within | ({name} if name else set())) for part in parts)
    )


def stamped() -> set[str]:
    return {name for name, kind in answers() if properties_of(kind) >= PARTS}


def test_every_answer_with_numbers_carries_the_whole_stamp_or_is_no_result() -> None:
    with_numbers = {name for name, kind in answers() if may_hold_numbers(kind)}

    assert with_numbers - stamped() == set(NO_RESULTS)
    assert all(NO_RESULTS.values())


# --- As they are answered ---------------------------------------------------------------------------------------------

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MARCH = datetime(2026, 3, 2, 11, tzinfo=UTC)
NOW = datetime(2026, 4, 20, 12, tzinfo=UTC)
OVER = {"from": "2026-03-09", "to": "2026-03-16"}
OPEN = {"from": "2026-04-06", "to": "2026-05-04"}
ORDERS = {"metrics": ["orders.count"]}
STEPS = {"steps": [{"events": ["page_view"]}, {"events": ["order_completed"]}]}
PATHS = {"anchor": {"events": ["page_view"]}}

# By operation: the address, and what is asked beside the range.
OVER_A_RANGE: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "customers_movements": ("customers/movements/", {}),
    "explore_attribution": ("explore/attribution/", {}),
    "explore_funnel": ("explore/funnel/", STEPS),
    "explore_lifecycle": ("explore/lifecycle/", {}),
    "explore_paths": ("explore/paths/", PATHS),
    "kpis_calculate": ("kpis/calculate/", ORDERS),
    "kpis_contributions": ("kpis/orders.count/contributions/", {"by": "country"}),
    "kpis_explain": ("kpis/orders.count/explain/", {}),
    "kpis_ledger": ("kpis/orders.count/ledger/", {}),
    "kpis_list": ("kpis/", {"family": "orders"}),
    "kpis_overview": ("kpis/overview/", {}),
    "kpis_peak_times": ("kpis/peak-times/", {}),
    "kpis_series": ("kpis/orders.count/series/", {}),
    "payments_customers": ("payments/customers/", {}),
    "payments_failures": ("payments/failures/", {}),
    "payments_latency": ("payments/latency/", {}),
    "payments_methods": ("payments/methods/", {}),
    "payments_success_rate": ("payments/success-rate/", {}),
    "payments_summary": ("payments/", {}),
    "payments_top_resources": ("payments/top-resources/", {}),
    "performance": ("performance/", {}),
    "usage": ("usage/", {}),
    "webhooks_metrics": ("webhooks/metrics/", {}),
}
RETENTION_OVER = {"from": "2026-03-02", "unit": "week", "periods": 2}
RETENTION_OPEN = {"from": "2026-04-06", "unit": "week", "periods": 4}
POSTED = {name for name in OVER_A_RANGE if name.startswith("explore_")} | {"kpis_calculate"}


def world(tenant: Tenant) -> Caller:
    """A shop that sells to Ann in France every Monday, and its owner."""
    story = Story(tenant, currency=tenant.base_currency)
    for week in range(8):
        at = MARCH + 7 * week * DAY
        if at < NOW:
            story.add("page_view", at, "ann", country="FR", channel="google")
            story.add("order_completed", at + HOUR / 6, "ann", country="FR", amount=20_00 + week)
            story.add("payment_settled", at + HOUR / 6, "ann", country="FR", amount=20_00 + week, method="card")
    story.count(NOW)
    lake_mark(tenant_id=tenant.pk, start=MARCH - DAY, end=NOW, reason="test", now=NOW)
    seal_tenant(tenant.pk, now=NOW, workers=1)
    snapshot_take(tenant_id=tenant.pk, taken_on=date(2026, 4, 19), now=NOW)
    user = get_user_model().objects.create_user(username=f"owner-of-{tenant.slug}")
    membership_set(tenant_id=tenant.pk, user=user, role="owner")
    return Caller(TokenPair(user, places_of_user(user)[0]).access)


def goal(tenant: Tenant, first: date, end: date) -> str:
    with tenant_context(tenant.pk):
        row = Goal.objects.create(
            tenant_id=tenant.pk, name=f"Orders from {first}", metric="orders.count", target=4, first=first, end=end
        )
    return str(row.pk)


def asked(api: Caller, name: str, span: dict[str, str]) -> dict[str, Any]:
    address, more = OVER_A_RANGE[name]
    question = {**more, **span}
    return told(api.post(address, question) if name in POSTED else api.get(address, **question))


def told(answer: Any) -> dict[str, Any]:
    assert answer.status_code in (200, 201), answer.content
    body: dict[str, Any] = answer.json()
    return body


def other_answers(api: Caller, tenant: Tenant) -> dict[str, dict[str, Any]]:
    """Those whose range is not asked for, by operation; those of exploration are read from the address too."""
    march, april = (goal(tenant, date(2026, month, 1), date(2026, month + 1, 1)) for month in (3, 4))
    draft = {"name": "More", "metric": "orders.count", "target": 9, "first": "2026-03-01"}
    read = {
        f"{name}_read": told(api.get(OVER_A_RANGE[name][0], q=json.dumps({**OVER_A_RANGE[name][1], **OVER})))
        for name in OVER_A_RANGE
        if name.startswith("explore_")
    }
    return {
        **read,
        "customers_lifetime": told(api.get("customers/lifetime/")),
        "customers_payback": told(api.get("customers/payback/")),
        "customers_segments": told(api.get("customers/segments/")),
        "customers_value": told(api.get("customers/1/value/")),
        "explore_retention": told(api.post("explore/retention/", RETENTION_OVER)),
        "explore_retention_read": told(api.get("explore/retention/", q=json.dumps(RETENTION_OPEN))),
        "goals_change": told(api.send("PATCH", f"goals/{april}/", {"note": "more"})),
        "goals_create": told(api.post("goals/", draft)),
        "goals_read": told(api.get(f"goals/{march}/")),
        "kpis_realtime": told(api.get("kpis/realtime/")),
        "kpis_trends": told(api.get("kpis/trends/month/")),
    }


IS_OVER = {
    **{f"{name}_read": True for name in OVER_A_RANGE if name.startswith("explore_")},
    "customers_lifetime": False,  # the month that runs is in it
    "customers_payback": False,
    "customers_segments": True,  # as of the end of yesterday
    "customers_value": False,  # as of the end of today
    "explore_retention": True,
    "explore_retention_read": False,
    "goals_change": False,
    "goals_create": True,
    "goals_read": True,
    "kpis_realtime": True,  # it ends at this moment, and everything until then is counted
    "kpis_trends": False,
}


@pytest.fixture
def callers(
    acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> dict[Tenant, Caller]:
    """Both tenants with the same story; it is 2026-04-20, 12:00 UTC."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    settings.API_RATE_PER_MINUTE = 0
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    return {tenant: world(tenant) for tenant in (acme, globex)}


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_every_stamped_route_says_whose_days_which_range_and_whether_it_is_over(callers: dict[Tenant, Caller]) -> None:
    for tenant, api in callers.items():
        zone = {"acme": "Europe/Paris", "globex": "Asia/Kathmandu"}[tenant.slug]
        over = {name: asked(api, name, OVER) for name in OVER_A_RANGE}
        still_open = {name: asked(api, name, OPEN) for name in OVER_A_RANGE}
        others = other_answers(api, tenant)

        assert {*over, *others} == stamped()
        for several in (over, still_open, others):
            for name, answer in several.items():
                well_formed(name, answer, zone)
        assert {name: answer["is_complete"] for name, answer in over.items()} == dict.fromkeys(OVER_A_RANGE, True)
        assert {name: answer["is_complete"] for name, answer in still_open.items()} == dict.fromkeys(
            OVER_A_RANGE, False
        )
        assert {name: answer["is_complete"] for name, answer in others.items()} == IS_OVER
        assert versions(over) == versions(still_open)


def well_formed(name: str, answer: dict[str, Any], zone: str) -> None:
    """All parts are there, each of its kind."""
    assert answer["timezone"] == zone, name
    start, end, through, computed = (
        datetime.fromisoformat(answer[part]) for part in ("from", "to", "data_through", "computed_at")
    )
    assert start < end, name
    assert start.tzinfo is not None, name
    assert through <= NOW, name
    assert computed == NOW, name
    assert (answer["filters"], answer["include"]) == ([], []), name
    assert answer["is_complete"] in (True, False), name
    assert answer["definition_version"], name
    assert answer["executor"].partition("+")[0] in ("rollup", "events", "duckdb"), name


def versions(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: answer["definition_version"] for name, answer in found.items()}
