"""A mounted disk that forgets, as programs see it."""

from __future__ import annotations

import mmap
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from analytics.durable import folder_ensure, sync_folder, write_synced
from tests.chaos.power.harness import ForgettingDisk, forgetting_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[ForgettingDisk]:
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("mounting takes root and /dev/fuse")
    try:
        with forgetting_disk(tmp_path / "disk") as disk:
            yield disk
    except OSError as error:
        pytest.skip(f"nothing can be mounted here: {error}")


def test_it_is_a_file_system(disk: ForgettingDisk) -> None:
    here = disk.folder
    (here / "a").write_bytes(b"x" * 300_000)
    (here / "b").mkdir()
    os.link(here / "a", here / "b/linked")
    (here / "short").symlink_to("a")
    (here / "a").rename(here / "b/moved")
    assert (here / "b/linked").samefile(here / "b/moved")
    assert not (here / "short").exists()
    assert sorted(os.listdir(here / "b")) == ["linked", "moved"]
    with (here / "b/moved").open("r+b") as file:
        (here / "b/moved").unlink()
        (here / "b/linked").unlink()
        file.truncate(5)
        assert file.read() == b"xxxxx"
    (here / "b").rename(here / "c")
    (here / "c/d").mkdir()
    with pytest.raises(OSError, match="not empty"):
        (here / "c").rmdir()
    subprocess.run(["rm", "-r", str(here / "c")], check=True)
    assert os.listdir(here) == ["short"]


def test_what_is_mapped_into_memory_is_read_and_written(disk: ForgettingDisk) -> None:
    path = disk.folder / "mapped"
    path.write_bytes(bytes(10_000))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[9_000:9_003] = b"abc"
        memory.flush()
        assert memory[9_000:9_003] == b"abc"
    assert path.read_bytes()[9_000:9_003] == b"abc"


def test_only_what_was_synced_is_there_after_the_power_went(disk: ForgettingDisk) -> None:
    folder = disk.folder / "made/within"
    folder_ensure(folder)
    write_synced(folder / "safe", b"kept")
    sync_folder(folder)
    write_synced(folder / "nameless", b"bytes without a name")
    with (folder / "safe").open("ab") as file:
        file.write(b" and this is not")
    (disk.folder / "other").write_bytes(b"neither")
    loss = disk.lose_power(7, is_torn=False)
    assert loss == {"pages_lost": 1, "pages_kept": 0, "names_lost": 2, "names_kept": 0}
    assert os.listdir(disk.folder) == ["made"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"safe": b"kept"}


def test_bytes_written_through_are_safe_at_once(disk: ForgettingDisk) -> None:
    handle = os.open(disk.folder / "log", os.O_CREAT | os.O_WRONLY | os.O_DSYNC)
    os.write(handle, b"kept")
    os.close(handle)
    sync_folder(disk.folder)
    disk.lose_power(7, is_torn=False)
    assert (disk.folder / "log").read_bytes() == b"kept"
