"""Sixty ways to spoil one event, as JSON text. Each comes with the reason it is refused for."""

from __future__ import annotations

ID = "5c0f9a4e-6d55-4a3e-9a55-0123456789ab"


def event(properties: str = "{}", **members: str) -> str:
    """The JSON text of an event, its members given as JSON text."""
    told = {
        "uuid": f'"{ID}"',
        "event": '"page_view"',
        "distinct_id": '"poisoner"',
        "timestamp": '"2026-11-20T10:00:00Z"',
        "properties": properties,
        **members,
    }
    return "{" + ",".join(f'"{name}":{value}' for name, value in told.items() if value) + "}"


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e131071", "1E+999", "1" + "0" * 400 + ".5",
           "9223372036854775808", "-9223372036854775809", "18446744073709551616",
           "9" * 50, "9" * 5_000, "-" + "9" * 5_000]  # fmt: skip
SPOILED_NUMBERS = [
    *[(event(f'{{"n":{number}}}'), "bad_number") for number in NUMBERS],
    (event('{"list":[1,[2,NaN]]}'), "bad_number"),
    (event('{"deep":{"er":{"n":1e400}}}'), "bad_number"),
    (event('{"amount":NaN,"currency":"EUR"}'), "bad_number"),
    (event('{"value":Infinity}'), "bad_number"),
    (event(**{"$set": '{"age":NaN}'}), "bad_number"),
    (event('{"$set":{"age":99999999999999999999}}'), "bad_number"),
    (event('{"$set_once":{"n":[1e999]}}'), "bad_number"),
]
SPOILED_SHAPES = [
    (event(f'{{"deep":{nested(33)}}}'), "too_deep"),
    (event(f'{{"deep":{nested(200)}}}'), "too_deep"),
    (event(f'{{"deep":{nested(990)}}}'), "too_deep"),
    (event(f'{{"deep":{nested(5_000)}}}'), "too_deep"),
    (event(f'{{"deep":{nested(100_000)}}}'), "too_deep"),
    (event('{"deep":' + '{"a":' * 100 + "1" + "}" * 100 + "}"), "too_deep"),
    (event('{"deep":' + '{"a":' * 20_000 + "1" + "}" * 20_000 + "}"), "too_deep"),
    (event('{"$set":{"deep":' + nested(50) + "}}"), "too_deep"),
    (event("{" + ",".join(f'"k{n}":1' for n in range(1_001)) + "}"), "too_many_properties"),
    (event('{"inner":{' + ",".join(f'"k{n}":1' for n in range(1_001)) + "}}"), "too_many_properties"),
    (event('{"' + "k" * 201 + '":1}'), "key_too_long"),
    (event('{"inner":{"' + "k" * 201 + '":1}}'), "key_too_long"),
    (event('{"$set":{"' + "k" * 300 + '":1}}'), "key_too_long"),
    (event("[1,2]"), "properties_not_object"),
    (event('"text"'), "properties_not_object"),
    (event("17"), "properties_not_object"),
    (event("true"), "properties_not_object"),
]
SPOILED_NAMES = [
    (event(event=""), "no_event_name"),
    (event(event="null"), "no_event_name"),
    (event(event='""'), "no_event_name"),
    (event(event="42"), "no_event_name"),
    (event(event='{"a":1}'), "no_event_name"),
    (event(event='"' + "n" * 201 + '"'), "name_too_long"),
    (event(distinct_id='"' + "d" * 401 + '"'), "distinct_id_too_long"),
    (event(distinct_id="[" + ",".join(["1"] * 300) + "]"), "distinct_id_too_long"),
    (event('{"distinct_id":"' + "d" * 500 + '"}', distinct_id=""), "distinct_id_too_long"),
]
SPOILED_TIMES = [
    (event(timestamp='"1969-12-31T23:59:59Z"'), "timestamp_out_of_range"),
    (event(timestamp='"0001-01-01T00:00:00Z"'), "timestamp_out_of_range"),
    (event(timestamp='"2106-01-01T00:00:00Z"'), "timestamp_out_of_range"),
    (event(timestamp='"9999-12-31T23:59:59Z"'), "timestamp_out_of_range"),
    (event(timestamp="4102444800"), "timestamp_out_of_range"),
    (event(timestamp="", offset="1e300"), "timestamp_out_of_range"),
    (event(timestamp="", offset="-999999999999"), "timestamp_out_of_range"),
]
SPOILED_MONEY = [
    (event('{"amount":1,"currency":"ZZZ"}'), "unknown_currency"),
    (event('{"amount":1,"currency":"euros"}'), "unknown_currency"),
    (event('{"revenue":1,"currency":7}'), "unknown_currency"),
    (event('{"amount":"a lot","currency":"EUR"}'), "unreadable_amount"),
    (event('{"amount":[1],"currency":"EUR"}'), "unreadable_amount"),
    (event('{"amount":1e300,"currency":"EUR"}'), "amount_out_of_range"),
]
POISON = [*SPOILED_NUMBERS, *SPOILED_SHAPES, *SPOILED_NAMES, *SPOILED_TIMES, *SPOILED_MONEY]
assert len(POISON) == 60, len(POISON)
