"""Durable ingest over HTTP: the whole product on this machine, the load generator on the same cores.

    python -m tests.bench.bench_ingest [--seconds 60] [--connections 64] [--batch 100] [--single]

Each event is new, acknowledged by 200 after COMMIT, and counted in the table at the end.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.chaos.product import Product

MARK = "00000000-0000-4000-8000-000000000000"
NAMES = ("$pageview", "order_completed", "gift_sent", "message_sent", "payment_settled", "stream_started", "signed_up")


def template(key: str, batch: int, offset: int) -> list[bytes]:
    """A request cut where each event's id goes: filling it in is all that the generator does per event."""
    events = [
        {
            "event": NAMES[n % len(NAMES)],
            "distinct_id": f"user-{(offset * 7919 + n * 104729) % 50_000}",
            "uuid": MARK,
            "timestamp": datetime.now(UTC).isoformat(),
            "properties": {
                "country": "DE",
                "revenue": 12.5,
                "currency": "EUR",
                "$session_id": f"s{offset}-{n % 9}",
                "plan": "pro",
            },
        }
        for n in range(batch)
    ]
    body = json.dumps(
        {"api_key": key, "batch": events, "sent_at": datetime.now(UTC).isoformat()}, separators=(",", ":")
    )
    head = (
        f"POST /batch/ HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode().split(MARK.encode())


def fill(parts: list[bytes]) -> bytes:
    """A request with fresh version 4 UUIDs."""
    noise = os.urandom(16 * (len(parts) - 1)).hex().encode()
    out = [parts[0]]
    for n, part in enumerate(parts[1:]):
        at = n * 32
        h = noise[at : at + 32]
        out += [h[:8], b"-", h[8:12], b"-4", h[13:16], b"-8", h[17:20], b"-", h[20:], part]
    return b"".join(out)


def read_answer(stream: Any) -> int:
    """Status of the next answer; its body is read and dropped. 0 when the connection is gone."""
    line = stream.readline()
    if not line:
        return 0
    length = 0
    while (header := stream.readline()) not in (b"\r\n", b""):
        if header.lower().startswith(b"content-length:"):
            length = int(header[15:])
    stream.read(length)
    return int(line.split()[1])


def client(port: int, parts: list[bytes], deadline: float, times: list[float], bad: list[int]) -> None:
    """One keep-alive connection that sends the next batch when the last one is acknowledged."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = connection.makefile("rb")
        while time.time() < deadline:
            began = time.perf_counter()
            connection.sendall(fill(parts))
            status = read_answer(stream)
            if status == 200:
                times.append(time.perf_counter() - began)
            else:
                bad.append(status)
                if not status:
                    return


def generator(port: int, key: str, connections: int, batch: int, first: int, deadline: float, results: Any) -> None:
    """One process of the load generator."""
    times: list[float] = []
    bad: list[int] = []
    threads = [
        threading.Thread(target=client, args=(port, template(key, batch, first + n), deadline, times, bad))
        for n in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put((times, bad))


def measure(product: Product, *, seconds: float, connections: int, batch: int, processes: int = 2) -> dict[str, Any]:
    """Events acknowledged per second and the times to acknowledge."""
    results: Any = multiprocessing.Queue()
    deadline = time.time() + seconds
    share = connections // processes
    generators = [
        multiprocessing.Process(
            target=generator, args=(product.port, product.keys["acme"], share, batch, n * share, deadline, results)
        )
        for n in range(processes)
    ]
    began = time.time()
    for process in generators:
        process.start()
    collected = [results.get() for _ in generators]
    for process in generators:
        process.join()
    took = time.time() - began
    times = sorted(each for found, _ in collected for each in found)
    bad = [status for _, found in collected for status in found]
    return {
        "batch": batch,
        "connections": connections,
        "seconds": round(took, 1),
        "events": len(times) * batch,
        "events_per_second": round(len(times) * batch / took),
        "p50_ms": round(statistics.median(times) * 1000, 1),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 1),
        "not_200": {str(status): bad.count(status) for status in sorted(set(bad))},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--single", action="store_true", help="one event a request")
    parser.add_argument("--web-workers", type=int, default=3)
    parser.add_argument("--warm", type=float, default=3, help="seconds before the measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bw-bench-") as folder:
        Path(folder).chmod(0o711)
        product = Product(home=Path(folder) / "home", environment={"WEB_WORKERS": str(options.web_workers)})
        try:
            product.start()
            batch = 1 if options.single else options.batch
            measure(product, seconds=options.warm, connections=options.connections, batch=batch)
            with product.admin() as admin:
                before = admin.execute("SELECT count(*) FROM bw_event").fetchone()
                result = measure(product, seconds=options.seconds, connections=options.connections, batch=batch)
                after = admin.execute("SELECT count(*) FROM bw_event").fetchone()
            result["stored"] = int(str(after[0])) - int(str(before[0])) if after and before else None
            print(json.dumps(result))
        finally:
            product.stop()


if __name__ == "__main__":
    main()
