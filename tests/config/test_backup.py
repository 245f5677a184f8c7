"""A backup is of one moment, whole or none at all, and says so when it cannot be."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from analytics.failpoints import POINTS
from analytics.models import Tenant
from config.backup import taking
from config.backup.contents import MANIFEST, Contents, Facts, contents_read, contents_write
from config.backup.errors import BackupError
from config.backup.keeping import kept_in, one_at_a_time
from config.backup.restoring import restore_check
from config.backup.server import admin_conninfo, programs_for
from config.backup.snapshot import Snapshot, snapshot_held
from tests.analytics.events import event, write
from tests.analytics.lake.killing import forked
from tests.config.backups import count_and_seal, files_below, save, two_days

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])


@pytest.fixture
def lake(settings: Any, tmp_path: Path) -> Path:
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    settings.ANALYTICS_SEAL_WORKERS = 1
    return tmp_path / "lake"


@pytest.fixture
def shop(acme: Tenant, globex: Tenant, lake: Path) -> Tenant:
    for tenant in (acme, globex):
        two_days(tenant)
    return acme


# --- Whole ------------------------------------------------------------------------------------------------------------


def test_it_holds_the_files_that_the_manifest_names_and_nobody_else_may_read_it(
    shop: Tenant, lake: Path, tmp_path: Path
) -> None:
    stray = lake / f"t{shop.pk}" / "nobody-knows.events.parquet"
    stray.write_bytes(b"left by a seal that died")
    taken = save(tmp_path / "kept")
    named = snapshot_of_lake()
    assert files_below(taken.folder / "lake") == {name: (lake / name).read_bytes() for name in named}
    assert {name for name in taken.contents.files if not name.startswith(("lake/", "database/"))} == {
        "erased.jsonl", "secrets.json",
    }  # fmt: skip
    assert [stat.S_IMODE(path.stat().st_mode) for path in (taken.folder, *taken.folder.glob("*.json*"))] == [
        0o700, 0o600, 0o600, 0o600,
    ]  # fmt: skip
    assert taken.contents.events == {"acme": 22, "globex": 22}
    assert restore_check(tmp_path / "kept") == (taken.folder, taken.contents)
    assert [path.name for path in (tmp_path / "kept").iterdir() if path.name != ".lock"] == [taken.folder.name]


def snapshot_of_lake() -> set[str]:
    with snapshot_held(admin_conninfo()) as held:
        return set(held.lake_files())


def test_the_second_one_links_what_the_first_holds_and_keeps_as_many_as_it_is_told(
    shop: Tenant, lake: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    first = save(kept)
    write(shop, [event(shop, "late", minute=5000)])
    count_and_seal(shop)
    second = save(kept)
    shared = set(first.contents.lake) & set(second.contents.lake)
    assert (first.lake_linked, second.lake_linked) == (0, len(shared))
    assert shared < set(second.contents.lake)
    assert all((second.folder / "lake" / name).samefile(first.folder / "lake" / name) for name in shared)
    elsewhere = kept / "another-product"
    elsewhere.mkdir()
    third = save(kept, keep=2)
    assert third.removed == (first.folder,)
    assert [each.folder for each in kept_in(kept)] == [third.folder, second.folder]
    assert elsewhere.exists()
    assert restore_check(second.folder)[0] == second.folder  # what it shared with the first one is still there


def test_a_damaged_copy_of_the_backup_before_is_copied_again_and_not_linked(shop: Tenant, tmp_path: Path) -> None:
    first = save(tmp_path / "kept")
    damaged = first.folder / "lake" / min(first.contents.lake)
    damaged.write_bytes(damaged.read_bytes()[::-1])
    second = save(tmp_path / "kept")
    assert second.lake_linked == len(first.contents.lake) - 1
    assert restore_check(second.folder)[1] == second.contents


def test_what_the_command_says(shop: Tenant, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("backup", str(tmp_path / "kept"), dry_run=True)
    assert "Nothing was written." in capsys.readouterr().out
    assert not (tmp_path / "kept").exists()
    call_command("backup", str(tmp_path / "kept"), without_secrets=True)
    said = capsys.readouterr().out
    assert "44 of 2 tenants" in said
    assert "keep FIELD_ENCRYPTION_KEY elsewhere" in said
    call_command("restore", str(tmp_path / "kept"), dry_run=True, json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["events"], told["has_secrets"]) == ({"acme": 22, "globex": 22}, False)


# --- What happens meanwhile -------------------------------------------------------------------------------------------


def test_a_file_that_has_to_go_while_it_is_copied_is_not_held_back(
    shop: Tenant, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Snapshot.lake_files
    moments: list[set[str]] = []

    def lake_files(self: Snapshot) -> Any:
        """Right after the first snapshot somebody is erased, whose files go at once."""
        named = honest(self)
        if not moments:
            connections["default"].close()
            call_command("erase_subject", tenant=shop.slug, user="somebody-1", verbosity=0)
        moments.append(set(named))
        return named

    monkeypatch.setattr(Snapshot, "lake_files", lake_files)
    monkeypatch.setattr(taking, "lake_files", lambda connection: {})
    taken = save(tmp_path / "kept")
    assert len(moments) >= 3  # the first snapshot's files were gone, so there was a second
    assert moments[0] != moments[-1] == set(taken.contents.lake)
    assert not any((lake / path).exists() for path in moments[0] - moments[-1])
    assert restore_check(taken.folder)[1] == taken.contents


def test_no_month_is_made_while_the_database_is_read_and_writers_do_not_wait(shop: Tenant) -> None:
    with snapshot_held(admin_conninfo()), connections["default"].cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")
        with pytest.raises(Exception, match="lock timeout"):
            cursor.execute("SELECT bw_partition_ensure('2031-01-01')")
        cursor.execute("RESET lock_timeout")
        write(shop, [event(shop, "meanwhile")])


def test_a_lake_that_is_not_whole_is_told_with_what_mends_it(shop: Tenant, lake: Path, tmp_path: Path) -> None:
    first, second, *_ = (lake / name for name in sorted(snapshot_of_lake()))
    whole = first.read_bytes()
    first.write_bytes(whole[:-9] + b"different")
    with pytest.raises(BackupError, match=r"is damaged\. `manage.py lake verify --repair` makes it anew"):
        save(tmp_path / "kept")
    first.write_bytes(whole)
    second.unlink()
    with pytest.raises(BackupError, match=r"is missing\. `manage.py lake verify --repair` makes it anew"):
        save(tmp_path / "other")
    assert [*kept_in(tmp_path / "kept"), *kept_in(tmp_path / "other")] == []


def test_two_backups_at_once_are_refused(shop: Tenant, tmp_path: Path) -> None:
    with one_at_a_time(tmp_path / ".lock", "backup"), pytest.raises(BackupError, match="Another backup is at work"):
        save(tmp_path)


@pytest.mark.parametrize("step", [point for point in POINTS if point.startswith("backup.")])
def test_one_that_is_killed_is_no_backup_and_the_next_uses_its_copies(
    step: str, acme: Tenant, lake: Path, tmp_path: Path
) -> None:
    write(acme, [event(acme, f"e{n}", minute=n) for n in range(3)])
    count_and_seal(acme)
    kept = tmp_path / "kept"

    def take() -> None:
        save(kept)

    assert forked(take, f"{step}:kill:1") == signal.SIGKILL
    is_whole = step == "backup.after_rename"
    assert len(kept_in(kept)) == is_whole
    if not is_whole:
        with pytest.raises(BackupError, match="there is none in it"):
            restore_check(kept)
    taken = save(kept, keep=1)
    assert taken.contents.events == {"acme": 3}
    assert restore_check(kept)[0] == taken.folder
    assert [path.name for path in kept.iterdir() if path.name != ".lock"] == [taken.folder.name]


# --- Who may ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def reader(shop: Tenant, worker_id: str) -> Iterator[str]:
    name = f"backup_reader_{worker_id}"
    with psycopg.connect(admin_conninfo(), autocommit=True) as admin:
        admin.execute(f"DROP ROLE IF EXISTS {name}")  # type: ignore[call-overload, unused-ignore]
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'read'")  # type: ignore[call-overload, unused-ignore]
        database = admin.info.dbname
        admin.execute(f"GRANT CONNECT ON DATABASE {database} TO {name}")  # type: ignore[call-overload, unused-ignore]
        yield name
        admin.execute(f"DROP OWNED BY {name}")  # type: ignore[call-overload, unused-ignore]
        admin.execute(f"DROP ROLE {name}")  # type: ignore[call-overload, unused-ignore]


def test_a_role_that_does_not_see_every_row_is_refused_and_told_how_it_would(reader: str, tmp_path: Path) -> None:
    admin = admin_conninfo()
    as_reader = psycopg.conninfo.make_conninfo(admin, user=reader, password="read")
    wish = taking.Wish(tmp_path)
    with psycopg.connect(admin, autocommit=True) as connection:
        with pytest.raises(BackupError, match=r"bound by row-level security.*BYPASSRLS.*DATABASE_ADMIN_URL"):
            taking.backup_take(wish, as_reader)
        connection.execute(f"ALTER ROLE {reader} BYPASSRLS")  # type: ignore[call-overload, unused-ignore]
        with pytest.raises(BackupError, match=r"may not read \d+ tables"):
            taking.backup_take(wish, as_reader)
        connection.execute(f"GRANT pg_read_all_data TO {reader}")  # type: ignore[call-overload, unused-ignore]
    assert taking.backup_take(wish, as_reader).contents.events == {"acme": 22, "globex": 22}


def test_a_pg_dump_older_than_the_server_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackupError, match=r"PostgreSQL 99, and an older pg_dump.*postgresql-client-99"):
        programs_for(990001)
    assert (programs_for(180000) / "pg_restore").exists()


def test_a_folder_that_cannot_be_written_is_a_sentence(shop: Tenant, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match=r"There is no new backup"):
        call_command("backup", str(tmp_path / "file"))


# --- Damaged, foreign, newer: found before anything is touched --------------------------------------------------------


@pytest.fixture
def backup(shop: Tenant, tmp_path: Path) -> Path:
    return save(tmp_path / "kept").folder


def test_damage_of_any_kind_of_file_is_found(backup: Path, tmp_path: Path) -> None:
    kinds = ["lake/*/**/*.parquet", "database/toc.dat", "database/*.dat.gz", "secrets.json", MANIFEST]
    for kind in kinds:
        copy = tmp_path / "copy"
        shutil.copytree(backup, copy)
        victim = max((path for path in copy.glob(kind)), key=lambda path: path.stat().st_size)
        whole = victim.read_bytes()
        for broken in (_flipped(whole), whole[: len(whole) // 3], whole + b"\0", None):
            victim.unlink(missing_ok=True)
            if broken is not None:
                victim.write_bytes(broken)
            with pytest.raises(BackupError, match=r"damaged|is no backup|none in it"):
                restore_check(copy)
        shutil.rmtree(copy)


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def claiming(backup: Path, honest: Contents, **fields: Any) -> Path:
    """The same backup, whose manifest says something else (and has the right digest)."""
    contents_write(backup, msgspec.structs.replace(honest, **fields))
    return backup


def test_a_newer_one_is_refused_with_the_version_that_reads_it(backup: Path) -> None:
    honest = contents_read(backup)
    with pytest.raises(BackupError, match=r"made by Bellwether 99\.0\.0, this is .*: install 99\.0\.0"):
        restore_check(claiming(backup, honest, version="99.0.0"))
    with pytest.raises(BackupError, match=r"install .* or later"):
        restore_check(claiming(backup, honest, format=2))
    with pytest.raises(BackupError, match=r"newer Bellwether .*migration kpis\.9999_future"):
        restore_check(claiming(backup, honest, migrations=("kpis.9999_future",)))


def test_another_products_and_one_that_reaches_outside_are_refused(backup: Path) -> None:
    honest = contents_read(backup)
    with pytest.raises(BackupError, match=r"a backup of 'otherwether'"):
        restore_check(claiming(backup, honest, product="otherwether"))
    with pytest.raises(BackupError, match=r"names files outside"):
        restore_check(claiming(backup, honest, files={"../../etc/passwd": Facts(1, "")}))


def test_a_key_that_opens_nothing_is_refused(
    shop: Tenant, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = save(tmp_path / "without", with_secrets=False).folder
    having = save(tmp_path / "having").folder
    own = settings.FIELD_ENCRYPTION_KEY
    settings.FIELD_ENCRYPTION_KEY = "c29tZWJvZHkgZWxzZSdzIGtleSBvZiAzMiBieXRlcyE="
    with pytest.raises(BackupError, match=r"FIELD_ENCRYPTION_KEY is not the one .*taken --without-secrets"):
        restore_check(without)
    assert restore_check(having)[0] == having  # it brings its own
    monkeypatch.setitem(os.environ, "FIELD_ENCRYPTION_KEY", settings.FIELD_ENCRYPTION_KEY)
    with pytest.raises(BackupError, match=r"it is in .*secrets\.json"):
        restore_check(having)
    settings.FIELD_ENCRYPTION_KEY = f"{settings.FIELD_ENCRYPTION_KEY},{own}"
    assert restore_check(having)[0] == having
