"""From a message to an event: columns, secrets, people, machines, ids."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from analytics.capture.normalise import Arrival, event_of, normalise
from analytics.contracts import CapturedEvent, GroupChange, IdentityLink, LinkKind, PersonChange, Refusal, TenantInfo
from analytics.daily_visitors import is_daily_id

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ACME = TenantInfo(id=1, slug="acme", zone="Europe/Paris", base_currency="EUR")
STRICT = TenantInfo(
    id=2,
    slug="globex",
    zone="Asia/Kathmandu",
    base_currency="NPR",
    sensitive_fields=frozenset({"membership_no", "diagnosis"}),
    internal_domains=frozenset({"globex.example"}),
)
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 "
    "Mobile/15E148 Safari/604.1"
)


def event(
    properties: dict[str, Any] | None = None,
    *,
    tenant: TenantInfo = ACME,
    agent: str = "",
    name: str = "page_view",
    user: Any = "user-1",
    **members: Any,
) -> CapturedEvent:
    message = {"event": name, "distinct_id": user, "properties": properties or {}, **members}
    result = normalise(message, tenant=tenant, received_at=NOW, agent=agent)
    assert isinstance(result, CapturedEvent), result
    return result


# --- Columns ----------------------------------------------------------------------------------------------------------


def test_the_whole_event_of_a_plain_message() -> None:
    found = event(
        {
            "$session_id": "s1",
            "utm_source": "news",
            "utm_campaign": "spring",
            "country": "fr",
            "seats": 3,
            "nothing": None,
        },
        uuid="0d2c2c9e-93a6-4a07-8d0c-5c6f52f4e6a1",
        timestamp="2026-11-21T11:00:00Z",
    )
    assert found == CapturedEvent(
        tenant_id=1,
        event_id="0d2c2c9e-93a6-4a07-8d0c-5c6f52f4e6a1",
        name="page_view",
        timestamp=datetime(2026, 11, 21, 11, tzinfo=UTC),
        received_at=NOW,
        payload_hash=found.payload_hash,
        distinct_id="user-1",
        type="page_view",
        source="api",
        session_id="s1",
        channel="news",
        campaign="spring",
        country="FR",
        properties={"seats": 3},
    )


@pytest.mark.parametrize(
    ("properties", "column", "value", "left"),
    [
        ({"country": "Channel Islands"}, "country", "Channel Islands", {}),
        ({"country": "fr", "$geoip_country_code": "DE"}, "country", "FR", {"$geoip_country_code": "DE"}),
        ({"$geoip_country_code": "de"}, "country", "DE", {}),
        ({"country_code": "us", "country": "gb"}, "country", "GB", {"country_code": "us"}),
        ({"$session_entry_utm_source": "ads"}, "channel", "ads", {}),
        ({"object_id": 17}, "object_id", "17", {}),
        ({"object_id": {"a": 1}}, "object_id", None, {"object_id": {"a": 1}}),
        ({"tier": "x" * 201}, "tier", None, {"tier": "x" * 201}),
        ({"method": ""}, "method", None, {"method": ""}),
        ({"payment_method": "card", "method": "iban"}, "method", "iban", {"payment_method": "card"}),
        ({"duration": 1.5}, "duration_ms", 1500.0, {}),
        ({"duration_ms": 20, "duration": 9}, "duration_ms", 20.0, {"duration": 9}),
        ({"duration": "long"}, "duration_ms", None, {"duration": "long"}),
        ({"value": "17.5"}, "value", 17.5, {}),
        ({"sentiment": -0.4}, "sentiment", -0.4, {}),
        ({"sentiment": 7}, "sentiment", None, {"sentiment": 7.0}),
        ({"engagement_level": "high"}, "engagement", "high", {}),
    ],
)
def test_promoted_column(properties: dict[str, Any], column: str, value: Any, left: dict[str, Any]) -> None:
    found = event(properties)
    assert (getattr(found, column), found.properties) == (value, left)


def test_noise_of_sdks_and_ids_of_people_are_not_stored() -> None:
    found = event(
        {
            "$sdk_debug_x": 1,
            "$lib_rate_limit_remaining_tokens": 9,
            "$config_defaults": "2026",
            "token": "pk_x",
            "$user_id": "user-1",
            "$device_id": "device-1",
            "distinct_id": "user-1",
            "$ip": "203.0.113.7",
            "$raw_user_agent": CHROME,
            "$lib": "web",
            "seen": True,
        }
    )
    assert found.properties == {
        "$lib": "web",
        "seen": True,
        "$browser": "Chrome",
        "$os": "Linux",
        "$device_type": "Desktop",
    }
    assert found.sensitive == {}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("$pageview", "page_view"),
        ("$identify", "identity"),
        ("payment_settled", "payment"),
        ("order_completed", "payment"),
        ("Order Completed", "payment"),
        ("Order Refunded", "payment"),
        ("subscription.renewed", "payment"),
        ("Product Viewed", "user_action"),
        ("reorder_clicked", "user_action"),
        ("webhook_failed", "system"),
        ("anything", "user_action"),
        ("data_point", "metric"),
    ],
)
def test_type_follows_from_the_name_unless_it_is_said(name: str, kind: str) -> None:
    assert event(name=name).type == kind
    assert event(name=name, type="api_call").type == "api_call"


# --- Secrets ----------------------------------------------------------------------------------------------------------


def test_sensitive_properties_leave_the_properties() -> None:
    found = event(
        {
            "email": "a@example.org",
            "firstName": "Ann",
            "card_number": "4111",
            "Phone Number": "+33 1",
            "shipping_address": {"street": "Rue 1"},
            "note": "write to ann@example.org",
            "$current_url": "https://shop.example/?mail=ann%40example.org",
            "customer": {"id": 7, "e-mail": "a@example.org"},
            "list": ["x", {"iban": "FR76"}],
            "name": "Home",
            "plan": "pro",
            "price@home": "5 @ 3 EUR",
        }
    )
    assert found.properties == {"name": "Home", "plan": "pro", "price@home": "5 @ 3 EUR"}
    assert set(found.sensitive) == {
        "email", "firstName", "card_number", "Phone Number", "shipping_address", "note", "$current_url", "customer",
        "list",
    }  # fmt: skip
    assert b"ann" not in msgspec.json.encode(found.properties).lower()


def test_an_e_mail_address_becomes_no_column_unless_it_is_the_id_of_something() -> None:
    found = event({"reason": "refused by ann@example.org", "campaign": "spring", "object_id": "ann@example.org"})
    assert (found.reason, found.campaign, found.object_id) == (None, "spring", "ann@example.org")
    assert (found.sensitive, found.properties) == ({"reason": "refused by ann@example.org"}, {})


def test_a_tenant_declares_its_own_secrets() -> None:
    properties = {"diagnosis": "flu", "Membership-No": "17", "nested": {"diagnosis": "flu"}, "plan": "pro"}
    assert event(dict(properties)).sensitive == {}
    assert event(dict(properties), tenant=STRICT).sensitive == {
        "diagnosis": "flu",
        "Membership-No": "17",
        "nested": {"diagnosis": "flu"},
    }
    assert event(dict(properties), tenant=STRICT).properties == {"plan": "pro"}


SAID_AT_THE_TOP: dict[str, Any] = {"$set": {"plan": "pro"}, "$unset": ["old"]}


# --- People -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"distinct_id": "a"}, "a"),
        ({"$distinct_id": "b"}, "b"),
        ({"properties": {"distinct_id": "c"}}, "c"),
        ({"distinct_id": "", "properties": {"distinct_id": "c"}}, "c"),
        ({"distinct_id": 42}, "42"),
        ({"distinct_id": 4.5}, "4.5"),
        ({"distinct_id": ["a", 1]}, '["a",1]'),
        ({"distinct_id": "x" * 400}, "x" * 400),
        ({}, None),
    ],
)
def test_distinct_id(message: dict[str, Any], expected: str | None) -> None:
    result = normalise({"event": "page_view", **message}, tenant=ACME, received_at=NOW)
    assert isinstance(result, CapturedEvent)
    assert result.distinct_id == expected


def test_identify_links_the_anonymous_id_and_sets_traits() -> None:
    found = event(
        {"$anon_distinct_id": "visitor-1", "$set": {"plan": "free", "age": 9}, "$set_once": {"first": 1, "gone": None}},
        name="$identify",
        **SAID_AT_THE_TOP,
    )
    assert found.links == (IdentityLink(LinkKind.IDENTIFY, "visitor-1"),)
    assert found.identifies
    assert found.person == PersonChange(set={"plan": "pro", "age": 9}, set_once={"first": 1}, unset=("old",))


@pytest.mark.parametrize(("name", "kind"), [("$create_alias", LinkKind.ALIAS), ("$merge_dangerously", LinkKind.MERGE)])
def test_alias_and_merge_link(name: str, kind: LinkKind) -> None:
    found = event({"alias": "other"}, name=name)
    assert (found.links, found.identifies) == ((IdentityLink(kind, "other"),), True)


@pytest.mark.parametrize(
    "illegal",
    ["", "anonymous", "Guest", "distinct_id", "undefined", "null", "NULL", '"null"', "0", "[object Object]", "nan",
     " none ", "00000000-0000-0000-0000-000000000000", None, {}, []],
)  # fmt: skip
def test_illegal_ids_never_merge(illegal: Any) -> None:
    assert event({"$anon_distinct_id": illegal}, name="$identify").links == ()
    if isinstance(illegal, str) and illegal:
        found = event({"$anon_distinct_id": "visitor"}, name="$identify", user=illegal)
        assert (found.links, found.identifies) == ((), False)


def test_an_alias_of_itself_links_nothing() -> None:
    assert event({"alias": "user-1"}, name="$create_alias").links == ()


def test_no_profile_when_the_client_wants_none_and_never_from_exceptions() -> None:
    assert event({"$process_person_profile": False, "$set": {"a": 1}}).person is None
    assert event({"$set": {"a": 1}}, name="$exception").person is None
    assert event({"$set": {"a": 1}}).person == PersonChange(set={"a": 1})


def test_group() -> None:
    found = event({"$group_type": "company", "$group_key": 7, "$group_set": {"seats": 3}}, name="$groupidentify")
    assert found.group == GroupChange("company", "7", {"seats": 3})
    assert found.person is None
    assert event({"$group_type": "company"}, name="$groupidentify").group is None


def test_cookieless_visitors_are_one_for_a_day_and_nobody_after() -> None:
    def visitor(day: int, address: str) -> str | None:
        arrival = Arrival(
            tenant=ACME,
            received_at=datetime(2026, 11, day, 12, tzinfo=UTC),
            agent=CHROME,
            address=address,
            secret=b"s",
            is_clean=True,
        )
        found = event_of({"event": "$pageview", "distinct_id": "$posthog_cookieless"}, arrival)
        assert isinstance(found, CapturedEvent)
        return found.distinct_id

    one = visitor(21, "203.0.113.7")
    assert one == visitor(21, "203.0.113.7") != visitor(22, "203.0.113.7")
    assert one != visitor(21, "203.0.113.8")
    assert one is not None
    assert one.startswith("cookieless_")
    assert is_daily_id(one)


def test_a_claim_of_a_visitor_without_a_cookie_is_of_their_id_of_that_day() -> None:
    """Else all of them would be one: the first who signs in would take the others in."""

    def sent(name: str, who: str, **properties: Any) -> CapturedEvent:
        arrival = Arrival(tenant=ACME, received_at=NOW, agent=CHROME, address="203.0.113.7", secret=b"s", is_clean=True)
        found = event_of({"event": name, "distinct_id": who, "properties": properties}, arrival)
        assert isinstance(found, CapturedEvent)
        return found

    today = sent("$pageview", "$posthog_cookieless").distinct_id
    assert today is not None
    signed_in = sent("$identify", "ann", **{"$anon_distinct_id": "$posthog_cookieless"})
    assert (signed_in.links, signed_in.identifies) == ((IdentityLink(LinkKind.IDENTIFY, today),), True)
    alias = sent("$create_alias", "ann", alias="$posthog_cookieless")
    assert alias.links == (IdentityLink(LinkKind.ALIAS, today),)
    nobody = sent("$identify", "$posthog_cookieless")
    assert (nobody.distinct_id, nobody.links, nobody.identifies) == (today, (), False)


@pytest.mark.parametrize(
    ("message", "is_internal"),
    [
        ({"properties": {"$internal": True}}, True),
        ({"properties": {"email": "ann@Globex.example"}}, True),
        ({"distinct_id": "ann@globex.example"}, True),
        ({"$set": {"email": "ann@globex.example"}}, True),
        ({"properties": {"email": "ann@example.org"}}, False),
        ({"properties": {"email": "ann@notglobex.example"}}, False),
        ({}, False),
    ],
)
def test_internal_users(message: dict[str, Any], is_internal: bool) -> None:
    result = normalise({"event": "page_view", "distinct_id": "u", **message}, tenant=STRICT, received_at=NOW)
    assert isinstance(result, CapturedEvent)
    assert result.is_internal is is_internal


# --- Machines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        (CHROME, None),
        (IPHONE, None),
        ("", None),
        ("posthog-python/7.91.1", None),
        ("python-requests/2.34", None),
        ("curl/8.5.0", None),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "crawler"),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "crawler"),
        ("facebookexternalhit/1.1", "crawler"),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/156.0.0.0 Safari/537.36",
            "headless_browser",
        ),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            "ai_agent",
        ),
        ("Mozilla/5.0 (compatible; ClaudeBot/1.0; +claudebot@anthropic.com)", "ai_agent"),
        ("Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)", "monitor"),
    ],
)
def test_bots_are_flagged_with_a_reason_and_kept(agent: str, reason: str | None) -> None:
    found = event({"x": 1}, agent=agent)
    assert (found.is_bot, found.bot_reason) == (reason is not None, reason)


@pytest.mark.parametrize(
    ("properties", "agent", "platform"),
    [
        ({"$lib": "web"}, "", "web"),
        ({"$lib": "posthog-python"}, "posthog-python/7", "server"),
        ({"$lib": "analytics-python"}, "", "server"),
        ({"$lib": "posthog-ios"}, "", "ios"),
        ({"$lib": "posthog-react-native", "$os_name": "Android"}, "", "android"),
        ({"platform": "kiosk", "$lib": "web"}, CHROME, "kiosk"),
        ({}, CHROME, "web"),
        ({}, "python-requests/2.34", "server"),
        ({}, "", None),
    ],
)
def test_platform(properties: dict[str, Any], agent: str, platform: str | None) -> None:
    assert event(properties, agent=agent).platform == platform


def test_a_user_agent_of_80_kilobytes_costs_nothing() -> None:
    assert event(agent="Mozilla/5.0 " + "(" * 80_000).platform == "web"


# --- Ids and hashes ---------------------------------------------------------------------------------------------------


def test_the_id_is_the_clients_else_made_of_the_content() -> None:
    assert event(uuid="abc").event_id == "abc"
    assert event({"$insert_id": "xyz"}).event_id == "xyz"
    assert event(uuid=7).event_id == "7"
    made = event(timestamp="2026-11-21T10:00:00Z").event_id
    assert UUID(made)
    assert made == event(timestamp="2026-11-21T10:00:00Z").event_id
    assert made != event(timestamp="2026-11-21T10:00:01Z").event_id
    assert made != event(timestamp="2026-11-21T10:00:00Z", user="user-2").event_id
    assert event(uuid=str(UUID(int=0)), timestamp="2026-11-21T10:00:00Z").event_id == made
    assert len(event(uuid="x" * 500).event_id) == 32


def test_without_id_and_any_time_every_message_is_new() -> None:
    assert event().event_id != event().event_id


def test_equal_messages_of_one_request_stay_apart_and_a_retry_gives_the_same_ids() -> None:
    def sent() -> list[str]:
        arrival = Arrival(tenant=ACME, received_at=NOW, is_clean=True, seen={})
        message = {"event": "page_view", "distinct_id": "u", "timestamp": "2026-11-21"}
        return [each.event_id or "" for each in [event_of(dict(message), arrival) for _ in range(3)]]

    first = sent()
    assert len(set(first)) == 3
    assert sent() == first


def test_the_hash_tells_another_event_from_the_same_in_another_order() -> None:
    one = event({"a": 1, "b": {"c": 2, "d": 3}}, uuid="x")
    assert one.payload_hash == event({"b": {"d": 3, "c": 2}, "a": 1}, uuid="x").payload_hash
    others = [
        event({"a": 2}, uuid="x"),
        event({"a": 1}, uuid="x", user="else"),
        event({"a": 1}, uuid="x", name="other"),
    ]
    assert len({one.payload_hash, *(each.payload_hash for each in others)}) == 4
    assert -(2**63) <= one.payload_hash < 2**63


# --- Values of Python -------------------------------------------------------------------------------------------------


def test_python_values_become_json() -> None:
    values: dict[Any, Any] = {
        1: "one",
        "when": datetime(2026, 1, 1, tzinfo=UTC),
        "id": UUID(int=5),
        "weight": Decimal("1.5"),
        "tags": ("a", "b"),
        "blob": b"\xff\x00x",
        "text": "a\x00b\ud800",
    }
    found = event(values)
    assert found.properties == {
        "when": "2026-01-01T00:00:00+00:00",
        "id": "00000000-0000-0000-0000-000000000005",
        "weight": 1.5,
        "tags": ["a", "b"],
        "blob": "\ufffdx",
        "text": "ab\ufffd",
        "1": "one",
    }
    assert msgspec.json.encode(found.properties)


def test_a_python_value_without_end_is_refused_not_followed() -> None:
    loop: list[Any] = []
    loop.append(loop)
    result = normalise({"event": "page_view", "properties": {"x": loop}}, tenant=ACME, received_at=NOW)
    assert isinstance(result, Refusal)
    assert result.reason == "too_deep"
