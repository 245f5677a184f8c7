"""Secrets, files and the disk of this machine."""

from __future__ import annotations

import base64
import binascii
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from django.conf import settings
from django.contrib.staticfiles import finders

from analytics.capture.watch import BadNetworks, networks_read
from analytics.erased import Erased, erased_append, erased_log
from analytics.partitions import partitions_list
from analytics.rotation import WrongOrder, digests_check, old_keys_used
from analytics.sealing import keyring
from analytics.spool import spool_folder
from config.backup.erasures import erasures_unlogged
from config.doctor import Finding, check

SHORT_KEY: Final = 40
FEW_CHARACTERS: Final = 12
DAYS_WARNING, DAYS_ERROR = 30, 7
LITTLE_BYTES: Final = 2**30
SPOOL_SHARE: Final = 0.5
PAGE_FILES: Final = ("admin/css/base.css", "bellwether/admin.css")
OWN_KEY: Final = 'python -c "import secrets; print(secrets.token_urlsafe(50))"'


@check("secrets", "Keys are strong, and nothing that helps a stranger is switched on")
def secrets(now: datetime) -> Iterator[Finding]:
    if is_weak(settings.SECRET_KEY):
        yield Finding(
            "error", "SECRET_KEY is short or simple: sessions can be forged.", f"Set it to the output of {OWN_KEY}"
        )
    if not all(_is_field_key(key) for key in settings.FIELD_ENCRYPTION_KEY.split(",")):
        yield Finding(
            "error",
            "FIELD_ENCRYPTION_KEY is not 32 random bytes in base64.",
            'Set it before the first event: python -c "import base64,os; '
            'print(base64.urlsafe_b64encode(os.urandom(32)).decode())"',
        )
    if settings.METRICS_TOKEN and is_weak(settings.METRICS_TOKEN, shortest=20):
        yield Finding("warning", "METRICS_TOKEN can be guessed.", f"Set it to the output of {OWN_KEY}")
    if settings.DEBUG:
        yield Finding("error", "DEBUG shows settings and code to everybody who meets an error.", "DEBUG=off")
    if "*" in settings.ALLOWED_HOSTS:
        yield Finding("warning", "ALLOWED_HOSTS takes any name.", "ALLOWED_HOSTS=bellwether.example.org")


def is_weak(key: str, *, shortest: int = SHORT_KEY) -> bool:
    return len(key) < shortest or len(set(key)) < FEW_CHARACTERS or key.startswith("django-insecure-")


def _is_field_key(text: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(text.strip())) == 32
    except (binascii.Error, ValueError):
        return False


@check("encryption", "Sensitive fields can be read, and people are found by their ids")
def encryption(now: datetime) -> Iterator[Finding]:
    try:
        digests_check()
    except WrongOrder as error:
        yield Finding("error", f"{error}.", "FIELD_ENCRYPTION_KEY=NEW,…,OLDEST; then start everything again.")
        return
    if len(keyring()) == 1:
        return
    if used := old_keys_used():
        stores = ", ".join(sorted(used))
        yield Finding("warning", f"Older keys are still in use ({stores}).", "manage.py rotate_encryption")
    elif len(keyring()) > 2:
        keep = "Keep the first and the last key of FIELD_ENCRYPTION_KEY; take the others out."
        yield Finding("warning", "Keys between the first and the last have nothing left to open.", keep)


@check("erasures", "Whoever was erased is, and would stay so after a restore")
def erasures(now: datetime) -> Iterator[Finding]:
    try:
        missing = erasures_unlogged()
    except OSError as error:
        yield Finding(
            "error",
            f"{erased_log()} cannot be read ({error.strerror}): a restore might bring back whoever was erased.",
            "Make it a file that the product may write (ANALYTICS_ERASED_LOG).",
        )
        return
    if missing:
        yield Finding(
            "warning",
            f"{sum(len(each.digests) for each in missing)} ids that were erased are not in {erased_log()}: a restore "
            "of an older backup brings them back unless a newer one is beside it.",
            "manage.py doctor --fix --yes",
            repair=partial(_log, missing),
        )
    from config.backup.erasing import ids_back  # brings Arrow along, which few processes need

    if back := ids_back():
        yield Finding(
            "error",
            f"{back} ids are back that were erased, as {erased_log()} tells: the database is older than that.",
            "manage.py doctor --fix --yes erases them again.",
            repair=partial(_erase_again, now),
        )


