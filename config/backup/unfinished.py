"""A note in the home while a restore is at work: nothing of the product starts beside it, or after one was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from analytics.durable import write_whole

NOTE: Final = "restore.unfinished"
Phase = Literal["preparing", "switching"]


class Note(msgspec.Struct):
    """Which backup, and whether anything of the former installation has been touched."""

    backup: str
    phase: Phase


def note_path() -> Path:
    return Path(settings.BELLWETHER_HOME) / NOTE


def note_write(backup: Path, phase: Phase) -> None:
    write_whole(note_path(), msgspec.json.encode(Note(str(backup), phase)), mode=0o600)


def note_remove() -> None:
    note_path().unlink(missing_ok=True)


def note_read() -> Note | None:
    """What a restore that did not come to its end has left, if there was one."""
    try:
        return msgspec.json.decode(note_path().read_bytes(), type=Note)
    except FileNotFoundError:
        return None


def refuse_half_restored() -> None:
    """Raise ImproperlyConfigured after a restore that did not come to its end."""
    note = note_read()
    if note is None:
        return
    otherwise = (
        f" Nothing has been replaced yet: to go on with what was there instead, remove {note_path()}."
        if note.phase == "preparing"
        else ""
    )
    raise ImproperlyConfigured(
        f"A restore of {note.backup} has not come to its end. Run `manage.py restore {note.backup}` again; if it is "
        f"still at work, wait.{otherwise}"
    )
