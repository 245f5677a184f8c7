"""The process's own way out for events that are in nobody's transaction.

`put` never waits and never raises. When the tenant is known (the usual case) the event is normalised at once and given
to the spooled writer, which stores it within 250 ms or keeps it in an fsynced file while PostgreSQL is away. Only a
tenant that this machine has never seen makes an event wait in memory, until a thread has found it.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
from django.db import connections
from django.utils import timezone

from analytics.capture.faults import dropped, fault_note, guarded
from analytics.capture.normalise import Arrival, event_of
from analytics.capture.options import capture_options
from analytics.contracts import CapturedEvent, Refusal, TenantInfo
from analytics.spool import SpooledWriter, spool_folder
from analytics.tenancy import UnknownTenant, tenant_by_slug

logger = logging.getLogger("bellwether.capture")

TENANT_FRESH_SECONDS = 60.0
UNKNOWN_FRESH_SECONDS = 10.0
MAX_WAITING = 10_000


class Message(msgspec.Struct, frozen=True):
    """An event of the host that still has to become a `CapturedEvent` of `tenant` (a slug).

    `is_clean` promises that no text in it holds NUL or a lone surrogate.
    """

    tenant: str
    source: str
    body: dict[str, Any]
    sensitive: Mapping[str, Any] | None = None
    is_clean: bool = False
    is_prefetch: bool = False

    def normalised(self, tenant: TenantInfo, now: datetime) -> CapturedEvent | Refusal:
        """The event as every door makes it; free text goes to the encrypted part."""
        arrival = Arrival(
            tenant=tenant, received_at=now, source=self.source, is_clean=self.is_clean, is_prefetch=self.is_prefetch
        )
        event = event_of(self.body, arrival)
        if self.sensitive and isinstance(event, CapturedEvent):
            event.sensitive = {**event.sensitive, **self.sensitive}
        return event


class TenantDirectory:
    """The tenants this process writes for: kept in memory, and on disk for a start while PostgreSQL is away."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[TenantInfo, float]] = {}
        self._unknown: dict[str, float] = {}

    def known(self, slug: str) -> TenantInfo | None:
        """What is known, however old: an answer now is worth more than a fresh one later."""
        found = self._known.get(slug)
        return found[0] if found else None

    def is_stale(self, slug: str) -> bool:
        """Whether it is time to look again."""
        found = self._known.get(slug)
        return found is None or time.monotonic() - found[1] > TENANT_FRESH_SECONDS

    def is_unknown(self, slug: str) -> bool:
        """Whether PostgreSQL said a moment ago that there is no such tenant."""
        return time.monotonic() - self._unknown.get(slug, -UNKNOWN_FRESH_SECONDS) < UNKNOWN_FRESH_SECONDS

    def refresh(self, slug: str) -> TenantInfo | None:
        """Looks into PostgreSQL. None when there is no such tenant; raises when PostgreSQL is away."""
        try:
            tenant = tenant_by_slug(slug, using=capture_options().database)
        except UnknownTenant:
            self._unknown[slug] = time.monotonic()
            self._known.pop(slug, None)
            return None
        self._known[slug] = (tenant, time.monotonic())
        self._remember(tenant)
        return tenant

    def recall(self, slug: str) -> None:
        """Takes what this machine knew the last time; only while PostgreSQL cannot be asked."""
        if slug in self._known:
            return
        with suppress(OSError, msgspec.MsgspecError):
            tenant = msgspec.json.decode((spool_folder() / f"tenant-{slug}.json").read_bytes(), type=TenantInfo)
            self._known[slug] = (tenant, float("-inf"))

    def clear(self) -> None:
        """Forgets what is in memory; for tests."""
        self._known.clear()
        self._unknown.clear()

    def _remember(self, tenant: TenantInfo) -> None:
        with guarded("tenant_file"):
            folder = spool_folder()
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            target = folder / f"tenant-{tenant.slug}.json"
            draft = target.with_suffix(f".{os.getpid()}.tmp")
            draft.write_bytes(msgspec.json.encode(tenant))
            draft.replace(target)


