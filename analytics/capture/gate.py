"""The gate of a process: how much of each tenant is worked on at once, what waits its turn, and what comes again later.

A tenant that sends alone passes as if there were no gate. In company each may have in work what is still free of the
window (the dynamic threshold of Choudhury and Hahne, 1998: half of it for one who wants everything, a third each for
two), and a tenth of the largest window or one request whatever the others do; so whoever sends little never waits
behind whoever sends much. The rest waits, each tenant in its own line, and what would wait too long is refused with the
time at which its turn would come.

The window is as large as those who send little can bear: where PostgreSQL or the cores are slow it gets smaller, down
to a tenth, and whoever sends much gets less done (additive increase, multiplicative decrease, as in TCP).

All of it is arithmetic in the event loop: no lock, no round trip, no memory of a tenant that has nothing here.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Final

WINDOW_EVENTS: Final = 1_000
LEAST_WINDOW: Final = 100
LEAST_SHARE: Final = 0.1
"""Of the largest window: so much every tenant may have in work whatever the others do."""
QUICK_SECONDS: Final = 0.025
"""Nine of ten requests of those who do not crowd shall take no longer than this; else the window gets smaller."""
SHRINK, GROW = 0.05, 2.0
"""For each that took longer, and for each that did not: `SHRINK` of the window, `GROW` events."""
UNFELT_SECONDS: Final = 5.0
"""When nobody who does not crowd was here for so long, the window grows by itself, a tenth at each sweep."""
WEIGHT_BYTES: Final = 1_024
"""So many bytes of JSON weigh as much as an event, however few events they are."""
COMPANY_SECONDS: Final = 60.0
"""For so long after another tenant sent something one is not alone."""
PATIENCE_SECONDS: Final = 0.5
"""What would wait longer than this for its turn is refused at once."""
MOST_PATIENCE_SECONDS: Final = 1.5
"""What does wait so long, because it has become slower, is refused then."""
RATE_SECONDS: Final = 0.5, 2.0
"""A line's rate is known after the first, and measured anew after the second."""
MOST_SECONDS: Final = 30
SWEEP_SECONDS: Final = 0.25


