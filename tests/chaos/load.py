"""Clients that behave like SDKs: they repeat what was not acknowledged, and sometimes what was.

The ledger of a client is the oracle: an id is written and fsynced there only after the server said 200.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

NAMES = ("$pageview", "order_completed", "signed_up", "gift_sent", "payment_settled", "payment_failed", "message_sent")
POISON: tuple[dict[str, Any], ...] = (
    {"event": "x" * 500},
    {"event": "bad_amount", "properties": {"revenue": 5, "currency": "ZZZ"}},
    {"event": "too_far", "timestamp": "2199-01-01T00:00:00Z"},
    {"event": "huge", "properties": {"n": 10**400}},
)
REPEAT_SHARE = 0.1
POISON_SHARE = 0.02
DROP_SHARE = 0.02
LATE_SHARE, LATE_SECONDS = 0.02, 3 * 86_400
# A wrong clock is wrong for the event and for the moment of sending alike; retries add some drift of their own.
CLOCK_ERRORS = (timedelta(0), timedelta(0), timedelta(hours=3), timedelta(days=-400), timedelta(days=3650))
DRIFT_SECONDS = 30.0


@dataclass
class Ledger:
    """What one client knows. `acked` are good events that the server acknowledged, by tenant."""

    path: Path
    acked: list[tuple[str, str]] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    deliveries: Counter[str] = field(default_factory=Counter)
    poison_acked: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    longest_silence: float = 0.0

    def acknowledge(self, tenant: str, ids: list[str]) -> None:
        with self.path.open("a") as file:
            file.writelines(f"{tenant} {each}\n" for each in ids)
            file.flush()
            os.fsync(file.fileno())
        self.acked.extend((tenant, each) for each in ids)


class Client(threading.Thread):
    """Sends batches to one server until told to stop, then goes on until its last batch is acknowledged."""

    def __init__(
        self, *, port: int, keys: dict[str, str], seed: int, ledger: Ledger, budget: int, stop: threading.Event
    ):
        super().__init__(daemon=True)
        self._port, self._keys, self._random, self._stop_asked = port, keys, random.Random(seed), stop
        self._budget = budget
        self._past: list[tuple[str, list[dict[str, Any]]]] = []
        self._connection: http.client.HTTPConnection | None = None
        self._clock_error = CLOCK_ERRORS[seed % len(CLOCK_ERRORS)]
        self.ledger = ledger

    def run(self) -> None:
        made = 0
        while made < self._budget and not self._stop_asked.is_set():
            tenant, batch = self._again() or self._fresh()
            made += len(batch)
            self._deliver(tenant, batch)
        self._hang_up()

    def _again(self) -> tuple[str, list[dict[str, Any]]] | None:
        if self._past and self._random.random() < REPEAT_SHARE:
            return self._random.choice(self._past)
        return None

    def _fresh(self) -> tuple[str, list[dict[str, Any]]]:
        tenant = self._random.choice(sorted(self._keys))
        batch = [self._event() for _ in range(self._random.choice((1, 5, 20, 100)))]
        self._past = [*self._past[-50:], (tenant, batch)]
        return tenant, batch

    def _event(self) -> dict[str, Any]:
        pick = self._random
        is_late = pick.random() < LATE_SHARE
        age = pick.uniform(0, LATE_SECONDS) if is_late else pick.expovariate(1 / 600)
        at = datetime.now(UTC) + self._clock_error - timedelta(seconds=60 + age)
        user = f"user-{pick.randrange(500) if is_late else int(pick.paretovariate(1.2)) % 500}"
        if pick.random() < (0.5 if is_late else 0.2):
            user = f"anon-{user}"  # what it was called before it signed in
        event: dict[str, Any] = {
            "uuid": str(uuid.UUID(int=pick.getrandbits(128), version=4)),
            "event": pick.choice(NAMES),
            "distinct_id": user,
            "timestamp": at.isoformat(),
            "properties": {"revenue": round(pick.uniform(1, 90), 2), "currency": "EUR", "country": pick.choice("DFGN")},
        }
        if pick.random() < POISON_SHARE:
            event |= {**pick.choice(POISON), "poison": True}
        elif pick.random() < 0.02:
            known = f"user-{pick.randrange(500)}"
            event |= {"event": "$identify", "distinct_id": known, "properties": {"$anon_distinct_id": f"anon-{known}"}}
        self.ledger.sent.add(event["uuid"])
        return event

    def _deliver(self, tenant: str, batch: list[dict[str, Any]]) -> None:
        """Repeat the batch, with the same ids, until it is acknowledged: this is what an SDK's queue does."""
        began, pause = time.monotonic(), 0.05
        while not self._post(tenant, batch):
            if self._stop_asked.is_set() and time.monotonic() - began > 60:
                return
            time.sleep(pause * self._random.uniform(0.5, 1.5))
            pause = min(pause * 2, 1.0)
        self.ledger.longest_silence = max(self.ledger.longest_silence, time.monotonic() - began)
        good = [event["uuid"] for event in batch if "poison" not in event]
        self.ledger.acknowledge(tenant, good)
        self.ledger.deliveries[tenant] += len(batch)
        self.ledger.poison_acked[tenant] += len(batch) - len(good)

    def _post(self, tenant: str, batch: list[dict[str, Any]]) -> bool:
        try:
            connection = self._connect()
            connection.request("POST", "/batch/", self._body(tenant, batch), {"Content-Type": "application/json"})
            if self._random.random() < DROP_SHARE:
                connection.close()  # the answer is never read: it may be stored, we cannot know
                return False
            answer = connection.getresponse()
            answer.read()
            self.ledger.statuses[answer.status] += 1
            return answer.status == 200
        except (OSError, http.client.HTTPException):
            self.ledger.statuses[0] += 1
            self._hang_up()
            return False

    def _body(self, tenant: str, batch: list[dict[str, Any]]) -> str:
        now = datetime.now(UTC) + self._clock_error + timedelta(seconds=self._random.uniform(-1, 1) * DRIFT_SECONDS)
        events = [{key: value for key, value in event.items() if key != "poison"} for event in batch]
        return json.dumps({"api_key": self._keys[tenant], "batch": events, "sent_at": now.isoformat()})

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
        return self._connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class Asker(threading.Thread):
    """An operator who asks for roll-ups all the while. `accepted` are the jobs that the API promised (202)."""

    def __init__(self, *, port: int, keys: dict[str, str], stop: threading.Event):
        super().__init__(daemon=True)
        self._port, self._keys, self._stop_asked = port, keys, stop
        self.accepted: list[str] = []

    def run(self) -> None:
        today, turn = datetime.now(UTC).date(), 0
        while not self._stop_asked.wait(2.0):
            turn += 1
            body = json.dumps({"kind": "rollup", "from": str(today - timedelta(days=1 + turn % 3)), "to": str(today)})
            for key in self._keys.values():
                self._ask(body, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})

    def _ask(self, body: str, headers: dict[str, str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
        try:
            connection.request("POST", "/api/v1/jobs/", body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status == 202:
                self.accepted.append(json.loads(content)["id"])
        except (OSError, http.client.HTTPException, ValueError):
            pass  # not promised, so nothing is owed
        finally:
            connection.close()
