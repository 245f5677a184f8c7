"""More than a process can store: who has to come again, what is told, and what PostgreSQL holds afterwards (R17)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest
from django.db import close_old_connections
from django.utils import timezone

from analytics.access.authentication import key_ring
from analytics.capture.asgi import CaptureApp
from analytics.capture.bodies import LARGE_BYTES, Bodies
from analytics.capture.gate import Gate
from analytics.capture.intake import Intake, Writer
from analytics.contracts import CapturedEvent, Refusal, Verdict
from analytics.models import Tenant
from analytics.writer import EventWriter, WriterBusy
from analytics.writing.loop import connect
from tests.analytics.capture.asgi_client import Answer, answered
from tests.analytics.capture.conftest import names_stored, outcomes, token_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])
WINDOW = 200
Told = tuple[int, str | None]


class Held:
    """A real writer whose connection is opened when we say so: until then whatever it is given waits."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.writer = EventWriter(workers=1, opener=self._connection)

    def _connection(self) -> psycopg.Connection[Any]:
        self.is_open.wait(10)
        return connect()


class Scene:
    """A capture application at which two tenants have sent lately, by a clock that stands still."""

    def __init__(self, writer: Writer, *tenants: Tenant, bodies: Bodies | None = None, window: int = WINDOW) -> None:
        gate = Gate(window, clock=lambda: 0.0)
        for tenant in tenants:
            gate.is_alone(tenant.pk)
        self.reasons: list[str] = []
        self.finished: list[str] = []
        self.tokens = {tenant.slug: token_of(tenant) for tenant in tenants}
        self.intake = Intake(
            keys=key_ring(), writer=lambda: writer, clock=timezone.now, renew=close_old_connections, gate=gate
        )
        self.app = CaptureApp(self.intake, refused=self.reasons.append, bodies=bodies)

    async def known(self) -> None:
        """The keys are remembered, so that nothing waits for a thread."""
        for token in self.tokens.values():
            await self.intake.key(token)

    async def batch(self, slug: str, batch: list[dict[str, Any]]) -> Answer:
        return await answered(self.app, "/batch", {"api_key": self.tokens[slug], "batch": batch})

    async def sends(self, slug: str, n: int) -> Told:
        """What new events of a tenant are answered; `finished` has the tenants in the order of their answers."""
        answer = await self.batch(slug, events(n))
        self.finished.append(slug)
        return told(answer)


def events(n: int, **members: Any) -> list[dict[str, Any]]:
    return [{"event": "page_view", "distinct_id": "user-1", "uuid": str(uuid4()), **members} for _ in range(n)]


def told(answer: Answer) -> Told:
    return answer.status, answer.headers.get("retry-after")


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.is_open.set()
    held.writer.close()


def test_a_noisy_tenant_waits_and_comes_again_while_another_passes(acme: Tenant, globex: Tenant, held: Held) -> None:
    scene = Scene(held.writer, globex, acme)

    async def play() -> tuple[list[Told], list[Told], list[Told]]:
        await scene.known()
        noisy = [asyncio.ensure_future(scene.sends("acme", 50)) for _ in range(25)]
        await asyncio.sleep(0)
        quiet = [asyncio.ensure_future(scene.sends("globex", 1)) for _ in range(3)]
        while len(scene.finished) < 19:  # two are worked on, four wait, and that is half a second's worth
            await asyncio.sleep(0.01)
        assert scene.finished == ["acme"] * 19
        keyed = [
            await answered(scene.app, "/api/v1/events/", b"never read", headers={"X-API-Key": token})
            for token in scene.tokens.values()
        ]
        held.is_open.set()
        return await asyncio.gather(*noisy), await asyncio.gather(*quiet), [told(each) for each in keyed]

    noisy, quiet, keyed = asyncio.run(play())
    scene.intake.close()
    # 400 events a second are thought to get through at first: 200 wait, and those refused stand behind one another.
    assert noisy == [(200, None)] * 6 + [(503, "1")] * 4 + [(503, "2")] * 8 + [(503, "3")] * 7
    assert quiet == [(200, None)] * 3
    assert keyed == [(400, None), (503, "3")]
    assert scene.reasons == ["share"] * 20
    assert scene.finished[19:24].count("globex") == 3  # beside what the noisy one had in work
    assert names_stored(acme) == {"page_view": 300}
    assert names_stored(globex) == {"page_view": 3}


