"""News that travels upward: the apps above listen, nothing below knows them.

`events_stored(tenant_id, names)`, `subject_erased(tenant_id, subject_ids)` and `buckets_refreshed(tenant_id, start,
end)` are sent after COMMIT, and are hints: a listener that misses one must still come right by its own schedule.
"""

from __future__ import annotations

from django.dispatch import Signal

events_stored = Signal()
subject_erased = Signal()
buckets_refreshed = Signal()
