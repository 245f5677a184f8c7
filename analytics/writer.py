"""The one way into the event store: `write_batch` in the caller's transaction, `EventWriter` for everybody else."""

from __future__ import annotations

from analytics.writing.batch import write_batch
from analytics.writing.loop import EventWriter, WriterBusy

__all__ = ["EventWriter", "WriterBusy", "write_batch"]