def test_a_large_batch_lets_others_pass_between_its_pieces(acme: Tenant, globex: Tenant, held: Held) -> None:
    scene = Scene(held.writer, globex, acme)

    async def play() -> list[Told]:
        await scene.known()
        both = [asyncio.ensure_future(scene.sends("acme", 1_000)), asyncio.ensure_future(scene.sends("globex", 1))]
        await asyncio.sleep(0.05)
        held.is_open.set()
        return await asyncio.gather(*both)

    assert asyncio.run(play()) == [(200, None)] * 2
    scene.intake.close()
    assert scene.finished == ["globex", "acme"]
    assert outcomes(acme) == {"stored": 1_000}
    assert outcomes(globex) == {"stored": 1}


class Ending:
    """A real writer that takes two submissions and no more."""

    def __init__(self, writer: EventWriter) -> None:
        self.writer, self.left = writer, 2

    def submit(self, events: Sequence[CapturedEvent], refusals: Sequence[Refusal] = ()) -> Future[list[Verdict]]:
        if not self.left:
            raise WriterBusy("the writer is closed")
        self.left -= 1
        return self.writer.submit(events, refusals)


def test_a_batch_of_which_a_part_was_stored_says_so_and_counts_once_when_it_comes_again(
    acme: Tenant, globex: Tenant, writer: EventWriter
) -> None:
    scene, batch = Scene(Ending(writer), globex, acme), events(500)
    refused = asyncio.run(scene.batch("acme", batch))
    assert told(refused) == (503, "5")
    assert refused.json["detail"].endswith("The first 200 of 500 events are stored and will not count twice.")
    assert scene.reasons == ["queue"]
    assert outcomes(acme) == {"stored": 200}

    again = Scene(writer, globex, acme)
    assert told(asyncio.run(again.batch("acme", batch))) == (200, None)
    assert outcomes(acme) == {"stored": 500, "duplicate": 200}
    assert names_stored(acme) == {"page_view": 500}
    assert names_stored(globex) == {}
    for each in (scene, again):
        each.intake.close()


def test_a_batch_whose_repetition_could_not_be_known_is_stored_whole(
    acme: Tenant, globex: Tenant, writer: EventWriter
) -> None:
    """Events without an id and a time get new ids whenever they come: of those no part may be stored alone."""
    ending = Ending(writer)
    scene = Scene(ending, globex, acme)
    anonymous = [{"event": "page_view", "distinct_id": "user-1"} for _ in range(500)]
    assert told(asyncio.run(scene.batch("acme", anonymous))) == (200, None)
    scene.intake.close()
    assert ending.left == 1
    assert outcomes(acme) == {"stored": 500}
    assert names_stored(globex) == {}


def test_large_bodies_have_so_much_memory_and_no_address_all_of_it(acme: Tenant, globex: Tenant, held: Held) -> None:
    bodies = Bodies(most_bytes=6 * LARGE_BYTES)
    scene = Scene(held.writer, globex, acme, bodies=bodies, window=10_000)

    def large(slug: str) -> bytes:
        body = {"api_key": scene.tokens[slug], "batch": events(1, properties={"note": "x" * LARGE_BYTES})}
        return msgspec.json.encode(body)

    async def sends(slug: str, address: str, *, declared: bool) -> Answer:
        body = large(slug)
        headers = {"Content-Length": str(len(body))} if declared else {"Transfer-Encoding": "chunked"}
        return await answered(scene.app, "/batch", body, headers=headers, pieces=9, address=address)

    async def play() -> list[Answer]:
        await scene.known()
        tasks = [asyncio.ensure_future(sends("acme", "192.0.2.1", declared=n != 1)) for n in range(5)]
        tasks.append(asyncio.ensure_future(sends("globex", "192.0.2.2", declared=True)))
        while sum(task.done() for task in tasks) < 2:
            await asyncio.sleep(0.01)
        assert bodies.held_bytes > 4 * LARGE_BYTES
        held.is_open.set()
        return await asyncio.gather(*tasks)

    answers = asyncio.run(play())
    scene.intake.close()
    assert [told(each) for each in answers] == [(200, None)] * 3 + [(503, "5")] * 2 + [(200, None)]
    assert scene.reasons == ["memory"] * 2
    assert bodies.held_bytes == 0
    assert names_stored(acme) == {"page_view": 3}
    assert names_stored(globex) == {"page_view": 1}


def test_a_body_larger_than_all_of_that_memory_passes_alone(acme: Tenant, globex: Tenant, writer: EventWriter) -> None:
    bodies = Bodies(most_bytes=LARGE_BYTES // 2)
    scene = Scene(writer, globex, acme, bodies=bodies)
    answer = asyncio.run(scene.batch("acme", events(2, properties={"note": "x" * LARGE_BYTES})))
    scene.intake.close()
    assert told(answer) == (200, None)
    assert bodies.held_bytes == 0
    assert names_stored(acme) == {"page_view": 2}
    assert names_stored(globex) == {}
