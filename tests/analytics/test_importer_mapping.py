"""The mapping language: what it says is done exactly, and every mistake is answered with line, field and remedy."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from analytics.capture.importing.command import MAPPINGS
from analytics.capture.importing.drafts import Setting
from analytics.capture.importing.groups import group_store
from analytics.capture.importing.mapping import load_mapping, parse_mapping
from analytics.capture.importing.plan import Plan, compile_plan
from analytics.capture.importing.problems import ImportProblem, RowProblem
from analytics.contracts import CapturedEvent, PersonChange, TenantInfo

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PARIS = TenantInfo(id=1, slug="acme", zone="Europe/Paris", base_currency="EUR")
LORD_HOWE = TenantInfo(id=2, slug="globex", zone="Australia/Lord_Howe", base_currency="AUD")
BASE = "version: 1\ncolumns: {id: text, at: time, n: integer, price: decimal, kind: text}\n"
EVERY = "every_row: {id: '{id}', time: '{at}'}\n"


def plan_of(text: str, tenant: TenantInfo = PARIS) -> Plan:
    setting = Setting(tenant=tenant, received_at=NOW, currency=tenant.base_currency)
    return compile_plan(parse_mapping(text, name="m.yaml"), setting)


def events_of(text: str, *rows: dict[str, Any], tenant: TenantInfo = PARIS, capacity: int = 100) -> list[Any]:
    """What rows become: events, problems, None for skipped ones."""
    plan = plan_of(text, tenant)
    table = [(line, [row.get(column) for column in plan.columns]) for line, row in enumerate(rows, 2)]
    with group_store(capacity=capacity) as groups:
        list(plan.survey(table, groups))
        return [result for _, result, _ in plan.events(table, groups)]


def one(text: str, tenant: TenantInfo = PARIS, **row: Any) -> Any:
    return events_of(text, {"id": "1", "at": "2026-03-02 09:00", **row}, tenant=tenant)[0]


@pytest.mark.parametrize(
    ("when", "kind", "fits"),
    [
        ("{kind: gift}", "gift", True), ("{kind: gift}", "Gift", False), ("{kind: [a, b]}", "b", True),
        ("{kind: {starts_with: [A, C]}}", "C536", True), ("{kind: {starts_with: A}}", None, False),
        ("{kind: {not_starts_with: A}}", "B", True), ("{kind: {ends_with: .gz}}", "x.gz", True),
        ("{kind: {contains: ift}}", "gift", True), ("{kind: {not: gift}}", "gift", False),
        ("{kind: {not_in: [a, b]}}", "c", True), ("{kind: {is_empty: true}}", "", True),
        ("{kind: {is_empty: false}}", "x", True), ("{kind: null}", "", True), ("{kind: no}", "no", True),
        ("{kind: {starts_with: g, ends_with: t}}", "gift", True),
        ("{kind: {starts_with: g, ends_with: x}}", "gift", False),
    ],
)  # fmt: skip
def test_conditions_on_text(when: str, kind: str | None, fits: bool) -> None:
    text = f"{BASE}{EVERY}rows: [{{event: hit, when: {when}}}, {{event: miss}}]"
    assert one(text, kind=kind).name == ("hit" if fits else "miss")


@pytest.mark.parametrize(
    ("when", "price", "fits"),
    [
        ("{price: 0}", "0.00", True), ("{price: 0}", "0.001", False), ("{price: {above: 1.5}}", "1.50", False),
        ("{price: {above: 1.5}}", "1.51", True), ("{price: {below: 0}}", "-0.01", True),
        ("{price: {below: 0}}", "", False),
        ("{price: ['1.0', 2]}", "2.00", True), ("{price: {equals: 1e1}}", "10", True),
    ],
)  # fmt: skip
def test_conditions_on_numbers_compare_values_not_words(when: str, price: str, fits: bool) -> None:
    text = f"{BASE}{EVERY}rows: [{{event: hit, when: {when}}}, {{event: miss}}]"
    assert one(text, price=price).name == ("hit" if fits else "miss")


@pytest.mark.parametrize(
    ("n", "price", "minor"),
    [("3", "2.335", 701), ("-1", "0.005", -1), ("1", "0.005", 1), ("1", "0.0049999", 0), ("80995", "2.08", 16846960)],
)
def test_quantity_times_price_is_exact_and_rounded_half_up_once(n: str, price: str, minor: int) -> None:
    worth = "{product_of: ['{n}', '{price}']}"
    text = f"{BASE}every_row: {{id: '{{id}}', time: '{{at}}', amount: {worth}}}\nrows: [{{event: sold}}]"
    assert one(text, n=n, price=price).amount == minor


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ("{sum_of: ['{n}', '{price}', 1]}", 5.5),
        ("{difference_of: [10, '{price}']}", 8.5),
        ("{quotient_of: ['{n}', '{price}']}", 2.0),
        ("{quotient_of: ['{price}', 9]}", 0.166667),
        ("{quotient_of: ['{n}', 0]}", None),
        ("{quotient_of: ['{n}', 0, 2]}", None),
        ("'{n}'", 3.0),
        ("2.25", 2.25),
    ],
)
def test_arithmetic(spec: str, value: float | None) -> None:
    text = f"{BASE}every_row: {{id: '{{id}}', time: '{{at}}', value: {spec}}}\nrows: [{{event: sold}}]"
    assert one(text, n="3", price="1.5").value == value


@pytest.mark.parametrize(
    ("tenant", "local", "instant"),
    [
        (PARIS, "2026-03-02 09:00", "2026-03-02T08:00"),
        (PARIS, "2026-03-29 02:30", "2026-03-29T01:30"),  # does not exist: half past three
        (PARIS, "2026-10-25 02:30", "2026-10-25T00:30"),  # exists twice: the first
        (LORD_HOWE, "2026-10-04 02:15", "2026-10-03T15:45"),  # skips half an hour: 02:15 is 02:45 +11:00
        (LORD_HOWE, "2026-04-05 01:45", "2026-04-04T14:45"),  # repeats half an hour: the first, +11:00
        (PARIS, "2026-03-02T09:00:00-05:00", "2026-03-02T14:00"),  # its own offset wins
        (PARIS, "2026-03-02", "2026-03-01T23:00"),
    ],
)
def test_a_time_without_an_offset_is_the_tenants_local_time(tenant: TenantInfo, local: str, instant: str) -> None:
    event = one(f"{BASE}{EVERY}rows: [{{event: e}}]", tenant=tenant, at=local)
    assert (event.timestamp.isoformat(timespec="minutes"), event.client_timestamp) == (f"{instant}+00:00", local)


@pytest.mark.parametrize(
    ("column", "text", "instant"),
    [
        ('{type: time, format: "%d.%m.%Y %H:%M", zone: UTC}', "02.03.2026 09:00", "2026-03-02T09:00"),
        ("{type: time, format: unix}", "1772442000", "2026-03-02T09:00"),
        ("{type: time, format: unix_ms}", "1772442000500.0", "2026-03-02T09:00"),
        ("{type: time, repeated: second}", "2026-10-25 02:30", "2026-10-25T01:30"),
    ],
)
def test_formats_of_time(column: str, text: str, instant: str) -> None:
    mapping = f"version: 1\ncolumns: {{id: text, at: {column}}}\n{EVERY}rows: [{{event: e}}]"
    assert one(mapping, at=text).timestamp.isoformat(timespec="minutes") == f"{instant}+00:00"


@pytest.mark.parametrize(
    ("row", "reason", "field"),
    [
        ({"at": "2026-13-01"}, "bad_time", "at"), ({"at": ""}, "no_time", "time"), ({"id": ""}, "no_id", "id"),
        ({"at": "1969-12-31"}, "timestamp_out_of_range", "time"),
        ({"at": "2026-12-24"}, "timestamp_out_of_range", "time"),
        ({"n": "1.5"}, "bad_number", "n"), ({"n": "NaN"}, "bad_number", "n"), ({"n": "1_000"}, "bad_number", "n"),
        ({"price": "1e131071"}, "bad_number", "price"), ({"price": "inf"}, "bad_number", "price"),
        ({"price": "9" * 29}, "amount_out_of_range", "amount"), ({"n": str(2**63)}, "bad_number", "n"),
        ({"id": "x" * 500}, "too_long", "event_id"), ({"kind": "x" * 500}, "too_long", "distinct_id"),
        ({"price": True}, "bad_number", "price"), ({"kind": "other"}, "unknown_code", "tier"),
    ],
)  # fmt: skip
def test_a_row_that_does_not_fit_says_why(row: dict[str, Any], reason: str, field: str) -> None:
    text = (
        f"{BASE}every_row: {{id: '{{id}}', time: '{{at}}', user: '{{kind}}', amount: '{{price}}', value: '{{n}}',"
        " tier: {lookup: '{kind}', table: {'': none, ann: gold, " + "x" * 500 + ": long}}}\nrows: [{event: e}]"
    )
    problem = one(text, **{"kind": "ann", **row})
    assert isinstance(problem, RowProblem)
    assert (problem.reason, problem.field) == (reason, field)
    assert problem.remedy


def test_a_time_up_to_a_day_ahead_is_kept_or_clamped_as_at_every_door() -> None:
    text = f"{BASE}{EVERY}rows: [{{event: e}}]"
    soon, later = one(text, at="2026-11-21T12:04:00Z"), one(text, at="2026-11-21T20:00:00Z")
    assert (soon.timestamp.minute, soon.is_clamped) == (4, False)
    assert (later.timestamp, later.is_clamped, later.client_timestamp) == (NOW, True, "2026-11-21T20:00:00Z")


def test_an_id_with_an_empty_part_is_no_id() -> None:
    problem = one(f"{BASE}every_row: {{id: 'order:{{id}}', time: '{{at}}'}}\nrows: [{{event: e}}]", id="")
    assert problem.reason == "no_id"


def test_rules_are_tried_in_order_and_inherit_what_they_do_not_say() -> None:
    text = (
        f"{BASE}every_row: {{id: '{{id}}', time: '{{at}}', country: FR, object_type: thing,"
        " properties: {a: 1, b: '{n}'}, traits: {level: '{n}'}, user: u}\n"
        "rows:\n- {skip: true, when: {kind: x}}\n"
        "- {event: first, when: {kind: y}, set: {country: null, properties: {a: 2}}}\n"
        "- {event: '{kind}', set: {bot: robot, internal: true}}\n"
    )
    assert one(text, kind="x") is None
    first, second = one(text, kind="y", n="3"), one(text, kind="made_up", n="3")
    assert (first.name, first.country, first.object_type, first.properties) == (
        "first",
        None,
        "thing",
        {"a": 2, "b": 3},
    )
    assert (second.name, second.country, second.is_bot, second.bot_reason, second.is_internal) == (
        "made_up", "FR", True, "robot", True,
    )  # fmt: skip
    assert second.person == PersonChange(set={"level": 3})


ORDERS = (
    "version: 1\ncolumns: {order: text, at: time, price: decimal, who: text, tip: decimal}\ngroup: '{order}'\n"
    "every_row: {id: '{order}:{ordinal}', parent: '{order}', time: '{at}', amount: '{price}'}\n"
    "rows: [{event: line_sold, when: {price: {not: 0}}}, {event: gift_added}]\n"
    "parents:\n- event: order_completed\n  lines: [line_sold]\n"
    "  set: {id: '{order}', time: '{at}', amount: {sum: '{price}'}, user: {first: '{who}'}, tier: {last: '{who}'},"
    " value: {maximum: '{price}'}, duration_ms: {count: lines}}\n"
)


def order_line(order: str, price: str, who: str = "", minute: int = 0) -> dict[str, Any]:
    return {"order": order, "at": f"2026-03-02 09:{minute:02}", "price": price, "who": who}


@pytest.mark.parametrize("capacity", [1, 2, 100])
def test_a_parent_sums_up_its_group_wherever_its_lines_lie_and_however_little_memory_there_is(capacity: int) -> None:
    rows = [
        order_line("a", "0", minute=1), order_line("b", "0"), order_line("a", "0.004", minute=2),
        order_line("c", "5", "cy"),
        order_line("a", "0.004", "ann", minute=3), order_line("a", "0.007", "abe"),
    ]  # fmt: skip
    found = events_of(ORDERS, *rows, capacity=capacity)
    assert [(event.event_id, event.parent_id) for event in found] == [
        ("a:1", "a"), ("b:1", None), ("a:2", "a"), ("c:1", "c"), ("c", None), ("a:3", "a"), ("a:4", "a"), ("a", None),
    ]  # fmt: skip
    order = found[-1]
    assert isinstance(order, CapturedEvent)
    # 0.004 + 0.004 + 0.007 = 0.015 is 2 cents; rounding each line first would have made 1.
    assert (order.amount, order.currency, order.distinct_id, order.tier, order.value, order.duration_ms) == (
        2, "EUR", "ann", "abe", 0.007, 3.0,
    )  # fmt: skip
    assert order.client_timestamp == "2026-03-02 09:01"


def test_a_refused_line_keeps_its_ordinal_and_holds_its_parent_back() -> None:
    found = events_of(ORDERS, order_line("a", "1"), order_line("a", "?"), order_line("a", "2"), order_line("b", "1"))
    names = [item.reason if isinstance(item, RowProblem) else item.event_id for item in found]
    assert names == ["a:1", "bad_number", "a:3", "incomplete_group", "b:1", "b"]


def test_the_same_row_gives_the_same_hash_whenever_it_is_imported() -> None:
    text = f"{BASE}every_row: {{id: '{{id}}', time: '{{at}}', amount: '{{price}}'}}\nrows: [{{event: e}}]"
    later = Setting(tenant=PARIS, received_at=NOW.replace(year=2027), currency="EUR")
    again = compile_plan(parse_mapping(text, name="m"), later).event_of([
        *[read(value) for read, value in zip(plan_of(text).cells, ("1", "2026-03-02 09:00", "1.0"), strict=True)], 0, 0,
    ])  # fmt: skip
    first, other = one(text, price="1.00"), one(text, price="1.01")
    assert again is not None
    assert first.payload_hash == again.payload_hash != other.payload_hash


MISTAKES = [
    ("", 1, "", "version: 1"),
    ("rows: [", 1, "", "check indentation"),
    ("version: 1\nrows: []\nrows: []", 3, "rows", "keep one"),
    ("version: 1\nrows: []", 2, "rows", "one event at least"),
    ("version: 3\nrows: []", 1, "version", "write one of: 1"),
    ("version: 1\nrow: []", 2, "row", 'use "rows"'),
    ("version: 1\nrows:\n- evnt: x", 3, "rows.0.evnt", 'use "event"'),
    ("version: 1\na: &x 1\nrows: *x", 3, "", "write it out"),
    (f"{BASE}rows: [{{event: e, set: {{id: '{{id}}', tme: '{{at}}'}}}}]", 3, "rows.0.set.tme", 'use "time"'),
    (f"{BASE}rows: [{{event: e, set: {{id: '{{id}}'}}}}]", 3, "rows.0.set", "set time here"),
    (f"{BASE}{EVERY}rows: [{{event: e, skip: true}}]", 4, "rows.0", "or skip: true"),
    (f"{BASE}{EVERY}rows: [{{event: e, when: {{knd: a}}}}]", 4, "rows.0.when.knd", 'use "kind"'),
    (f"{BASE}{EVERY}rows: [{{event: e, when: {{kind: {{strts_with: a}}}}}}]", 4, "rows.0.when.kind",
     'use "starts_with"'),
    (f"{BASE}{EVERY}rows: [{{event: e, when: {{price: abc}}}}]", 4, "rows.0.when.price", "write a number"),
    (f"{BASE}{EVERY}rows: [{{event: e, set: {{amount: '{{kind}}'}}}}]", 4, "rows.0.set.amount", "declare it"),
    (f"{BASE}{EVERY}rows: [{{event: e, set: {{amount: {{product: [1, 2]}}}}}}]", 4, "rows.0.set.amount",
     'use "product_of"'),
    (f"{BASE}{EVERY}rows: [{{event: e, set: {{amount: {{sum: 1}}}}}}]", 4, "rows.0.set.amount", "only parents"),
    (f"{BASE}{EVERY}rows: [{{event: e, set: {{time: '{{kind}}'}}}}]", 4, "rows.0.set.time", "declare it"),
    (f"{BASE}{EVERY}rows: [{{event: e, set: {{time: soon}}}}]", 4, "rows.0.set.time", "write \"{Column}\" or a time"),
    (f"{BASE}{EVERY}rows: [{{event: e, set: {{bot: 5}}}}]", 4, "rows.0.set.bot", "true or false"),
    (f"{BASE}{EVERY}rows: [{{event: e, set: {{session: '{{ordinal}}'}}}}]", 1, "group", "write group"),
    (f"version: 1\nzone: Europe/Parris\n{BASE[11:]}{EVERY}rows: [{{event: e}}]", 2, "zone", "IANA name"),
    ("version: 1\ncolumns: {a: number}\nrows: [{event: e}]", 2, "columns.a", "known are: decimal"),
    (ORDERS.replace("[line_sold]", "[line_sld]"), 8, "parents.0.lines", 'use "line_sold"'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "field", "remedy"), MISTAKES, ids=[mistake[0][-40:] for mistake in MISTAKES])
def test_a_mistake_in_a_mapping_is_answered_with_line_field_and_remedy(
    text: str, line: int, field: str, remedy: str
) -> None:
    with pytest.raises(ImportProblem) as caught:
        plan_of(text)
    problem = caught.value
    assert (problem.line, problem.field or "") == (line, field), str(problem)
    assert remedy in problem.remedy, str(problem)


def test_a_mapping_cannot_run_code_or_grow() -> None:
    with pytest.raises(ImportProblem):
        plan_of("version: 1\nrows: !!python/object/apply:os.system ['true']")
    for number in ("0x" + "f" * 5_000, "-" + "9" * 5_000, "1" + ":59" * 30_000):
        with pytest.raises(ImportProblem, match="too large a number"):
            plan_of(f"version: {number}\nrows: []")
    with pytest.raises(ImportProblem, match="nested too deep"):
        plan_of("version: 1\nrows: " + "[" * 50 + "]" * 50)
    with pytest.raises(ImportProblem):
        plan_of("version: 1\nrows: " + "[" * 20_000)


@pytest.mark.parametrize("path", sorted(MAPPINGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_mapping_of_the_project_is_sound(path: Path) -> None:
    loaded = load_mapping(path)
    setting = Setting(tenant=PARIS, received_at=NOW, currency="EUR")
    assert compile_plan(loaded, setting).columns
    assert loaded.mapping.about


def test_the_example_in_the_readme_does_what_it_says() -> None:
    readme = (MAPPINGS.parent / "README.md").read_text(encoding="utf-8")
    example = next(block for block in readme.split("```yaml\n")[1:] if "parents:" in block).split("```")[0]
    line = {"order": "7", "at": "02.03.2026 09:00", "pieces": "2", "price": "1.234,50"}
    found = events_of(example, line, {**line, "pieces": "0"}, {**line, "price": "-1"})
    assert [item and (item.event_id, item.name, item.amount) for item in found] == [
        ("order:7:1", "item_purchased", 246900),
        None,
        ("order:7:3", "item_returned", -200),
        ("order:7", "order_completed", 246900),
    ]
