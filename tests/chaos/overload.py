"""More than the machine carries: first one noisy tenant among quiet ones, then everybody at once.

python -m tests.chaos --overload 60 --noisy 50 --seed 7

Quiet tenants send at a pace that does not wait for answers, and repeat what was refused once `Retry-After` is over.
Their times run from the moment a batch was due until it is acknowledged. A noisy tenant keeps its pace too, never
repeats and never waits for anything it is told. The generator runs on the same cores as the product.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import platform
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil

from tests.chaos.invariants import Evidence, everything_accounted_for, nothing_doubled
from tests.chaos.load import Ledger
from tests.chaos.product import Product

QUIET: Final = ("acme", "globex", "initech", "umbrella")
NOISY: Final = "hooli"
MARK: Final = "00000000-0000-4000-8000-000000000000"
VARIETY: Final = 200
"""Events of which a connection makes its requests."""
GIVE_UP_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Overload:
    """`rate` events a second of each tenant are calm; `noisy` and `times` multiply it. `most_ratio` of the quiet
    tenants' 99th percentiles is allowed, and `most_megabytes` of memory of one web process.
    """

    seed: int = 7
    seconds: float = 60.0
    noisy: float = 50.0
    times: float = 10.0
    rate: float = 500.0
    batch: int = 10
    noisy_batch: int = 100
    connections: int = 32
    noisy_connections: int = 128
    web_processes: int = 2
    most_ratio: float = 2.0
    most_megabytes: float = 400.0


@dataclass(frozen=True)
class Stream:
    """One tenant's load in one phase. `is_patient`: repeats what was refused, as SDKs do."""

    tenant: str
    rate: float
    batch: int
    connections: int
    is_patient: bool


@dataclass
class Experience:
    """What one tenant went through. `acked` holds 16 bytes an event."""

    acked: bytearray = field(default_factory=bytearray)
    statuses: Counter[int] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    refused_seconds: list[float] = field(default_factory=list)

    def add(self, other: Experience) -> None:
        self.acked += other.acked
        self.statuses += other.statuses
        self.told += other.told
        self.seconds += other.seconds
        self.refused_seconds += other.refused_seconds


