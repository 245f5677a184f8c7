"""News that travels upward: the apps above listen, nothing below knows them.

`counting_due(tenant_id, now)` asks whoever counts to count what is dirty before it returns, because events are about to
go. `subject_erasing(tenant_id, subjects, names, now, using)` is sent inside the transaction of an erasure: listeners
change their own tables in it, and answer how many rows. `events_stored(tenant_id, names)`, `subject_erased(tenant_id,
subject_ids)` and `buckets_refreshed(tenant_id, start, end)` are sent after COMMIT, and are hints: a listener that
misses one must still come right by its own schedule.
"""

from __future__ import annotations

from django.dispatch import Signal

counting_due = Signal()
subject_erasing = Signal()
events_stored = Signal()
subject_erased = Signal()
buckets_refreshed = Signal()
