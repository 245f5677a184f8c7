"""Mounts a disk that forgets: speaks the kernel's FUSE protocol on /dev/fuse, as root, without libfuse.

    python -m tests.chaos.power.mount FOLDER

Orders come as lines on standard input, each is answered by one line of JSON: `rest` (all that was written is safe),
`cut SEED` (power is lost: whoever still has a file open gets errors, what was not safe is gone, and the folder is
mounted anew) and `torn SEED` (the same, but a part of what was not safe is kept). When the input ends the folder is
unmounted and all of it is gone.

Decided (2026-11-21): the protocol is spoken here because it is twenty messages of fixed layout, known by inodes, which
open but removed files and hard links need; instead of fusepy or mfusepy, which know paths and want libfuse besides, and
instead of pyfuse3, which has to be compiled against libfuse 3. So the proof needs root and /dev/fuse, and no package.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from errno import EAGAIN, EINTR, EIO, ENODEV, ENOENT, ENOSYS, EOPNOTSUPP
from pathlib import Path
from struct import Struct

from tests.chaos.power.disk import Disk, Loss, Node, checked_flags

LARGEST_WRITE = 1 << 20
LONG = 1 << 30  # seconds that the kernel may believe an answer: nobody else changes anything
HEADER, ANSWER = Struct("<IIQQIIIHH"), Struct("<IiQ")
ATTRIBUTES = Struct("<QQQQQQIIIIIIIIII")
ENTRY, ATTRIBUTES_HEAD = Struct("<QQQQII"), Struct("<QII")
SETATTR, TRANSFER, FALLOCATE = Struct("<IIQQQQQQIIIIIIII"), Struct("<QQIIQII"), Struct("<QQQII")
START, STARTED, STATFS = Struct("<IIII"), Struct("<IIIIHHIIHHI28x"), Struct("<QQQQQIIII24x")
DIRENT, OPENED, TWO, RENAMED = Struct("<QQII"), Struct("<QII"), Struct("<II"), Struct("<QII")
BIG_WRITES, MAX_PAGES, NO_OPEN = 1 << 5, 1 << 22, 1 << 17
SYNC_FLAGS = os.O_DSYNC | os.O_SYNC
NANOSECOND = 10**9
_libc = ctypes.CDLL(None, use_errno=True)


def _mounted(folder: Path, device: int) -> None:
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    if _libc.mount(b"bellwether-power", os.fsencode(folder), b"fuse", 0, options.encode()):
        raise OSError(ctypes.get_errno(), f"cannot mount {folder}: are you root, and is there a /dev/fuse?")


def _unmounted(folder: Path) -> None:
    lazily = 2  # a dying process may still stand in it
    _libc.umount2(os.fsencode(folder), lazily)


def _attributes(node: Node) -> bytes:
    size = len(node.data)
    seconds, rest = zip(*(divmod(each, NANOSECOND) for each in (node.atime, node.mtime, node.ctime)), strict=True)
    links = node.links + node.is_folder
    return ATTRIBUTES.pack(
        node.ino, size, (size + 511) // 512, *seconds, *rest,
        node.mode, links, node.uid, node.gid, node.device, 4096, 0,
    )  # fmt: skip


class Caller:
    """Who asks, and for which node."""

    def __init__(self, ino: int, uid: int, gid: int) -> None:
        self.ino, self.uid, self.gid = ino, uid, gid


class Mount:
    """One folder that shows one disk."""

    def __init__(self, folder: Path) -> None:
        mode = stat.S_IMODE(folder.stat().st_mode)
        self._folder, self.disk = folder, Disk(mode)
        self._listings: dict[int, list[tuple[bytes, int, int]]] = {}
        self._last_listing = 0
        self._buffer = bytearray(LARGEST_WRITE + 65536)
        self._answers: dict[int, Callable[[Caller, memoryview], bytes]] = {
            1: self._lookup, 3: self._getattr, 4: self._setattr, 5: self._readlink, 6: self._symlink, 8: self._mknod,
            9: self._mkdir, 10: self._unlink, 11: self._rmdir, 12: self._rename, 13: self._link, 15: self._read,
            16: self._write, 17: self._statfs, 20: self._fsync, 26: self._start, 27: self._opendir, 28: self._readdir,
            29: self._releasedir, 30: self._fsyncdir, 43: self._fallocate, 45: self._rename2,
        }  # fmt: skip
        self.attach()

    def attach(self) -> None:
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        _mounted(self._folder, self.device)

    def detach(self) -> None:
        """The device goes first: who still waits gets an error instead of an answer."""
        os.close(self.device)
        _unmounted(self._folder)
        self._listings.clear()

    def lose_power(self, seed: int, *, is_torn: bool) -> Loss:
        self.detach()
        loss = self.disk.lose_power(seed, is_torn=is_torn)
        self.attach()
        return loss

    def serve_one(self) -> None:
        try:
            size = os.readv(self.device, [self._buffer])
        except OSError as error:
            if error.errno in (ENOENT, EINTR, EAGAIN):  # interrupted before it reached us
                return
            raise
        _, opcode, unique, ino, uid, gid, _, _, _ = HEADER.unpack_from(self._buffer)
        body = memoryview(self._buffer)[HEADER.size : size]
        if opcode in (2, 42):
            self._forget(opcode, ino, body)
            return
        if opcode == 36:  # an interrupt: every answer comes at once anyway
            return
        answer = self._answers.get(opcode)
        error_number, content = 0, b""
        if answer is None:
            error_number = ENOSYS
        else:
            try:
                content = answer(Caller(ino, uid, gid), body)
            except KeyError:
                error_number = EIO
            except OSError as error:
                error_number = error.errno or EIO
        try:
            os.write(self.device, ANSWER.pack(ANSWER.size + len(content), -error_number, unique) + content)
        except OSError as error:
            if error.errno != ENOENT:  # the caller was killed meanwhile
                raise

    # --- answers ------------------------------------------------------------------------------------------------------

    def _start(self, caller: Caller, body: memoryview) -> bytes:
        _, _, readahead, offered = START.unpack_from(body)
        flags = offered & (BIG_WRITES | MAX_PAGES | NO_OPEN)
        return STARTED.pack(7, 31, readahead, flags, 64, 48, LARGEST_WRITE, 1, LARGEST_WRITE // 4096, 0, 0)

    def _entry(self, node: Node) -> bytes:
        node.held += 1
        return ENTRY.pack(node.ino, 0, LONG, LONG, 0, 0) + _attributes(node)

    def _lookup(self, caller: Caller, body: memoryview) -> bytes:
        node = self.disk.look(caller.ino, _names(body)[0])
        return self._entry(node) if node else ENTRY.pack(0, 0, LONG, LONG, 0, 0) + bytes(ATTRIBUTES.size)

    def _forget(self, opcode: int, ino: int, body: memoryview) -> None:
        if opcode == 2:
            self.disk.forget(ino, int.from_bytes(body[:8], "little"))
            return
        count = int.from_bytes(body[:4], "little")
        for each in range(count):
            at = 8 + 16 * each
            self.disk.forget(
                int.from_bytes(body[at : at + 8], "little"), int.from_bytes(body[at + 8 : at + 16], "little")
            )

    def _getattr(self, caller: Caller, body: memoryview) -> bytes:
        return ATTRIBUTES_HEAD.pack(LONG, 0, 0) + _attributes(self.disk.nodes[caller.ino])

    def _setattr(self, caller: Caller, body: memoryview) -> bytes:
        node = self.disk.nodes[caller.ino]
        valid, _, _, size, _, atime, mtime, _, atime_rest, mtime_rest, _, mode, _, uid, gid, _ = SETATTR.unpack_from(
            body
        )
        if valid & 1:
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)
        node.uid = uid if valid & 2 else node.uid
        node.gid = gid if valid & 4 else node.gid
        if valid & 8:
            node.resize(size)
        now = time.time_ns()
        if valid & 16:
            node.atime = now if valid & 128 else atime * NANOSECOND + atime_rest
        if valid & 32:
            node.mtime = now if valid & 256 else mtime * NANOSECOND + mtime_rest
        node.ctime = now
        return self._getattr(caller, body)

    def _readlink(self, caller: Caller, body: memoryview) -> bytes:
        return bytes(self.disk.nodes[caller.ino].data)

    def _symlink(self, caller: Caller, body: memoryview) -> bytes:
        name, target = _names(body)[:2]
        node = self.disk.make(caller.ino, name, stat.S_IFLNK | 0o777, caller.uid, caller.gid)
        node.data[:] = target
        node.sync()  # it lies in the inode
        return self._entry(node)

    def _mknod(self, caller: Caller, body: memoryview) -> bytes:
        mode, device = TWO.unpack_from(body)
        node = self.disk.make(caller.ino, _names(body[16:])[0], mode, caller.uid, caller.gid, device)
        return self._entry(node)

    def _mkdir(self, caller: Caller, body: memoryview) -> bytes:
        mode = stat.S_IFDIR | stat.S_IMODE(TWO.unpack_from(body)[0])
        return self._entry(self.disk.make(caller.ino, _names(body[8:])[0], mode, caller.uid, caller.gid))

    def _unlink(self, caller: Caller, body: memoryview) -> bytes:
        self.disk.remove(caller.ino, _names(body)[0], is_folder=False)
        return b""

    def _rmdir(self, caller: Caller, body: memoryview) -> bytes:
        self.disk.remove(caller.ino, _names(body)[0], is_folder=True)
        return b""

    def _rename(self, caller: Caller, body: memoryview) -> bytes:
        former, new = _names(body[8:])[:2]
        self.disk.rename(caller.ino, former, int.from_bytes(body[:8], "little"), new)
        return b""

    def _rename2(self, caller: Caller, body: memoryview) -> bytes:
        folder, flags, _ = RENAMED.unpack_from(body)
        former, new = _names(body[RENAMED.size :])[:2]
        self.disk.rename(caller.ino, former, folder, new, may_replace=checked_flags(flags))
        return b""

    def _link(self, caller: Caller, body: memoryview) -> bytes:
        node = self.disk.nodes[int.from_bytes(body[:8], "little")]
        self.disk.link(node, caller.ino, _names(body[8:])[0])
        return self._entry(node)

    def _read(self, caller: Caller, body: memoryview) -> bytes:
        _, offset, size, *_ = TRANSFER.unpack_from(body)
        return self.disk.nodes[caller.ino].read(offset, size)

    def _write(self, caller: Caller, body: memoryview) -> bytes:
        _, offset, size, _, _, flags, _ = TRANSFER.unpack_from(body)
        node = self.disk.nodes[caller.ino]
        node.write(offset, body[TRANSFER.size : TRANSFER.size + size])
        if flags & SYNC_FLAGS:
            node.sync()
        return TWO.pack(size, 0)

    def _fallocate(self, caller: Caller, body: memoryview) -> bytes:
        _, offset, length, mode, _ = FALLOCATE.unpack_from(body)
        if mode:
            raise OSError(EOPNOTSUPP, "only growth")
        node = self.disk.nodes[caller.ino]
        if offset + length > len(node.data):
            node.resize(offset + length)
        return b""

    def _statfs(self, caller: Caller, body: memoryview) -> bytes:
        plenty = 1 << 24
        return STATFS.pack(plenty, plenty, plenty, plenty, plenty, 4096, 255, 4096, 0)

    def _fsync(self, caller: Caller, body: memoryview) -> bytes:
        self.disk.nodes[caller.ino].sync()
        return b""

    def _fsyncdir(self, caller: Caller, body: memoryview) -> bytes:
        self.disk.sync_names(caller.ino)
        return b""

    def _opendir(self, caller: Caller, body: memoryview) -> bytes:
        """A listing stays as it was when it was opened, whatever is removed while it is read."""
        nodes = self.disk.nodes
        self._last_listing += 1
        self._listings[self._last_listing] = [
            (name, ino, stat.S_IFMT(nodes[ino].mode) >> 12) for name, ino in nodes[caller.ino].names.items()
        ]
        return OPENED.pack(self._last_listing, 0, 0)

    def _readdir(self, caller: Caller, body: memoryview) -> bytes:
        listing, offset, size, *_ = TRANSFER.unpack_from(body)
        found, told = self._listings[listing], b""
        for place in range(offset, len(found)):
            name, ino, kind = found[place]
            entry = DIRENT.pack(ino, place + 1, len(name), kind) + name
            entry += bytes(-len(entry) % 8)
            if len(told) + len(entry) > size:
                break
            told += entry
        return told

    def _releasedir(self, caller: Caller, body: memoryview) -> bytes:
        self._listings.pop(int.from_bytes(body[:8], "little"), None)
        return b""


def _names(body: memoryview) -> list[bytes]:
    return bytes(body).split(b"\0")


def _answer(told: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def main() -> None:
    mount = Mount(Path(sys.argv[1]))
    _answer({"mounted": True})
    orders = os.fdopen(0, "rb", buffering=0)
    try:
        while True:
            ready, _, _ = select.select([mount.device, orders.fileno()], [], [])
            if mount.device in ready:
                mount.serve_one()
            elif ready:
                order = orders.readline().split()
                if not order:
                    return
                if order == [b"rest"]:
                    mount.disk.rest()
                    _answer({"rested": True})
                    continue
                loss = mount.lose_power(int(order[1]), is_torn=order[0] == b"torn")
                _answer(asdict(loss))
    except OSError as error:
        if error.errno != ENODEV:  # somebody unmounted it
            raise
    finally:
        mount.detach()


if __name__ == "__main__":
    main()