class Outlet:
    """One per process. Threads may share it; a fork begins with an empty one."""

    def __init__(self) -> None:
        self.tenants = TenantDirectory()
        self.begin()

    def begin(self) -> None:
        """Starts empty: a forked child must not send what its parent will."""
        self._lock = threading.Lock()
        self._waiting: deque[Message] = deque()
        self._asked: set[str] = set()
        self._bell = threading.Event()
        self._thread: threading.Thread | None = None
        self._writer: SpooledWriter | None = None

    def put(self, batch: Sequence[Message]) -> None:
        """Takes messages over. Never waits for the network and never raises; what is given up is counted."""
        with guarded("outlet"):
            now = timezone.now()
            for message in batch:
                self._place(message, now)
                if self.tenants.is_stale(message.tenant):
                    self._ask(message.tenant)

    def flush(self, timeout: float = 10.0) -> bool:
        """Waits until everything taken over is stored or on disk; False when time ran out."""
        end = time.monotonic() + timeout
        while self._waiting and time.monotonic() < end:
            self._bell.set()
            time.sleep(0.01)
        done = self._writer.flush(timeout=max(0.0, end - time.monotonic())) if self._writer else True
        return bool(done) and not self._waiting

    def close(self) -> None:
        """Stores or spools what is left; at the end of the process."""
        with guarded("outlet_close"):
            self.flush(timeout=2.0)
            if self._waiting:
                dropped("unknown_tenant_at_exit", len(self._waiting))
            if self._writer is not None:
                self._writer.close()
        self._writer = None

    def _place(self, message: Message, now: datetime) -> None:
        if self._is_settled(message, now):
            return
        if len(self._waiting) >= MAX_WAITING:
            dropped("too_many_waiting")
        else:
            self._waiting.append(message)

    def _is_settled(self, message: Message, now: datetime) -> bool:
        """Whether the message was written, or given up because PostgreSQL knows no such tenant."""
        tenant = self.tenants.known(message.tenant)
        if tenant is not None:
            self._write(message.normalised(tenant, now))
            return True
        if self.tenants.is_unknown(message.tenant):
            dropped("unknown_tenant")
            return True
        return False

    def _write(self, outcome: CapturedEvent | Refusal) -> None:
        writer = self._writer or self._open()
        if isinstance(outcome, Refusal):
            writer.put([], [outcome])
        else:
            writer.put([outcome])

    def _open(self) -> SpooledWriter:
        with self._lock:
            if self._writer is None:
                self._writer = SpooledWriter(spool_folder())
            return self._writer

    def _ask(self, slug: str) -> None:
        """Has the thread look the tenant up: the caller may be an event loop or a request in a hurry."""
        if slug in self._asked:
            return
        with self._lock:
            self._asked.add(slug)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._look_up, name="bellwether-outlet", daemon=True)
                self._thread.start()
        self._bell.set()

    def _look_up(self) -> None:
        """The thread: asks for tenants, and sends on what waited for them; tries again while PostgreSQL is away."""
        pause = None
        while True:
            self._bell.wait(pause)
            if self._thread is not threading.current_thread():
                return  # `begin` has begun anew, and whoever asks next starts another one
            self._bell.clear()
            with self._lock:
                asked = set(self._asked)
            try:
                for slug in asked:
                    self.tenants.refresh(slug)
                    with self._lock:
                        self._asked.discard(slug)
                pause = None
            except Exception:
                fault_note("tenant_lookup")
                for slug in asked:
                    self.tenants.recall(slug)
                pause = 1.0
            finally:
                connections.close_all()
            self._release()

    def _release(self) -> None:
        """Sends on what waited. A message stays in the queue until it is placed, so that `flush` does not miss it."""
        now, waiting = timezone.now(), self._waiting  # `begin` may put another queue in its place meanwhile
        for _ in range(len(waiting)):
            message, is_settled = waiting[0], True
            with guarded("outlet"):
                is_settled = self._is_settled(message, now)
            waiting.popleft()
            if not is_settled:
                waiting.append(message)


outlet = Outlet()
os.register_at_fork(after_in_child=outlet.begin)
atexit.register(outlet.close)
