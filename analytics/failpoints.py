"""Places where a process may be made to die, so that a test can kill it at every step and not at random ones.

ANALYTICS_FAILPOINT=seal.after_rename:kill ends the process there as kill -9 would; `:raise` raises instead, and a
third part is the number of times the point must be reached first: seal.after_rename:kill:2.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Final

VARIABLE: Final = "ANALYTICS_FAILPOINT"

POINTS: Final = (
    "seal.after_take",  # marks deleted in the open transaction
    "seal.after_read",  # events sorted in memory, nothing on disk
    "seal.after_write",  # a file under its temporary name
    "seal.after_fsync",
    "seal.after_rename",
    "seal.after_folder_fsync",
    "seal.after_verify",  # all files of a piece in place and checked
    "seal.before_commit",  # the manifest flipped in the open transaction
    "seal.after_commit",
    "garbage.after_rows",  # the manifest has forgotten a piece whose files are still there
    "garbage.after_unlink",  # one file of several is gone
    "erasure.after_log",  # written down for restores, nobody is refused yet
    "erasure.after_commit",  # erased in PostgreSQL, the lake still holds it
    "erasure.after_seal",  # rewritten, the former files are still there
    "erasure.after_purge",  # gone from the lake, no receipt yet
    "retention.before_floors",  # floors raised in the open transaction
    "retention.after_floors",  # hours are frozen, every event is still there
    "retention.after_detach",  # a month without its table being dropped
    "retention.after_drop",
    "retention.after_batch",  # some events of many are gone
    "retention.after_events",  # gone from PostgreSQL, what belongs to them is still there
    "retention.after_rows",  # the lake still holds them
    "retention.after_lake",  # nothing is left to do but to say so
    "backup.after_first_files",  # most of the lake is copied, no snapshot is held
    "backup.after_lake",  # every file that the snapshot names is copied
    "backup.while_dumping",
    "backup.after_dump",  # all is there but the digests
    "backup.after_manifest",  # complete, under the name of an unfinished one
    "backup.after_rename",  # a backup; older ones have not been let go of
    "restore.after_gathering",  # whoever was erased since is written down
    "restore.after_lake",  # files that no manifest names
    "restore.while_filling",
    "restore.after_database",  # complete, under another name
    "restore.after_farewell",  # the product has no database
    "restore.after_secrets",
    "restore.after_switch",  # restored, the former database is still there
    "restore.while_erasing",  # some of many have been erased again
    "restore.after_proof",  # nothing is left to do but to say so
)


class FailpointReached(Exception):
    """What a point raises under `:raise`."""


_reached: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Die here if the environment says so."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    point, action, *times = wanted.split(":")
    if point != name:
        return
    _reached[name] += 1
    if _reached[name] != int(times[0] if times else 1):
        return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise FailpointReached(name)
