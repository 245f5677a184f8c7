"""Rate limits that hold over all processes: one atomic Lua script per request (GCRA), for key and tenant together.

GCRA keeps one number per bucket, the theoretical arrival time: exact, without windows whose edges let twice the rate
through. While Redis is away each process counts for itself with the same numbers, so that the limit becomes at most
the number of processes times as high instead of the API going down (documented in the README).
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
import redis
from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from analytics.access.addresses import client_address, networks_parse
from analytics.access.keys import KeyInfo

if TYPE_CHECKING:  # the REST framework loads this module while it makes APIView
    from rest_framework.views import APIView

logger = logging.getLogger(__name__)

TENANT_SHARE: Final = 10  # a tenant may do ten times what one of its credentials may
LOGINS_PER_MINUTE: Final = 10
RENEWALS_PER_MINUTE: Final = 120  # a whole office behind one address; a signed token cannot be guessed
MINUTE: Final = 60.0
RETRY_REDIS_SECONDS: Final = 1.0
LOCAL_BUCKETS: Final = 10_000

# KEYS: buckets. ARGV: for each bucket the emission interval and the tolerance, in microseconds.
# Either every bucket takes the request or none does. %.0f because Lua would print big numbers as 1.7e+15.
GCRA: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local wait, left, reset, arrivals = 0, nil, 0, {}
for i, key in ipairs(KEYS) do
  local interval, tolerance = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local arrival = math.max(tonumber(redis.call('GET', key) or now), now) + interval
  wait = math.max(wait, arrival - tolerance - now)
  local room = math.floor((now + tolerance - arrival) / interval)
  if left == nil or room < left then left, reset = room, arrival - now end
  arrivals[i] = arrival
end
if wait <= 0 then
  for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', arrivals[i]), 'PX', math.ceil((arrivals[i] - now) / 1000) + 1)
  end
end
return {string.format('%.0f', wait), left, string.format('%.0f', reset)}
"""


class Limit(msgspec.Struct, frozen=True):
    """At most `burst` at once, refilled over `period` seconds."""

    name: str
    burst: int
    period: float

    @property
    def interval(self) -> float:
        """Seconds between two requests at the steady rate."""
        return self.period / self.burst


class Decision(msgspec.Struct, frozen=True):
    """The answer for one request: allowed when `wait` is 0; `left` and `reset` are of the tightest bucket."""

    wait: float
    left: int
    reset: float

    @property
    def is_allowed(self) -> bool:
        return self.wait <= 0


class Gcra:
    """Counts in Redis, in this process while Redis is away."""

    def __init__(self, url: str) -> None:
        self._redis: Any = redis.Redis.from_url(url, socket_timeout=0.25, socket_connect_timeout=0.25)
        self._script = self._redis.register_script(GCRA)
        self._away_until = 0.0
        self._lock = threading.Lock()
        self._local: OrderedDict[str, float] = OrderedDict()

    def take(self, limits: Sequence[Limit]) -> Decision:
        """Take one request out of every bucket, or out of none."""
        if time.monotonic() >= self._away_until:
            try:
                return self._take_shared(limits)
            except redis.RedisError:
                self._away_until = time.monotonic() + RETRY_REDIS_SECONDS
                logger.warning("Redis is away: rate limits are counted in each process for now")
        return self._take_local(limits)

    def _take_shared(self, limits: Sequence[Limit]) -> Decision:
        micro = [round(value * 1e6) for limit in limits for value in (limit.interval, limit.period)]
        wait, left, reset = self._script(keys=[f"bw:rate:{limit.name}" for limit in limits], args=micro)
        return Decision(max(0.0, float(wait) / 1e6), max(0, int(left)), float(reset) / 1e6)

    def _take_local(self, limits: Sequence[Limit]) -> Decision:
        now = time.monotonic()
        with self._lock:
            arrivals = [max(self._local.get(limit.name, now), now) + limit.interval for limit in limits]
            decision = _decide(now, limits, arrivals)
            if decision.is_allowed:
                self._keep(limits, arrivals)
            return decision

    def _keep(self, limits: Sequence[Limit], arrivals: Sequence[float]) -> None:
        for limit, arrival in zip(limits, arrivals, strict=True):
            self._local[limit.name] = arrival
            self._local.move_to_end(limit.name)
        while len(self._local) > LOCAL_BUCKETS:
            self._local.popitem(last=False)


def _decide(now: float, limits: Sequence[Limit], arrivals: Sequence[float]) -> Decision:
    pairs = list(zip(limits, arrivals, strict=True))
    wait = max(arrival - limit.period - now for limit, arrival in pairs)
    # A hair's breadth of tolerance: sums of floats may pass the edge by less than a microsecond.
    wait = wait if wait > 1e-6 else 0.0
    left, reset = min((math.floor((now + limit.period - at) / limit.interval + 1e-6), at - now) for limit, at in pairs)
    return Decision(wait, max(0, left), reset)


@cache
def gcra() -> Gcra:
    """The counter of this process."""
    return Gcra(settings.REDIS_URL)


class TenantThrottle(BaseThrottle):
    """`API_RATE_PER_MINUTE` for each credential, ten times that for its tenant; 0 switches both off."""

    decision: Decision | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        limits = self.limits(request)
        if not limits:
            return True
        self.decision = gcra().take(limits)
        request._request.rate_limit = (limits[0], self.decision)  # type: ignore[attr-defined]
        return self.decision.is_allowed

    def wait(self) -> float | None:
        """Seconds until the next request would be taken."""
        return self.decision.wait if self.decision else None

    def limits(self, request: Request) -> list[Limit]:
        """The buckets this request is taken from."""
        rate, credential = settings.API_RATE_PER_MINUTE, request.auth
        if not rate or not isinstance(credential, KeyInfo):
            return []
        return [
            Limit(f"{credential.tenant.id}:{credential.actor}", rate, MINUTE),
            Limit(f"{credential.tenant.id}", rate * TENANT_SHARE, MINUTE),
        ]


class LoginThrottle(TenantThrottle):
    """Ten log-ins a minute for an address and for a name, so that passwords cannot be tried at speed."""

    def limits(self, request: Request) -> list[Limit]:
        name = request.data.get("username", "") if isinstance(request.data, dict) else ""
        return login_limits(request, str(name))


class RenewalThrottle(TenantThrottle):
    """Access tokens are renewed all day: limited by address alone, in a bucket beside that of log-ins."""

    def limits(self, request: Request) -> list[Limit]:
        return [Limit(f"renewal:address:{_address(request)}", RENEWALS_PER_MINUTE, MINUTE)]


def login_limits(request: Request | HttpRequest, name: str) -> list[Limit]:
    """The buckets of a log-in, of an address and of a name; the sign-in page counts into the same ones."""
    return [
        Limit(f"login:address:{_address(request)}", LOGINS_PER_MINUTE, MINUTE),
        Limit(f"login:name:{name[:150].casefold()}", LOGINS_PER_MINUTE, MINUTE),
    ]


def _address(request: Request | HttpRequest) -> str:
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return client_address(request.META.get("REMOTE_ADDR", ""), forwarded, networks_parse(settings.TRUSTED_PROXIES))


def rate_headers(limit: Limit | None = None, decision: Decision | None = None) -> dict[str, str]:
    """The `RateLimit-*` headers of an answer, none when nothing was counted; seconds are rounded up."""
    if limit is None or decision is None:
        return {}
    return {
        "RateLimit-Limit": str(limit.burst),
        "RateLimit-Remaining": str(decision.left),
        "RateLimit-Reset": str(math.ceil(decision.reset)),
    }
