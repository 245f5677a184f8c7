"""What must be there after a power cut is fsynced: bytes by their file, names by their folder, new folders by theirs.

`python -m tests.chaos --power-loss` proves it on a disk that forgets; here each place is held to it one by one.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import pytest

from analytics import durable
from analytics.capture.importing.uploads import upload_keep
from analytics.compiling import _open_for_write, compiled
from analytics.durable import folder_ensure, sync_tree, write_whole
from analytics.erased import Erased, erased_append
from analytics.lake.storage import LocalStorage
from analytics.models import Tenant
from analytics.spool import Spool
from config import home
from tests.analytics.events import event

ACME = Tenant(pk=1)
T0 = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was fsynced, in order, under the name it had then; nothing of this process is known to be safe before."""
    found: list[Path] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        found.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(durable, "_safe", set())
    return found


def test_a_new_folder_is_made_known_to_every_folder_above_it(tmp_path: Path, synced: list[Path]) -> None:
    folder_ensure(tmp_path / "a/b/c")
    assert synced[-3:] == [tmp_path, tmp_path / "a", tmp_path / "a/b"]
    assert tmp_path.parent in synced


def test_a_folder_that_somebody_else_made_is_seen_to_once(tmp_path: Path, synced: list[Path]) -> None:
    (tmp_path / "a").mkdir()
    folder_ensure(tmp_path / "a")
    assert synced[-1] == tmp_path
    synced.clear()
    folder_ensure(tmp_path / "a")
    assert synced == []


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path, synced: list[Path]) -> None:
    folder_ensure(tmp_path / "a")
    (tmp_path / "a").rmdir()
    synced.clear()
    folder_ensure(tmp_path / "a")
    assert synced == [tmp_path]


def test_a_tree_is_synced_with_every_file_and_folder(tmp_path: Path, synced: list[Path]) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    sync_tree(tmp_path)
    assert sorted(synced) == [tmp_path, tmp_path / "a", tmp_path / "a/file"]


def test_the_owner_of_a_lake_is_not_forgotten(tmp_path: Path, synced: list[Path]) -> None:
    assert LocalStorage(tmp_path / "lake").claim("me") == "me"
    assert synced[-2].name.startswith(".tmp-")
    assert synced[-1] == tmp_path / "lake"
    assert tmp_path in synced


def test_a_file_of_the_lake_has_its_bytes_its_name_and_its_folders(tmp_path: Path, synced: list[Path]) -> None:
    content: Any = SimpleNamespace(data=b"x")
    LocalStorage(tmp_path).put("t1/2026/file", content)
    assert synced[-2].name.startswith(".tmp-")
    assert synced[-1] == tmp_path / "t1/2026"
    assert {tmp_path, tmp_path / "t1"} <= set(synced)


def test_a_segment_of_the_spool_lies_in_a_folder_that_stays(tmp_path: Path, synced: list[Path]) -> None:
    spool = Spool(tmp_path / "home/spool")
    spool.append([event(ACME, "kept")])
    spool.close()
    assert {tmp_path, tmp_path / "home", tmp_path / "home/spool"} <= set(synced)
    assert synced[-1].suffix == ".spool"


def test_zeros_after_the_last_safe_record_are_the_end_of_a_segment(tmp_path: Path) -> None:
    """A power cut may keep the last page of a record and drop the ones before it."""
    spool = Spool(tmp_path)
    spool.append([event(ACME, "kept")])
    spool.close()
    (segment,) = tmp_path.glob("*.spool")
    with segment.open("ab") as file:
        file.write(bytes(8_000) + b"the end of a record that nobody was told of")
    ids: list[str] = []
    assert spool.replay(lambda events, refusals: ids.extend(each.event_id for each in events)) == 1
    assert ids == ["kept"]
    assert list(tmp_path.glob("*.unreadable")) == []


def test_keys_are_made_once_for_all(tmp_path: Path, synced: list[Path]) -> None:
    home.secrets(tmp_path / "home")
    assert synced[-1] == tmp_path / "home"
    assert tmp_path in synced


def test_credentials_are_whole(tmp_path: Path, synced: list[Path]) -> None:
    write_whole(tmp_path / "credentials.json", b"{}", mode=0o600)
    assert synced == [tmp_path / ".new-credentials.json", tmp_path]


def test_an_erasure_is_in_the_log_whatever_the_disk_does_next(tmp_path: Path, synced: list[Path]) -> None:
    log = tmp_path / "erased.jsonl"
    folder_ensure(tmp_path)
    for _ in range(2):
        synced.clear()
        erased_append([Erased(at=T0, installation="ours", tenant=1, digests=())], path=log)
        assert synced == [log, tmp_path]


def test_an_upload_that_was_taken_is_there_for_its_job(tmp_path: Path, synced: list[Path], settings: Any) -> None:
    settings.BELLWETHER_HOME = tmp_path
    arriving = tmp_path / "arriving"
    stream = arriving.open("w+b")
    stream.write(b"x")
    stream.flush()
    received: Any = SimpleNamespace(path=arriving, stream=stream)
    _, upload = upload_keep(7, received, b"mapping")
    stream.close()
    assert upload.exists
    assert synced[-3:] == [upload.mapping, arriving, upload.folder]
    assert {tmp_path, tmp_path / "uploads", tmp_path / "uploads/7"} <= set(synced)


def test_compiled_code_on_disk_is_whole(tmp_path: Path, synced: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    twice = compiled(numba.int64(numba.int64), cache=True)(lambda x: 2 * x)
    assert twice(21) == 42
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) == 2
    assert {path.suffix for path in kept} == {".nbi", ".nbc"}
    assert {path.name.partition(".tmp.")[0] for path in synced} == {path.name for path in kept}


def test_a_draft_of_compiled_code_that_failed_is_removed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), _open_for_write(None, str(tmp_path / "x")):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
