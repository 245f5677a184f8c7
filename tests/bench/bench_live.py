"""Live sockets on one web process, with the whole product running: `python tests/bench/bench_live.py`.

Every socket watches the twelve numbers of the first page. Orders are posted one at a time; for each, how long it took
from the answer to the POST until a socket had the new number (through beat and a worker), and how long from the ring
of the doorbell. Bars: lag ≤ 1 s, web process ≤ 250 MB, no silent gap, event to screen ≤ 5 s. `--kills 20` kills and
empties Redis meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis.asyncio
from websockets.asyncio.client import connect

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.chaos.product import Product

METRICS = (
    "revenue.gross", "revenue.net", "orders.count", "revenue.aov", "users.paying", "revenue.arppu", "users.active",
    "users.mau", "users.stickiness", "sessions.count", "users.signups", "payments.success_rate",
)  # fmt: skip


class Watcher:
    """One socket: its number of the last order, when it came, and whether a number was left out."""

    def __init__(self) -> None:
        self.orders = 0
        self.at: dict[int, float] = {}
        self.deltas: list[tuple[float, float]] = []
        self.gaps = 0
        self.is_ready = asyncio.Event()

    async def run(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        async with connect(url, additional_headers=headers, proxy=None, compression=None) as socket:
            await socket.send(json.dumps({"type": "subscribe", "metrics": METRICS, "period": 1, "range": "today"}))
            seq = 0
            async for text in socket:
                message = json.loads(text)
                if message["type"] not in ("snapshot", "delta"):
                    continue
                self.gaps += message["seq"] != seq + 1
                seq = message["seq"]
                self.note(message, time.time())

    def note(self, message: dict[str, Any], now: float) -> None:
        self.is_ready.set()
        if message["type"] == "delta":
            self.deltas.append((datetime.fromisoformat(message["as_of"]).timestamp(), now))
        if (orders := message["values"].get("orders.count")) and orders["value"]:
            for number in range(self.orders + 1, orders["value"] + 1):
                self.at[number] = now
            self.orders = orders["value"]


async def ears(url: str, rings: list[float]) -> None:
    """When the doorbell rang."""
    while True:
        try:
            async with redis.asyncio.Redis.from_url(url).pubsub(ignore_subscribe_messages=True) as pubsub:
                await pubsub.subscribe("bellwether:live")
                async for _ in pubsub.listen():
                    rings.append(time.time())
        except (redis.RedisError, OSError):
            await asyncio.sleep(0.1)


async def post(client: httpx.AsyncClient, token: str, number: int) -> float:
    """When the order was stored."""
    properties = {"amount": 19.9, "currency": "EUR"}
    event = {"event": "order_completed", "distinct_id": f"buyer-{number % 50}", "properties": properties}
    answer = await client.post("/batch/", json={"api_key": token, "batch": [event]})
    answer.raise_for_status()
    return time.time()


def web_bytes(product: Product) -> int:
    """The resident size of the largest process of the web server."""
    return int(max(psutil.Process(pid).memory_info().rss for pid in product.pids("web")))


async def measure(product: Product, sockets: int, orders: int, every: float, kills: int) -> dict[str, object]:
    rings: list[float] = []
    url = product.run("-c", "from config import settings; print(settings.REDIS_URL)").stdout.strip()
    listening = asyncio.create_task(ears(url, rings))
    async with httpx.AsyncClient(base_url=product.url, trust_env=False) as client:
        await post(client, product.keys["acme"], 0)
        await asyncio.sleep(5)
        idle = web_bytes(product)
        watchers = [Watcher() for _ in range(sockets)]
        began = time.perf_counter()
        tasks = [
            asyncio.create_task(each.run(f"ws://127.0.0.1:{product.port}/ws/live/", product.keys["acme"]))
            for each in watchers
        ]
        await asyncio.wait_for(asyncio.gather(*(each.is_ready.wait() for each in watchers)), 60)
        opened, connected = time.perf_counter() - began, web_bytes(product)
        posted, most, killed = {}, connected, 0
        for number in range(2, orders + 2):
            if kills and number % max(1, orders // kills) == 0 and killed < kills:
                for pid in product.pids("redis"):
                    os.kill(pid, signal.SIGKILL)
                killed += 1
                if killed % 5 == 0:
                    await asyncio.to_thread(product.redis_flush)
            posted[number] = await post(client, product.keys["acme"], number)
            await asyncio.sleep(every)
            most = max(most, web_bytes(product))
        await asyncio.sleep(30 if kills else 8)
    for task in (*tasks, listening):
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    early = sum(not isinstance(each, asyncio.CancelledError) for each in ended)
    until_seen = [each.at[number] - at for each in watchers for number, at in posted.items() if number in each.at]
    return {
        "bench": "live", "sockets": sockets, "orders": orders, "redis_kills": killed,
        "open_all_s": round(opened, 1), "closed_early": early,
        "silent_gaps": sum(each.gaps for each in watchers),
        "behind_at_the_end": sum(each.orders != orders + 1 for each in watchers),
        "rss_mb": {"idle": idle >> 20, "connected": connected >> 20, "most": most >> 20},
        "event_to_screen_s": summary(until_seen),
        "answer_to_socket_s": summary([now - as_of for each in watchers for as_of, now in each.deltas]),
        "ring_to_socket_s": summary(since_ring(watchers, posted, rings)),
    }  # fmt: skip


def since_ring(watchers: Sequence[Watcher], posted: dict[int, float], rings: Sequence[float]) -> list[float]:
    """For each order and socket, the time since the first ring after the order was stored; 0 when it came before."""
    lags = []
    for number, stored in posted.items():
        place = bisect_left(rings, stored)
        if place < len(rings):
            lags += [max(0.0, each.at[number] - rings[place]) for each in watchers if number in each.at]
    return lags


def summary(samples: Sequence[float]) -> dict[str, float]:
    ordered = sorted(samples) or [float("nan")]
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[min(len(ordered) - 1, int(q * len(ordered)))], 2) for name, q in at.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--orders", type=int, default=40)
    parser.add_argument("--every", type=float, default=1.7, help="seconds between two orders")
    parser.add_argument("--kills", type=int, default=0, help="of Redis")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bellwether-live-") as folder:
        Path(folder).chmod(0o711)
        product = Product(home=Path(folder) / "home", environment={"WEB_WORKERS": "1"})
        try:
            product.start()
            print(json.dumps(asyncio.run(
                measure(product, chosen.sockets, chosen.orders, chosen.every, chosen.kills)
            )), flush=True)  # fmt: skip
        finally:
            product.stop()


if __name__ == "__main__":
    main()
