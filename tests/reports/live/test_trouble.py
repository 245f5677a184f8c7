"""Redis dies, clients fall asleep, the server ends: delays, never numbers that are silently missing (R21)."""

from __future__ import annotations

import json
import os
import socket as sockets
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from analytics.models import Tenant
from kpis.base import metrics
from reports.live import doorbell
from reports.live.hub import LOOK_SECONDS
from tests.reports.live.client import key_of, subscribed
from tests.reports.live.server import Redis, Web, web
from tests.reports.live.telling import earned

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])

METRICS = ["revenue.gross", "orders.count"]
KILLS = 20
SOCKETS = 20


@pytest.fixture(scope="module")
def own_redis() -> Iterator[Redis]:
    with tempfile.TemporaryDirectory(prefix="bw-live-") as folder:
        redis = Redis(Path(folder))
        redis.start()
        yield redis
        redis.kill()


@pytest.fixture(scope="module")
def own_web(database_urls: dict[str, str], own_redis: Redis, test_home: Path) -> Iterator[Web]:
    environment = {**database_urls, "REDIS_URL": own_redis.url}
    with web(environment, test_home / "log" / f"trouble-{os.getpid()}.log") as running:
        yield running


@pytest.fixture(autouse=True)
def own_bell(own_redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is the worker: it rings where the server listens."""
    ours = doorbell.Bell(own_redis.url)
    monkeypatch.setattr(doorbell, "bell", lambda: ours)


def test_redis_killed_twenty_times_and_flushed_leaves_no_silent_gap(
    own_web: Web, own_redis: Redis, acme: Tenant, globex: Tenant
) -> None:
    """Sequence numbers are checked by the client at every message; at the end everybody knows the last number."""
    tokens = {"acme": key_of(acme), "globex": key_of(globex)}
    with ExitStack() as stack:
        ours = [stack.enter_context(subscribed(own_web.url, tokens["acme"], METRICS)) for _ in range(SOCKETS)]
        theirs = [stack.enter_context(subscribed(own_web.url, tokens["globex"], METRICS)) for _ in range(SOCKETS)]
        orders, slowest = 0, 0.0
        for kill in range(KILLS):
            own_redis.kill()
            earned(acme, 100)
            orders += 1
            own_redis.start()
            if kill % 4 == 3:
                own_redis.flush()
                earned(acme, 100)
                earned(globex, 7)
                orders += 1
                took = max(each.until("orders.count", orders) for each in ours)
                slowest = max(slowest, took)
        for each in ours:
            each.until("revenue.gross", f"{orders}.00")
        for each in theirs:
            each.until("revenue.gross", "0.35")
    assert orders == KILLS + KILLS // 4
    assert slowest < LOOK_SECONDS + 3


def test_without_redis_numbers_come_by_the_look_at_the_data_version(
    own_web: Web, own_redis: Redis, acme: Tenant
) -> None:
    with subscribed(own_web.url, key_of(acme), METRICS) as socket:
        own_redis.kill()
        try:
            for number in range(1, 3):
                earned(acme, 100)
                assert socket.until("orders.count", number) < LOOK_SECONDS + 2
        finally:
            own_redis.start()


def test_a_ring_is_heard_within_a_second(own_web: Web, acme: Tenant) -> None:
    with subscribed(own_web.url, key_of(acme), METRICS) as socket:
        lags = []
        for number in range(1, 4):
            earned(acme, 100)
            lags.append(socket.until("orders.count", number))
            time.sleep(1.1)
        assert sorted(lags)[1] < 1.0


def test_strangers_on_the_channel_harm_nobody(own_web: Web, own_redis: Redis, acme: Tenant) -> None:
    import redis

    with subscribed(own_web.url, key_of(acme), METRICS) as socket:
        with redis.Redis.from_url(own_redis.url) as client:
            for message in (b"", b"\xff\x00", b"[]", b'["a",1,2]', b"[1,null,null]", b"[" * 5000):
                client.publish(doorbell.CHANNEL, message)
        earned(acme, 100)
        assert socket.until("orders.count", 1) < 3


def asleep(url: str, token: str, names: list[str]) -> sockets.socket:
    """A client that subscribes, asks for everything again and again, and never reads."""
    address = urlsplit(url)
    connection = sockets.socket()
    connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    connection.connect((address.hostname, address.port))
    connection.sendall(
        f"GET /ws/live/ HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {token}\r\n\r\n".encode()
    )
    assert connection.recv(12) == b"HTTP/1.1 101"
    for id_ in range(5):
        connection.sendall(frame({"type": "subscribe", "id": str(id_), "metrics": names, "period": 1}))
    return connection


def frame(message: dict[str, Any]) -> bytes:
    """A masked text frame; the mask is zero."""
    body = json.dumps(message).encode()
    return struct.pack("!BBH4x", 0x81, 0x80 | 126, len(body)) + body


def test_a_client_that_sleeps_is_let_go_and_costs_little(own_web: Web, acme: Tenant) -> None:
    process = psutil.Process(own_web.process.pid)
    names = list(metrics.names())[:60]
    token = key_of(acme)

    def sleepers() -> int:
        return sum(1 for each in process.net_connections("tcp") if each.raddr and each.raddr.port in ports)

    with subscribed(own_web.url, token, METRICS) as healthy:
        clients = [asleep(own_web.url, token, names) for _ in range(8)]
        ports = {client.getsockname()[1] for client in clients}
        time.sleep(1)
        assert sleepers() == len(clients)
        before, orders = process.memory_info().rss, 0
        began, most = time.monotonic(), 0
        while sleepers() and time.monotonic() - began < 50:
            for client in clients:
                try:
                    client.sendall(frame({"type": "resume", "seq": 999}))  # five snapshots of sixty metrics
                except OSError:
                    continue
            time.sleep(0.3)
            most = max(most, process.memory_info().rss)
            if time.monotonic() - began > orders * 2:
                earned(acme, 100)
                orders += 1
                assert healthy.until("orders.count", orders) < 3
        assert sleepers() == 0
        assert time.monotonic() - began < 35  # not by the 40 seconds of the server's own pings
        assert (most - before) / len(clients) < 1024 * 1024
        for client in clients:
            client.close()


def test_a_server_that_ends_says_so(
    database_urls: dict[str, str], own_redis: Redis, test_home: Path, acme: Tenant
) -> None:
    log = test_home / "log" / f"ending-{os.getpid()}.log"
    with web({**database_urls, "REDIS_URL": own_redis.url}, log) as running:
        socket = subscribed(running.url, key_of(acme), METRICS)
        running.process.terminate()
        assert socket.closed() == 1012
        assert running.process.wait(10) is not None
    assert "Traceback" not in log.read_text()