class Crowded(Exception):
    """A tenant has as much waiting here as it may. `seconds` (1 to 30) is when its turn would come."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"come again in {seconds} s")
        self.seconds = seconds


class _Waiting:
    """One request that waits for its turn."""

    __slots__ = ("future", "until", "weight")

    def __init__(self, future: asyncio.Future[None], weight: int, until: float) -> None:
        self.future = future
        self.weight = weight
        self.until = until


class _Line:
    """What a tenant has here."""

    __slots__ = ("ended", "since", "waiting", "waiting_weight", "working")

    def __init__(self, now: float) -> None:
        self.working = 0
        self.waiting: deque[_Waiting] = deque()
        self.waiting_weight = 0
        self.since = now
        self.ended = 0


class Gate:
    """Lets requests of tenants in. For one event loop; `window` is in events, or KiB of JSON where that is more, and at
    most so large.
    """

    def __init__(self, window: int = WINDOW_EVENTS, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = window
        self._window = float(window)
        self._least = window * LEAST_SHARE
        self._clock = clock
        self._lines: dict[int, _Line] = {}
        self._crowd: dict[int, _Line] = {}  # those of the lines in which somebody waits
        self._working = 0
        self._rate = 2.0 * window
        self._promised: dict[int, float] = {}
        self._latest: int | None = None
        self._company_until = -math.inf
        self._is_sweeping = False
        self._felt_at = -math.inf

    @property
    def is_crowded(self) -> bool:
        """Whether anything waits."""
        return bool(self._crowd)

    @property
    def piece(self) -> int:
        """The weight of which larger requests take several turns, so that nobody waits for all of one."""
        return max(1, int(self._window / 2))

    def is_alone(self, tenant: int) -> bool:
        """Notes that this tenant sends; whether no other has lately."""
        if tenant == self._latest:
            return self._company_until < self._clock()
        if self._latest is not None:
            self._company_until = self._clock() + COMPANY_SECONDS
        self._latest = tenant
        return self._company_until < self._clock()

    def check(self, tenant: int, weight: int) -> None:
        """Raises `Crowded` for what could not even wait: asked before its body is looked at."""
        line = self._crowd.get(tenant)
        if line is not None and not self.is_alone(tenant):
            self._refuse_crowded(tenant, line, weight)

    async def enter(self, tenant: int, weight: int, *, goes_on: bool = False) -> float:
        """The instant at which it is this request's turn; `leave` has to follow. Raises `Crowded`.

        `goes_on`: a further piece of a request, which goes before those that have not begun.
        """
        line = self._lines.get(tenant)
        if line is None:
            line = self._lines[tenant] = _Line(self._clock())
        if not line.waiting and (self.is_alone(tenant) or self._may_start(line, weight)):
            self._start(line, weight)
        else:
            await self._wait(tenant, line, weight, goes_on)
        return self._clock()

    def leave(self, tenant: int, weight: int, begun: float | None = None) -> None:
        """The request that came in at this instant is answered, or its piece is done."""
        line = self._lines[tenant]
        if self._crowd and begun is not None and tenant not in self._crowd:
            self._fit_window(begun, self._clock())
        line.working -= weight
        line.ended += weight
        self._working -= weight
        if self._crowd:
            self._call_in(tenant)
        if not line.working and not line.waiting:
            del self._lines[tenant]

    def _fit_window(self, begun: float, ended: float) -> None:
        """Somebody who does not crowd was here so long while others do."""
        self._felt_at = ended
        if ended - begun > QUICK_SECONDS:
            self._window = max(self._window * (1 - SHRINK), min(LEAST_WINDOW, self._most))
        else:
            self._window = min(self._window + GROW, self._most)

    def _may_start(self, line: _Line, weight: int) -> bool:
        return not line.working or line.working + weight <= max(self._window - self._working, self._least)

    def _start(self, line: _Line, weight: int) -> None:
        line.working += weight
        self._working += weight

    async def _wait(self, tenant: int, line: _Line, weight: int, goes_on: bool) -> None:
        now = self._clock()
        if not goes_on:
            self._refuse_crowded(tenant, line, weight)
        if not line.waiting:
            line.since, line.ended = now, 0
            self._crowd[tenant] = line
        waiting = _Waiting(asyncio.get_running_loop().create_future(), weight, now + MOST_PATIENCE_SECONDS)
        (line.waiting.appendleft if goes_on else line.waiting.append)(waiting)
        line.waiting_weight += weight
        self._sweep_later()
        try:
            await waiting.future
        except asyncio.CancelledError:
            self._give_up(tenant, line, waiting)
            raise

    def _refuse_crowded(self, tenant: int, line: _Line, weight: int) -> None:
        now = self._clock()
        rate = self._rate_of(line, now)
        if line.waiting and line.waiting_weight + weight > max(self._most / 2, rate * PATIENCE_SECONDS):
            raise Crowded(self._turn_of(tenant, line.waiting_weight, weight, rate, now))

    def _turn_of(self, tenant: int, ahead: int, weight: int, rate: float, now: float) -> int:
        """Seconds until what is refused would be through behind what waits and what was refused before it."""
        if len(self._promised) > MOST_SECONDS * 10:
            self._promised = {each: at for each, at in self._promised.items() if at > now}
        begin = max(now + ahead / rate, self._promised.get(tenant, 0.0))
        end = self._promised[tenant] = min(begin + weight / rate, now + MOST_SECONDS)
        return min(max(math.ceil(end - now), 1), MOST_SECONDS)

    def _rate_of(self, line: _Line, now: float) -> float:
        """Events a second that get through a line of somebody who always has more."""
        elapsed = now - line.since
        if elapsed >= RATE_SECONDS[0]:
            self._rate = max(line.ended / elapsed, 1.0)
            if elapsed >= RATE_SECONDS[1]:
                line.since, line.ended = now, 0
        return self._rate

    def _call_in(self, first: int) -> None:
        """Those whose turn it is: of the tenant that has just left, then of the others while there is room."""
        self._call_in_of(first)
        for tenant in list(self._crowd):
            if self._working >= self._window:
                return
            self._call_in_of(tenant)

    def _call_in_of(self, tenant: int) -> None:
        line = self._crowd.get(tenant)
        if line is None:
            return
        is_alone = tenant == self._latest and self._company_until < self._clock()
        while line.waiting and (is_alone or self._may_start(line, line.waiting[0].weight)):
            waiting = line.waiting.popleft()
            line.waiting_weight -= waiting.weight
            if not waiting.future.done():
                self._start(line, waiting.weight)
                waiting.future.set_result(None)
        self._crowd.pop(tenant)
        if line.waiting:
            self._crowd[tenant] = line  # at the end: others are asked first the next time

    def _give_up(self, tenant: int, line: _Line, waiting: _Waiting) -> None:
        """Who waited was cancelled, perhaps just after being called in."""
        future = waiting.future
        if future.done() and not future.cancelled() and future.exception() is None:
            self.leave(tenant, waiting.weight)
        elif waiting in line.waiting:
            line.waiting.remove(waiting)
            line.waiting_weight -= waiting.weight
            self._forget_empty(tenant, line)

    def _forget_empty(self, tenant: int, line: _Line) -> None:
        if not line.waiting:
            self._crowd.pop(tenant, None)
            if not line.working:
                self._lines.pop(tenant, None)

    def _sweep_later(self) -> None:
        if not self._is_sweeping:
            self._is_sweeping = True
            asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Refuses what has waited too long: nothing may hang because PostgreSQL does."""
        now = self._clock()
        self._is_sweeping = False
        for tenant, line in list(self._crowd.items()):
            rate = self._rate_of(line, now)
            while line.waiting and line.waiting[0].until < now:
                waiting = line.waiting.popleft()
                line.waiting_weight -= waiting.weight
                if not waiting.future.done():
                    waiting.future.set_exception(
                        Crowded(self._turn_of(tenant, line.waiting_weight, waiting.weight, rate, now))
                    )
            self._forget_empty(tenant, line)
        if self._crowd:
            self._sweep_later()
            if now - self._felt_at > UNFELT_SECONDS:
                self._window = min(self._window * 1.1, self._most)
