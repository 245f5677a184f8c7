"""What a live socket tells: a snapshot, then what changed, numbered; and the same numbers as everywhere else."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.utils import timezone

from analytics.models import Tenant
from kpis.models import MetricDefinition
from kpis.series import OVERVIEW
from tests.api import caller
from tests.reports.live.client import Socket, key_of, opened_by, subscribed
from tests.reports.live.telling import earned

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])

METRICS = ["revenue.gross", "orders.count"]


def kinds(socket: Socket) -> list[str]:
    return [message["type"] for message in socket.seen]


def test_a_snapshot_then_only_what_changed(live_server_url: str, acme: Tenant, globex: Tenant) -> None:
    earned(acme, 1000)
    with subscribed(live_server_url, key_of(acme), [*METRICS, "users.signups"]) as socket:
        first = socket.seen[-1]
        assert (first["type"], first["seq"], first["origin"]) == ("snapshot", 1, "rollup")
        assert {metric: value["value"] for metric, value in first["values"].items()} == {
            "revenue.gross": "10.00",
            "orders.count": 1,
            "users.signups": 0,
        }
        earned(acme, 550)
        delta = socket.hear("delta")
        assert set(delta["values"]) == set(METRICS)
        assert (delta["seq"], delta["values"]["revenue.gross"]["value"]) == (2, "15.50")
        assert delta["as_of"] >= first["as_of"]


def test_its_numbers_are_those_of_the_api(live_server_url: str, acme: Tenant, globex: Tenant) -> None:
    earned(acme, 1000)
    earned(acme, 333, country="FR")
    api = caller(acme)
    for query in ("period=today", "period=last_30d&compare=year_ago", "period=this_month&country=FR", "period=2026"):
        with subscribed(live_server_url, str(api.token), OVERVIEW, query=query) as socket:
            told = socket.seen[-1]["values"]
        parameters = dict(pair.split("=") for pair in query.split("&"))
        answer = api.get("kpis/overview/", granularity="total", **parameters).json()
        assert {metric: value["value"] for metric, value in told.items()} == {
            item["metric"]: item["total"] for item in answer["items"]
        }
        assert told["revenue.gross"]["change"].keys() == answer["items"][0]["comparison"]["change"].keys()
        assert {item["metric"]: item["status"] for item in answer["items"]} == {
            metric: value["status"] for metric, value in told.items()
        }


def test_a_range_that_is_not_over_is_provisional(live_server_url: str, acme: Tenant) -> None:
    earned(acme, 1000)
    for query, is_complete in (("from=2026-01-01&to=2126-01-01", False), ("period=today", True)):
        with subscribed(live_server_url, key_of(acme), METRICS, query=query) as socket:
            told = socket.seen[-1]["values"]["orders.count"]
            assert (told["value"], told["is_complete"]) == (1, is_complete)


def test_neighbours_hear_nothing_of_each_other(live_server_url: str, acme: Tenant, globex: Tenant) -> None:
    earned(acme, 1000)
    earned(globex, 2000)
    with (
        subscribed(live_server_url, key_of(acme), METRICS) as ours,
        subscribed(live_server_url, key_of(globex), METRICS) as theirs,
    ):
        for _ in range(3):
            earned(globex, 77_00)
            theirs.hear("delta")
        with pytest.raises(TimeoutError):
            ours.hear("delta", seconds=1.5)
        assert ours.values == {"revenue.gross": "10.00", "orders.count": 1}
        assert "77" not in json.dumps([message.get("values") for message in ours.seen])


def test_an_update_period_is_kept(live_server_url: str, acme: Tenant) -> None:
    with (
        subscribed(live_server_url, key_of(acme), METRICS, period=4) as calm,
        subscribed(live_server_url, key_of(acme), METRICS, period=1) as eager,
    ):
        began = time.monotonic()
        arrivals: list[float] = []
        while time.monotonic() - began < 9:
            earned(acme, 100)
            arrivals.append(eager.until("orders.count", len(arrivals) + 1))
            time.sleep(0.3)
        calm.until("orders.count", len(arrivals))
        assert max(arrivals) < 3
        assert kinds(calm).count("delta") <= 4
        assert kinds(eager).count("delta") >= 6


def test_many_questions_on_one_socket(live_server_url: str, acme: Tenant) -> None:
    earned(acme, 500, country="FR")
    earned(acme, 300, country="DE")
    with opened_by(live_server_url, key_of(acme)) as socket:
        for country in ("FR", "DE"):
            socket.say("subscribe", id=country, metrics=["revenue.gross"], period=1, query={"country": country})
            message = socket.hear("snapshot")
            assert message["id"] == country
            assert message["values"]["revenue.gross"]["value"] == {"FR": "5.00", "DE": "3.00"}[country]
        socket.say("unsubscribe", id="DE")
        earned(acme, 100, country="DE")
        earned(acme, 100, country="FR")
        delta = socket.hear("delta")
        assert (delta["id"], delta["values"]["revenue.gross"]["value"]) == ("FR", "6.00")
        with pytest.raises(TimeoutError):
            socket.hear("delta", seconds=1.5)


def test_the_last_half_hour(live_server_url: str, acme: Tenant) -> None:
    earned(acme, 500, minutes_ago=45)
    earned(acme, 300, minutes_ago=5)
    with subscribed(live_server_url, key_of(acme), ["revenue.gross"], range="realtime") as socket:
        assert socket.values == {"revenue.gross": "3.00"}
        earned(acme, 200)
        socket.until("revenue.gross", "5.00")


def test_before_anything_was_counted_there_are_no_values_and_then_there_are(live_server_url: str, acme: Tenant) -> None:
    with subscribed(live_server_url, key_of(acme), METRICS) as socket:
        assert socket.values == {"revenue.gross": None, "orders.count": None}
        earned(acme, 100)
        socket.until("revenue.gross", "1.00")


def test_an_unknown_metric_is_told_with_the_nearest_and_the_rest_goes_on(live_server_url: str, acme: Tenant) -> None:
    earned(acme, 100)
    with opened_by(live_server_url, key_of(acme)) as socket:
        socket.say("subscribe", metrics=["revenue.gros", "orders.count"], period=1)
        error = socket.hear("error")
        assert (error["code"], error["metric"]) == ("unknown_metric", "revenue.gros")
        assert "did you mean" in error["message"]
        assert "revenue.gross" in error["message"]
        assert set(socket.hear("snapshot")["values"]) == {"orders.count"}


def test_a_tenants_own_metric_is_its_own(live_server_url: str, acme: Tenant, globex: Tenant) -> None:
    from analytics.tenancy import tenant_context

    with tenant_context(acme.pk):
        MetricDefinition.objects.create(
            tenant_id=acme.pk, metric="shop.double", name="Double", formula="orders.count * 2"
        )
    earned(acme, 100)
    with subscribed(live_server_url, key_of(acme), ["shop.double"]) as socket:
        assert socket.values == {"shop.double": 2}
        with tenant_context(acme.pk):
            MetricDefinition.objects.filter(metric="shop.double").update(formula="orders.count * 3", version=2)
        socket.until("shop.double", 3)  # nobody rang: the data version has the definition in it
        with tenant_context(acme.pk):
            MetricDefinition.objects.filter(metric="shop.double").update(is_archived=True)
        socket.until("shop.double", None)
    with opened_by(live_server_url, key_of(globex)) as other:
        other.say("subscribe", metrics=["shop.double"])
        assert other.hear("error")["code"] == "unknown_metric"


NONSENSE = [
    ("", "invalid_message"),
    ("{", "invalid_message"),
    ("[" * 4000, "invalid_message"),
    ("null", "invalid_message"),
    ('{"type":"subscribe"}', "invalid_message"),
    ('{"type":"subscribe","metrics":[]}', "invalid_message"),
    ('{"type":"subscribe","metrics":["a"],"period":0}', "invalid_message"),
    ('{"type":"subscribe","metrics":["a"],"period":301}', "invalid_message"),
    ('{"type":"subscribe","metrics":["a"],"period":NaN}', "invalid_message"),
    ('{"type":"subscribe","metrics":["a"],"tenant":"globex"}', "invalid_message"),
    ('{"type":"subscribe","metrics":"orders.count"}', "invalid_message"),
    (json.dumps({"type": "subscribe", "metrics": [f"m{n}" for n in range(61)]}), "invalid_message"),
    ('{"type":"subscribe","metrics":["orders.count"],"query":"tenant=globex"}', "invalid_question"),
    ('{"type":"subscribe","metrics":["orders.count"],"range":"yesteryear"}', "invalid_question"),
    ('{"type":"subscribe","metrics":["orders.count"],"range":"2026-13-99"}', "invalid_question"),
    ('{"type":"subscribe","metrics":["orders.count"],"range":"today","query":"period=today"}', "invalid_question"),
    ('{"type":"subscribe","metrics":["orders.count"],"query":"from=2026-03-02&to=2026-03-01"}', "invalid_question"),
    ('{"type":"subscribe","metrics":["orders.count"],"query":"country=%00"}', "invalid_question"),
    ('{"type":"subscribe","metrics":["orders.count"],"query":"timezone=Mars/Phobos"}', "invalid_question"),
    ('{"type":"subscribe","metrics":["orders.count\\u0000"]}', "unknown_metric"),
    ('{"type":"subscribe","metrics":["../../etc/passwd"]}', "unknown_metric"),
    ('{"type":"resume","seq":-1}', "invalid_message"),
    ('{"type":"resume","seq":1e400}', "invalid_message"),
    ('{"type":"drop table"}', "invalid_message"),
]


def test_nonsense_is_answered_and_the_socket_stays_open(live_server_url: str, acme: Tenant, globex: Tenant) -> None:
    token = key_of(acme)
    for message, code in NONSENSE:
        with opened_by(live_server_url, token) as socket:
            socket.connection.send(message)
            error = socket.hear("error")
            assert error["code"] == code, error
            assert "Traceback" not in error["message"]
            socket.say("ping")
            assert socket.hear("pong")["seq"] == 0


def test_a_question_that_does_not_suit_a_metric_leaves_that_one_empty(live_server_url: str, acme: Tenant) -> None:
    earned(acme, 100)
    query = {"object_type": "video"}
    with subscribed(live_server_url, key_of(acme), ["orders.count", "sessions.count"], query=query) as socket:
        assert socket.values == {"orders.count": 0, "sessions.count": None}


def test_giants_and_floods_close_the_socket(live_server_url: str, acme: Tenant) -> None:
    with opened_by(live_server_url, key_of(acme)) as socket:
        socket.connection.send("x" * 9000)
        assert socket.closed() == 1009
    with opened_by(live_server_url, key_of(acme)) as socket:
        socket.connection.send(b"\x00\x01")
        assert socket.closed() == 1009
    with opened_by(live_server_url, key_of(acme)) as socket:
        for _ in range(40):
            try:
                socket.say("ping")
            except Exception:
                break
        assert socket.closed() == 4429


def test_a_socket_has_few_subscriptions(live_server_url: str, acme: Tenant) -> None:
    with opened_by(live_server_url, key_of(acme)) as socket:
        for number in range(6):
            socket.say("subscribe", id=str(number), metrics=["orders.count"])
        error = socket.hear("error")
        assert error["code"] == "too_many_subscriptions"
        socket.say("subscribe", id="0", metrics=["revenue.gross"])  # in place of its own
        socket.until("revenue.gross", None)


def numbered(socket: Socket) -> list[dict[str, Any]]:
    return [message for message in socket.seen if message["type"] in ("snapshot", "delta")]


def test_missed_deltas_are_sent_again(live_server_url: str, acme: Tenant) -> None:
    with subscribed(live_server_url, key_of(acme), METRICS) as socket:
        for number in range(3):
            earned(acme, 100)
            socket.until("orders.count", number + 1)
        known, last = numbered(socket), socket.seq
        socket.say("resume", seq=1)
        assert socket.hear("resumed")["seq"] == 1
        socket.seq = 1
        again = [socket.hear("delta") for _ in range(last - 1)]
        assert again == known[1:]
        earned(acme, 100)
        socket.until("orders.count", 4)


def test_a_number_that_is_not_kept_is_a_resync_and_a_snapshot(live_server_url: str, acme: Tenant) -> None:
    earned(acme, 100)
    with subscribed(live_server_url, key_of(acme), METRICS) as socket:
        socket.say("resume", seq=999)
        assert socket.hear("resync")["seq"] == 1
        assert set(socket.hear("snapshot")["values"]) == set(METRICS)
        socket.say("resume", seq=0, session="nobody-has-this")
        assert socket.hear("resync")["seq"] == 2


def test_a_client_that_comes_back_goes_on_where_it_was(live_server_url: str, acme: Tenant, globex: Tenant) -> None:
    token = key_of(acme)
    socket = subscribed(live_server_url, token, METRICS)
    session, seq, values = socket.seen[0]["session"], socket.seq, dict(socket.values)
    socket.connection.close()
    earned(acme, 100)
    for stranger in (key_of(globex), key_of(acme)):
        with opened_by(live_server_url, stranger) as thief:
            thief.say("resume", seq=seq, session=session)
            assert thief.hear("resync")
    with opened_by(live_server_url, token) as back:
        back.seq, back.values = seq, values
        back.say("resume", seq=seq, session=session)
        assert back.hear("resumed")["session"] == session
        delta = back.hear("delta")
        assert (delta["seq"], delta["values"]["orders.count"]["value"]) == (seq + 1, 1)


def test_beats_say_that_nothing_changed(live_server_url: str, acme: Tenant) -> None:
    earned(acme, 100)
    with subscribed(live_server_url, key_of(acme), METRICS) as socket:
        before = timezone.now()
        beat = socket.hear("beat", seconds=40)  # a minute may turn meanwhile, and be news
        assert beat["seq"] == socket.seq
        assert beat["as_of"] >= before.isoformat()[:19]