def template(key: str, batch: int, dice: random.Random) -> list[bytes]:
    """A request cut where each event's id goes."""
    now = datetime.now(UTC).isoformat()
    few = [
        {
            "event": dice.choice(("$pageview", "order_completed", "message_sent", "signed_up")),
            "distinct_id": f"user-{dice.randrange(20_000)}",
            "uuid": MARK,
            "timestamp": now,
            "properties": {"country": "DE", "revenue": 12.5, "currency": "EUR", "plan": "pro"},
        }
        for _ in range(min(batch, VARIETY))
    ]
    events = [few[n % len(few)] for n in range(batch)]
    body = json.dumps({"api_key": key, "batch": events, "sent_at": now}, separators=(",", ":"))
    head = (
        f"POST /batch/ HTTP/1.1\r\nHost: chaos\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode().split(MARK.encode())


def fill(parts: list[bytes]) -> tuple[bytes, bytes]:
    """A request with fresh version 4 UUIDs, and their bytes."""
    noise = bytearray(os.urandom(16 * (len(parts) - 1)))
    for at in range(0, len(noise), 16):
        noise[at + 6] = noise[at + 6] & 0x0F | 0x40
        noise[at + 8] = noise[at + 8] & 0x3F | 0x80
    text = noise.hex().encode()
    out = [parts[0]]
    for n, part in enumerate(parts[1:]):
        h = text[n * 32 : n * 32 + 32]
        out += [h[:8], b"-", h[8:12], b"-", h[12:16], b"-", h[16:20], b"-", h[20:], part]
    return b"".join(out), bytes(noise)


class Sender:
    """One connection with its own pace."""

    def __init__(self, port: int, key: str, stream: Stream, seed: int, experience: Experience) -> None:
        self._port, self._stream, self._experience = port, stream, experience
        self._dice = random.Random(seed)
        self._parts = [template(key, stream.batch, self._dice) for _ in range(max(1, VARIETY // stream.batch))]
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, begun: float, end: float) -> None:
        stream, clock = self._stream, time.monotonic
        gap = stream.batch * stream.connections / stream.rate
        due = begun + gap * self._dice.random()
        while due < end:
            await asyncio.sleep(max(0.0, due - clock()))
            request, ids = fill(self._dice.choice(self._parts))
            await self._deliver(request, ids, due)
            # Who does not wait for anything is as late as its connections are few; the others stay due.
            due = (due if stream.is_patient else max(due, clock() - gap)) + gap * self._dice.uniform(0.5, 1.5)
        if self._line is not None:
            self._line[1].close()

    async def _deliver(self, request: bytes, ids: bytes, due: float) -> None:
        experience = self._experience
        while True:
            asked = time.monotonic()
            status, wait = await self._ask(request)
            experience.statuses[status] += 1
            if status == 200:
                experience.seconds.append(time.monotonic() - due)
                experience.acked += ids
                return
            experience.refused_seconds.append(time.monotonic() - asked)
            if status == 503:
                experience.told[wait] += 1
            if not self._stream.is_patient or time.monotonic() - due > GIVE_UP_SECONDS:
                return
            await asyncio.sleep(float(wait or 1))

    async def _ask(self, request: bytes) -> tuple[int, str]:
        """The status, 0 without an answer, and what `Retry-After` says."""
        try:
            if self._line is None:
                self._line = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._line
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(_header(head, b"content-length") or 0))
            if _header(head, b"connection") == "close":
                writer.close()
                self._line = None
            return int(head.split(None, 2)[1]), _header(head, b"retry-after")
        except (OSError, EOFError):
            self._line = None
            return 0, ""


def _header(head: bytes, name: bytes) -> str:
    _, found, rest = head.partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip().decode() if found else ""


def generator(port: int, keys: Mapping[str, str], streams: list[Stream], seed: int, seconds: float, out: Any) -> None:
    """One process of the load generator; puts what each tenant went through."""
    found = {stream.tenant: Experience() for stream in streams}

    async def all_of_them() -> None:
        begun = time.monotonic() + 0.2
        senders = [
            Sender(port, keys[stream.tenant], stream, seed * 100_000 + n * 1_000 + line, found[stream.tenant])
            for n, stream in enumerate(streams)
            for line in range(stream.connections)
        ]
        await asyncio.gather(*(sender.run(begun, begun + seconds) for sender in senders))

    asyncio.run(all_of_them())
    out.put(found)


class Scales(threading.Thread):
    """Weighs the web processes all the while; `peaks` are MiB of the heaviest: PSS and RSS."""

    def __init__(self, product: Product) -> None:
        super().__init__(daemon=True)
        self._product, self._is_over = product, threading.Event()
        self.pss = self.rss = 0.0

    def run(self) -> None:
        while not self._is_over.wait(0.5):
            for pid in self._product.pids("web"):
                try:
                    found = psutil.Process(pid).memory_full_info()
                except psutil.Error:
                    continue
                self.pss, self.rss = max(self.pss, found.pss / 2**20), max(self.rss, found.rss / 2**20)

    def stop(self) -> None:
        self._is_over.set()
        self.join()


def phase(
    product: Product, loads: list[list[Stream]], *, seed: int, seconds: float
) -> tuple[dict[str, Experience], Scales]:
    """What tenants went through under these loads, a process each."""
    out: Any = multiprocessing.Queue()
    scales = Scales(product)
    processes = [
        multiprocessing.Process(target=generator, args=(product.port, product.keys, streams, seed + n, seconds, out))
        for n, streams in enumerate(loads)
    ]
    scales.start()
    for process in processes:
        process.start()
    found: dict[str, Experience] = {}
    for _ in processes:
        found |= out.get()
    for process in processes:
        process.join()
    scales.stop()
    return found, scales


def overload_run(plan: Overload, home: Path) -> dict[str, Any]:
    """The result as JSON; `breaches` is empty when every promise held."""
    environment = {"WEB_WORKERS": str(plan.web_processes)}
    product = Product(home=home, environment=environment, more_tenants=(*QUIET[2:], NOISY))
    try:
        product.start()
        return _overload(plan, product)
    finally:
        product.stop()


def _overload(plan: Overload, product: Product) -> dict[str, Any]:
    quiet = [Stream(each, plan.rate, plan.batch, plan.connections, is_patient=True) for each in QUIET]
    noisy = Stream(NOISY, plan.rate * plan.noisy, plan.noisy_batch, plan.noisy_connections, is_patient=False)
    crowd = [
        Stream(each, plan.rate * plan.times, plan.batch, plan.connections * 4, is_patient=False)
        for each in (*QUIET, NOISY)
    ]
    phases = {
        "warm": ([quiet], 3.0),
        "calm": ([quiet], plan.seconds),
        "noisy": ([quiet, [noisy]], plan.seconds),
        "after": ([quiet], min(plan.seconds, 10.0)),
        "crowd": ([crowd[:3], crowd[3:]], plan.seconds),
    }
    every: dict[str, Experience] = {}
    told: dict[str, Any] = {}
    for number, (name, (loads, seconds)) in enumerate(phases.items()):
        found, scales = phase(product, loads, seed=plan.seed * 100 + number, seconds=seconds)
        for tenant, experience in found.items():
            every.setdefault(tenant, Experience()).add(experience)
        told[name] = _told(found, seconds) | {"pss_mib": round(scales.pss), "rss_mib": round(scales.rss)}
        time.sleep(4.0)  # longer than a door waits, so that no phase pays for the one before
    ratio = round(told["noisy"]["quiet"]["p99_ms"] / told["calm"]["quiet"]["p99_ms"], 2)
    stored, breaches = _checked(product, every, plan, told)
    if ratio > plan.most_ratio:
        breaches["fairness"] = [f"the quiet tenants' p99 grew {ratio}-fold beside a noisy one"]
    return {
        "seed": plan.seed,
        "machine": f"{platform.machine()} {platform.python_version()}, {len(os.sched_getaffinity(0))} cores",
        "seconds": plan.seconds,
        "tenants": sorted(every),
        "acknowledged": sum(len(each.acked) // 16 for each in every.values()),
        "stored": stored,
        "p99_ratio": ratio,
        **told,
        "breaches": breaches,
    }


def _told(found: Mapping[str, Experience], seconds: float) -> dict[str, Any]:
    quiet = Experience()
    for tenant, experience in found.items():
        if tenant != NOISY:
            quiet.add(experience)
    told = {"quiet": _figures(quiet, seconds)}
    if NOISY in found:
        told["noisy"] = _figures(found[NOISY], seconds)
    return told


def _figures(experience: Experience, seconds: float) -> dict[str, Any]:
    times, refusals = sorted(experience.seconds) or [0.0], sorted(experience.refused_seconds) or [0.0]
    return {
        "acknowledged_per_second": round(len(experience.acked) / 16 / seconds),
        "statuses": {str(status): n for status, n in sorted(experience.statuses.items())},
        "retry_after": dict(sorted(experience.told.items(), key=lambda item: int(item[0] or 0))),
        "p50_ms": round(statistics.median(times) * 1000, 1),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 1),
        "longest_ms": round(times[-1] * 1000, 1),
        "refused_p99_ms": round(refusals[int(len(refusals) * 0.99)] * 1000, 1),
    }


def _checked(
    product: Product, every: Mapping[str, Experience], plan: Overload, told: Mapping[str, Any]
) -> tuple[int, dict[str, list[str]]]:
    """Events that are stored, and which promises were broken."""
    product.await_ready()
    ledger = Ledger(Path("nowhere"), deliveries=Counter({slug: len(each.acked) // 16 for slug, each in every.items()}))
    breaches: dict[str, list[str]] = {}
    with product.admin() as admin:
        evidence = Evidence(product, admin, [ledger], [])
        for check in (nothing_doubled, everything_accounted_for):
            if found := check(evidence):
                breaches[check.__name__] = found
        for slug, experience in every.items():
            acked = {bytes(experience.acked[at : at + 16]) for at in range(0, len(experience.acked), 16)}
            rows = admin.execute(
                "SELECT decode(replace(event_id, '-', ''), 'hex') FROM bw_event WHERE tenant_id = %s",
                [evidence.tenant_ids()[slug]],
            )
            acked.difference_update(row[0] for row in rows)
            if acked:
                breaches.setdefault("nothing_lost", []).append(f"{slug}: {len(acked)} acknowledged events are lost")
        stored = evidence.number("SELECT count(*) FROM bw_event")
    strange = set().union(*(each.statuses for each in every.values())) - {200, 503}
    if strange:
        breaches["answers"] = [f"answers other than 200 and 503: {sorted(strange)}"]
    wrong = {wait for each in every.values() for wait in each.told if not (wait.isdecimal() and 1 <= int(wait) <= 30)}
    if wrong:
        breaches["retry_after"] = [f"503 with Retry-After {sorted(wrong)}"]
    heaviest = max(each["pss_mib"] for each in told.values())
    if heaviest > plan.most_megabytes:
        breaches["memory"] = [f"a web process grew to {heaviest} MiB"]
    return stored, breaches
