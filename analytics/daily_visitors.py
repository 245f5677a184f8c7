"""Daily visitors (S35): people without cookie and account, known by an id that holds for one UTC day only.

Who comes back the next day gets another id, so over several days one visitor is counted once for each. Which subjects
are daily is said by the form of their distinct id when they are made (`Subject.is_daily`); one that an identity edge
has joined to a lasting id is known from then on and no daily visitor any more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from time import monotonic
from typing import Final

import numpy as np
from django.db import connection
from pyroaring import FrozenBitMap

from analytics.tenancy import tenant_context

OF_BROWSERS: Final = "cookieless_"
OF_REQUESTS: Final = "daily-"
SALT_PERIOD: Final = "1 day (UTC)"
NOBODY: Final = FrozenBitMap()

# 32 hexadecimal digits are our own: of the doors of SDKs, and of the host's middleware. 16 bytes in base64 are
# PostHog's, as its exports have them.
_DAILY: Final = re.compile(
    rf"(?:{OF_BROWSERS}|{OF_REQUESTS})[0-9a-f]{{32}}\Z|{OF_BROWSERS}[A-Za-z0-9+/_-]{{22}}={{0,2}}\Z"
)

# Whoever is identified has a lasting id too: a person of a single id that nobody vouches for is not.
_READ: Final = """
SELECT (SELECT string_agg(int4send(id), ''::bytea) FROM bw_subject
         WHERE tenant_id = %(tenant)s AND is_daily AND id > %(after)s),
       (SELECT string_agg(int4send(id), ''::bytea) FROM bw_subject
         WHERE tenant_id = %(tenant)s AND is_daily AND is_identified)
"""

MARGIN: Final = 16_384
"""A subject this far below the newest one is there or never will be: a writer's transaction makes far fewer."""
REMEMBERED_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class _Remembered:
    """The daily subjects up to `through`, as they were read at `at`."""

    ids: FrozenBitMap
    through: int
    at: float


_remembered: dict[int, _Remembered] = {}


def is_daily_id(distinct_id: str) -> bool:
    """Whether a distinct id is one that a visitor without a cookie gets for a day."""
    return distinct_id.startswith((OF_BROWSERS, OF_REQUESTS)) and _DAILY.match(distinct_id) is not None


def daily_visitors(*, tenant_id: int, through: int) -> FrozenBitMap:
    """The persons who are daily visitors; `through` is the tenant's newest daily subject.

    Exact as of now. A process remembers all but the newest, so that one question reads the latest few thousand.
    """
    known = _remembered.get(tenant_id)
    if known is None or known.through > through or monotonic() - known.at > REMEMBERED_SECONDS:
        known = _Remembered(NOBODY, 0, monotonic())
    with tenant_context(tenant_id), connection.cursor() as cursor:
        cursor.execute(_READ, {"tenant": tenant_id, "after": known.through})
        (fresh, identified) = cursor.fetchone()
    found = known.ids | _ids(fresh)
    settled = through - MARGIN
    if settled > known.through:
        _remembered[tenant_id] = _Remembered(found[: found.rank(settled)], settled, known.at)
    return found - _ids(identified)


def _ids(packed: memoryview | bytes | None) -> FrozenBitMap:
    """Of `int4send`: four bytes each, the highest first."""
    return NOBODY if packed is None else FrozenBitMap(np.frombuffer(packed, ">u4").astype(np.uint32))
