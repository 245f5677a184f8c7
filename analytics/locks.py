"""Advisory locks of a tenant that more than one app takes, always in this order. The first two are held until the
transaction ends."""

from __future__ import annotations

from typing import Final

COUNTING: Final = 0x42570001
"""Exclusive for one refresh of the tenant's roll-ups, and while it is moved from when on its events are kept; shared by
parts of a backfill."""

KEEPING: Final = 0x42570002
"""Shared by writers of events that are days old, exclusive while it is moved from when on events are kept: so no
writer in flight knows a former answer."""

LOADING: Final = 0x42570003
"""Shared by whoever loads much history, as long as it takes; nobody ever waits for it, see `loading.py`."""
