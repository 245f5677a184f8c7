"""What a disk that forgets keeps and drops when the power goes."""

from __future__ import annotations

import stat

from tests.chaos.power.disk import PAGE, ROOT, Disk, Node

FILE, FOLDER = stat.S_IFREG | 0o600, stat.S_IFDIR | 0o700


def file(disk: Disk, name: bytes, content: bytes = b"", folder: int = ROOT) -> Node:
    node = disk.make(folder, name, FILE, 0, 0)
    node.write(0, content)
    return node


def safe_file(disk: Disk, name: bytes, content: bytes, folder: int = ROOT) -> Node:
    node = file(disk, name, content, folder)
    node.sync()
    disk.sync_names(folder)
    return node


def shown(disk: Disk, folder: int = ROOT) -> dict[bytes, bytes]:
    return {name: bytes(disk.nodes[ino].data) for name, ino in disk.nodes[folder].names.items()}


def lost(disk: Disk) -> dict[bytes, bytes]:
    disk.lose_power(1, is_torn=False)
    return shown(disk)


def test_what_was_synced_stays() -> None:
    disk = Disk()
    safe_file(disk, b"a", b"kept")
    assert lost(disk) == {b"a": b"kept"}


def test_what_had_time_to_be_written_back_stays() -> None:
    disk = Disk()
    folder = disk.make(ROOT, b"folder", FOLDER, 0, 0)
    file(disk, b"a", b"kept", folder.ino)
    gone = safe_file(disk, b"b", b"removed")
    disk.rename(folder.ino, b"a", folder.ino, b"c")
    disk.remove(ROOT, b"b", is_folder=False)
    disk.rest()
    file(disk, b"d", b"later")
    assert lost(disk) == {b"folder": b""}
    assert shown(disk, folder.ino) == {b"c": b"kept"}
    assert gone.ino not in disk.nodes


def test_a_synced_file_without_a_synced_name_is_gone() -> None:
    disk = Disk()
    file(disk, b"a", b"kept").sync()
    assert lost(disk) == {}
    assert len(disk.nodes) == 1


def test_a_synced_name_without_synced_bytes_is_an_empty_file() -> None:
    disk = Disk()
    file(disk, b"a", b"gone")
    disk.sync_names(ROOT)
    assert lost(disk) == {b"a": b""}


def test_overwritten_appended_and_shortened_bytes_come_back() -> None:
    disk = Disk()
    former = bytes(range(256)) * 40
    over, longer, shorter = (safe_file(disk, name, former) for name in (b"over", b"longer", b"shorter"))
    over.write(5_000, b"x" * 100)
    longer.write(20_000, b"x")
    shorter.resize(10)
    shorter.write(10, b"y" * 9_000)
    assert set(lost(disk).values()) == {former}


def test_a_rename_is_one_step() -> None:
    disk = Disk()
    safe_file(disk, b"target", b"former")
    file(disk, b"draft", b"new").sync()
    disk.rename(ROOT, b"draft", ROOT, b"target")
    assert shown(disk) == {b"target": b"new"}
    assert lost(disk) == {b"target": b"former"}


def test_a_rename_between_folders_is_safe_with_either_and_brings_what_came_before() -> None:
    disk = Disk()
    there = disk.make(ROOT, b"there", FOLDER, 0, 0).ino
    disk.sync_names(ROOT)
    file(disk, b"draft", b"new").sync()
    disk.rename(ROOT, b"draft", there, b"final")
    disk.sync_names(there)
    disk.lose_power(1, is_torn=False)
    assert shown(disk) == {b"there": b""}
    assert shown(disk, there) == {b"final": b"new"}


def test_a_folder_whose_own_name_was_not_synced_takes_all_with_it() -> None:
    disk = Disk()
    inner = disk.make(ROOT, b"inner", FOLDER, 0, 0).ino
    safe_file(disk, b"a", b"kept", folder=inner)
    assert lost(disk) == {}


def test_a_removed_file_comes_back_until_its_folder_was_synced() -> None:
    disk = Disk()
    safe_file(disk, b"a", b"kept")
    disk.remove(ROOT, b"a", is_folder=False)
    assert lost(disk) == {b"a": b"kept"}
    disk.remove(ROOT, b"a", is_folder=False)
    disk.sync_names(ROOT)
    assert lost(disk) == {}
    assert len(disk.nodes) == 1


def test_a_file_that_is_open_and_removed_goes_when_the_kernel_forgets_it() -> None:
    disk = Disk()
    node = safe_file(disk, b"a", b"kept")
    node.held = 1
    disk.remove(ROOT, b"a", is_folder=False)
    disk.sync_names(ROOT)
    assert node.read(0, 9) == b"kept"
    disk.forget(node.ino, 1)
    assert len(disk.nodes) == 1


def test_a_folder_that_was_removed_does_not_hold_up_what_was_moved_out_of_it() -> None:
    disk = Disk()
    inner = disk.make(ROOT, b"inner", FOLDER, 0, 0).ino
    other = disk.make(ROOT, b"other", FOLDER, 0, 0).ino
    file(disk, b"a", b"kept", folder=inner).sync()
    disk.rename(inner, b"a", other, b"a")
    disk.remove(ROOT, b"inner", is_folder=True)
    disk.sync_names(ROOT)
    disk.sync_names(other)
    disk.lose_power(1, is_torn=False)
    assert shown(disk, other) == {b"a": b"kept"}


def test_torn_writes_keep_some_pages_and_some_names() -> None:
    pages, names = set(), set()
    for seed in range(40):
        disk = Disk()
        node = safe_file(disk, b"a", b"-" * 4 * PAGE)
        node.write(0, b"+" * 4 * PAGE)
        for name in (b"b", b"c"):
            file(disk, name)
        disk.lose_power(seed, is_torn=True)
        pages.add("".join(chr(node.data[page * PAGE]) for page in range(4)))
        assert {len(set(node.data[page * PAGE : (page + 1) * PAGE])) for page in range(4)} == {1}
        names.add(b"".join(sorted(shown(disk))))
    assert len(pages) > 8
    assert names == {b"a", b"ab", b"abc"}  # in the order in which they were made


def test_a_torn_file_has_zeros_where_a_page_before_its_end_was_dropped() -> None:
    found = set()
    for seed in range(40):
        disk = Disk()
        node = safe_file(disk, b"a", b"")
        node.write(0, b"+" * 2 * PAGE)
        disk.lose_power(seed, is_torn=True)
        found.add(bytes(node.data))
    full, none = b"+" * PAGE, b"\0" * PAGE
    assert found == {b"", full, none + full, full + full}


def test_the_same_seed_loses_the_same() -> None:
    def left(seed: int) -> dict[bytes, bytes]:
        disk = Disk()
        for name in (b"a", b"b"):
            file(disk, name, name * 9 * PAGE)
        disk.lose_power(seed, is_torn=True)
        return shown(disk)

    assert [left(seed) for seed in range(9)] == [left(seed) for seed in range(9)]