def _log(missing: list[Erased]) -> str:
    erased_append(missing)
    return f"{erased_log().name} tells of them"


def _erase_again(now: datetime) -> str:
    from config.backup.erasing import erase_again

    done = erase_again(now=now)
    return "; ".join(["not erased: " + each for each in done.not_erased]) or f"{done.people} people were erased again"


@check("bots", "The networks of bots can be read")
def bots(now: datetime) -> Iterator[Finding]:
    if settings.ANALYTICS_BOT_NETWORKS:
        try:
            networks_read(Path(settings.ANALYTICS_BOT_NETWORKS))
        except BadNetworks as error:
            yield Finding("error", f"{error}.", "Correct the file, then start the web processes again.")


@check("files", "Files of secrets are for their owner only")
def files(now: datetime) -> Iterator[Finding]:
    home = Path(settings.BELLWETHER_HOME)
    for name in ("secrets.json", "credentials.json"):
        path = home / name
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Finding(
                "error",
                f"{name} can be read by other users.",
                f"chmod 600 {path}",
                repair=partial(_close, path),
            )


def _close(path: Path) -> str:
    path.chmod(0o600)
    return f"{path.name} is for its owner only"


@check("static", "Pages have their styles and scripts")
def static(now: datetime) -> Iterator[Finding]:
    missing = [
        name for name in PAGE_FILES if not (Path(settings.STATIC_ROOT) / name).exists() and not finders.find(name)
    ]
    if missing:
        yield Finding("error", f"Missing: {', '.join(missing)}.", "manage.py collectstatic --noinput (bin/up does it).")
    charts = Path(settings.NODE_MODULES) / "echarts" / "dist"
    if not charts.is_dir():
        yield Finding(
            "warning", "The library of the charts is not installed.", "npm ci (bin/up does it); pages show tables."
        )


@check("disk", "There is room for the next month")
def disk(now: datetime) -> Iterator[Finding]:
    free = shutil.disk_usage(_existing(Path(settings.BELLWETHER_HOME))).free
    a_day = _bytes_a_day(now)
    days = free / a_day if a_day else None
    if free < LITTLE_BYTES or (days is not None and days < DAYS_WARNING):
        until = "" if days is None else f", {days:.0f} days at the present rate"
        yield Finding(
            "error" if free < LITTLE_BYTES or (days or DAYS_WARNING) < DAYS_ERROR else "warning",
            f"{free / 2**30:.1f} GiB are free{until}.",
            "Make room, or move BELLWETHER_HOME to a larger disk.",
        )


def _bytes_a_day(now: datetime) -> float:
    """By which this month's partition has grown a day so far."""
    today = now.astimezone(UTC)
    mine = f"bw_event_{today:%Y%m}"
    grown = next((size for name, _, size, _ in partitions_list() if name == mine), 0)
    return grown / max(1.0, today.day - 1 + today.hour / 24)


@check("spool", "Nothing waits on disk for PostgreSQL")
def spool(now: datetime) -> Iterator[Finding]:
    folder = spool_folder()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0
    if size > settings.ANALYTICS_SPOOL_MAX_BYTES * SPOOL_SHARE:
        yield Finding(
            "warning",
            f"{size / 2**20:.0f} MiB of events wait in {folder}.",
            "Bring PostgreSQL back: they are stored by themselves then. ANALYTICS_SPOOL_MAX_BYTES is their limit.",
        )


def _existing(path: Path) -> Path:
    return path if path.exists() or path == path.parent else _existing(path.parent)
