"""How the gate shares a process between tenants, with a clock that stands still."""

from __future__ import annotations

import asyncio

import pytest

from analytics.capture import gate as module
from analytics.capture.gate import Crowded, Gate

ACME, GLOBEX, INITECH = 1, 2, 3


class Scene:
    """Requests of tenants at one gate, in the order in which they were let in."""

    def __init__(self, window: int = 100) -> None:
        self.now = 1_000.0
        self.gate = Gate(window, clock=lambda: self.now)
        self.let_in: list[tuple[int, int]] = []
        self.refused: list[tuple[int, int]] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, tenant: int, weight: int, times: int = 1) -> None:
        """So many requests at once; those that may wait do so."""
        for _ in range(times):
            task = asyncio.ensure_future(self._enter(tenant, weight))
            await asyncio.sleep(0)
            self.tasks.append(task)

    async def _enter(self, tenant: int, weight: int) -> None:
        try:
            await self.gate.enter(tenant, weight)
        except Crowded as crowded:
            self.refused.append((tenant, crowded.seconds))
        else:
            self.let_in.append((tenant, weight))

    async def end(self, tenant: int, weight: int) -> None:
        """One that was let in is answered."""
        self.gate.leave(tenant, weight)
        for _ in range(3):
            await asyncio.sleep(0)

    async def in_company(self) -> None:
        """Both tenants have sent something lately."""
        for tenant in (ACME, GLOBEX):
            await self.ask(tenant, 1)
            await self.end(tenant, 1)
        self.let_in.clear()

    def is_empty(self) -> bool:
        return not (self.gate._lines or self.gate._crowd or self.gate._working)


async def test_a_tenant_alone_passes_whatever_it_sends() -> None:
    one = Scene(window=100)
    await one.ask(ACME, 5_000, times=4)
    assert one.let_in == [(ACME, 5_000)] * 4
    for _ in range(4):
        await one.end(ACME, 5_000)
    assert one.is_empty()


async def test_in_company_one_has_half_of_the_window_and_the_other_passes_at_once() -> None:
    one = Scene(window=100)
    await one.in_company()
    await one.ask(ACME, 10, times=12)
    assert one.let_in == [(ACME, 10)] * 5
    await one.ask(GLOBEX, 10)
    assert one.let_in[5:] == [(GLOBEX, 10)]
    await one.end(GLOBEX, 10)
    assert len(one.let_in) == 6  # what has become free is less than what waits may have
    await one.end(ACME, 10)
    assert one.let_in[6:] == [(ACME, 10)]


async def test_two_who_want_everything_have_a_third_each_and_take_turns() -> None:
    one = Scene(window=90)
    await one.in_company()
    await one.ask(ACME, 10, times=20)
    await one.ask(GLOBEX, 10, times=20)
    for _ in range(4):  # what ACME took while nobody else was there comes back
        await one.end(ACME, 10)
    held = {tenant: line.working for tenant, line in one.gate._lines.items()}
    assert held == {ACME: 30, GLOBEX: 30}
    one.let_in.clear()
    for tenant in (GLOBEX, ACME) * 3:
        await one.end(tenant, 10)
    assert sorted(one.let_in) == [(ACME, 10)] * 3 + [(GLOBEX, 10)] * 3


async def test_whoever_has_nothing_here_gets_one_request_in_however_full_it_is() -> None:
    one = Scene(window=10)
    await one.ask(ACME, 1_000, times=3)
    await one.ask(GLOBEX, 40)
    await one.ask(GLOBEX, 40)
    await one.ask(INITECH, 40)
    assert one.let_in == [(ACME, 1_000)] * 3 + [(GLOBEX, 40), (INITECH, 40)]


async def test_who_is_alone_again_after_a_minute_has_everything_again() -> None:
    one = Scene(window=100)
    await one.in_company()
    await one.ask(ACME, 40, times=3)
    assert one.let_in == [(ACME, 40)]
    one.now += module.COMPANY_SECONDS + 1
    await one.end(ACME, 40)
    assert one.let_in == [(ACME, 40)] * 3


async def test_what_would_wait_too_long_is_told_when_its_turn_comes() -> None:
    one = Scene(window=100)
    await one.in_company()
    await one.ask(ACME, 50, times=3)  # one works; at first 200 events a second are thought to get through
    assert (one.let_in, one.refused) == ([(ACME, 50)], [])
    await one.ask(ACME, 50)
    assert one.refused == [(ACME, 1)]
    one.now += 1.0
    await one.end(ACME, 50)  # 50 in a second, so that 100 wait for two
    await one.ask(ACME, 50)
    one.refused.clear()
    await one.ask(ACME, 50, times=3)
    assert one.refused == [(ACME, 3), (ACME, 4), (ACME, 5)]
    await one.ask(ACME, 50, times=30)
    assert one.refused[-1] == (ACME, 30)
    with pytest.raises(Crowded):
        one.gate.check(ACME, 1)
    one.gate.check(GLOBEX, 1_000_000)
    await one.ask(GLOBEX, 50)
    assert one.let_in[-1] == (GLOBEX, 50)


async def test_what_has_waited_too_long_is_refused_and_nothing_stays_of_it() -> None:
    one = Scene(window=100)
    await one.in_company()
    await one.ask(ACME, 50, times=3)
    one.now += 2 * module.MOST_PATIENCE_SECONDS
    await asyncio.sleep(1.5 * module.SWEEP_SECONDS)
    assert [tenant for tenant, _ in one.refused] == [ACME, ACME]
    await one.end(ACME, 50)
    assert one.let_in == [(ACME, 50)]
    assert one.is_empty()


async def test_who_hangs_up_while_waiting_gives_the_place_to_the_next() -> None:
    one = Scene(window=100)
    await one.in_company()
    await one.ask(ACME, 50, times=3)
    one.tasks[-2].cancel()
    await one.end(ACME, 50)
    assert one.let_in == [(ACME, 50)] * 2
    one.tasks[-1].cancel()
    await one.end(ACME, 50)
    assert one.is_empty()


async def test_further_pieces_of_a_request_go_before_those_that_have_not_begun() -> None:
    one = Scene(window=100)
    await one.in_company()
    await one.ask(ACME, 50)
    await one.ask(ACME, 20, times=2)

    async def go_on() -> None:
        await one.gate.enter(ACME, 30, goes_on=True)
        one.let_in.append((ACME, 30))

    one.tasks.append(asyncio.ensure_future(go_on()))
    await asyncio.sleep(0)
    await one.end(ACME, 50)
    assert one.let_in == [(ACME, 50), (ACME, 30), (ACME, 20)]


async def test_the_window_shrinks_while_others_are_slow_and_grows_again() -> None:
    one = Scene(window=1_000)
    await one.in_company()
    await one.ask(ACME, 600, times=3)

    async def quiet(seconds: float) -> None:
        begun = await one.gate.enter(GLOBEX, 1)
        one.now += seconds
        one.gate.leave(GLOBEX, 1, begun)

    await quiet(0.2)
    assert one.gate._window == 950
    for _ in range(60):
        await quiet(0.06)
    assert one.gate._window == module.LEAST_WINDOW
    await quiet(0.01)
    assert one.gate._window == module.LEAST_WINDOW + module.GROW
    assert one.gate.piece == 51


async def test_the_window_grows_by_itself_when_there_is_nobody_to_spare() -> None:
    one = Scene(window=1_000)
    await one.in_company()
    one.gate._window = 200.0
    await one.ask(ACME, 100, times=3)
    await asyncio.sleep(1.5 * module.SWEEP_SECONDS)
    assert round(one.gate._window) == 220
