"""A disk with a cache that forgets: what was not fsynced is gone, or partly there, when the power goes.

What is modelled, on the harsh side where POSIX leaves a choice:

- Bytes and size of a file are safe after fsync, fdatasync, or a write through O_SYNC or O_DSYNC. Nothing else makes
  them safe: no close, no rename, no fsync of another file; and time only where `rest` says that it passes.
- A name (created, linked, renamed, removed) is safe after an fsync of its folder, and only then: an fsync of the file
  does not save the name of a new file, as it does on ext4. A folder that was made is a name in the folder above.
- A rename is one step: after a loss the name stands for the former or for the new file, never for none. It is safe with
  an fsync of either folder.
- Names of one folder become safe in the order in which they were changed; folders do not wait for each other.
- A loss drops all of it, or (torn) keeps a part: each unsafe page of 4 KiB by itself, a shortened size or not, and of
  the changed names the first so many. Where a later page was kept and an earlier one was not, there are zeros.
- Mode, owner and times are safe at once: nothing here relies on them.
"""

from __future__ import annotations

import stat
import time
from collections import defaultdict
from dataclasses import dataclass, field
from errno import EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY
from random import Random

PAGE = 4096
ROOT = 1
TORN_SHARES = (0.1, 0.5, 0.9)


@dataclass(eq=False, slots=True)
class Node:
    """A file, folder, link or socket. `data` is what readers see, `undo` the safe form of each page that is unsafe."""

    ino: int
    mode: int
    uid: int
    gid: int
    device: int = 0
    data: bytearray = field(default_factory=bytearray)
    undo: dict[int, bytes] = field(default_factory=dict)
    safe_size: int = 0
    names: dict[bytes, int] = field(default_factory=dict)
    safe_names: dict[bytes, int] = field(default_factory=dict)
    links: int = 0
    safe_links: int = 0
    steps: int = 0
    held: int = 0
    atime: int = field(default_factory=time.time_ns)
    mtime: int = field(default_factory=time.time_ns)
    ctime: int = field(default_factory=time.time_ns)

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self.data[offset : offset + size])

    def write(self, offset: int, content: bytes | memoryview) -> None:
        end = offset + len(content)
        if not len(content):
            return
        self._remember(offset // PAGE, (end - 1) // PAGE)
        if offset > len(self.data):
            self.data.extend(bytes(offset - len(self.data)))
        self.data[offset:end] = content
        self.mtime = self.ctime = time.time_ns()

    def resize(self, size: int) -> None:
        if size < len(self.data):
            self._remember(size // PAGE, (len(self.data) - 1) // PAGE)
            del self.data[size:]
        else:
            self.data.extend(bytes(size - len(self.data)))
        self.mtime = self.ctime = time.time_ns()

    def sync(self) -> None:
        self.undo.clear()
        self.safe_size = len(self.data)

    def _remember(self, first: int, last: int) -> None:
        for page in range(first, last + 1):
            if page not in self.undo:
                self.undo[page] = bytes(self.data[page * PAGE : (page + 1) * PAGE])

    def lose(self, pick: Random, share: float) -> tuple[int, int]:
        """Go back to what is safe, but for about this share of the unsafe pages: (lost, kept)."""
        seen = len(self.data)
        kept = {page for page in self.undo if page * PAGE < seen and pick.random() < share}
        size = self.safe_size
        if seen < size:
            size = seen if pick.random() < share else size
        elif kept:
            size = max(size, min(seen, (max(kept) + 1) * PAGE))
        self.data.extend(bytes(max(0, size - seen)))
        for page, former in self.undo.items():
            if page not in kept and page * PAGE < size:
                end = min(len(self.data), (page + 1) * PAGE)
                self.data[page * PAGE : end] = former.ljust(PAGE, b"\0")[: end - page * PAGE]
        del self.data[size:]
        lost = len(self.undo) - len(kept)
        self.sync()
        return lost, len(kept)


@dataclass(eq=False, slots=True)
class Step:
    """One change of names that happens as a whole: (folder, name, whom it means from now on)."""

    number: int
    changes: tuple[tuple[int, bytes, int | None], ...]
    is_safe: bool = False


@dataclass(frozen=True, slots=True)
class Loss:
    """What a loss of power took."""

    pages_lost: int
    pages_kept: int
    names_lost: int
    names_kept: int


class Disk:
    """Everything is in memory; `lose_power` is what makes the difference between written and safe."""

    def __init__(self, mode: int = 0o755) -> None:
        self.nodes: dict[int, Node] = {ROOT: Node(ROOT, stat.S_IFDIR | mode, 0, 0, links=1, safe_links=1)}
        self._last_ino, self._last_step = ROOT, 0
        self._steps: defaultdict[int, list[Step]] = defaultdict(list)

    # --- names --------------------------------------------------------------------------------------------------------

    def look(self, folder: int, name: bytes) -> Node | None:
        parent = self.nodes[folder]
        if not parent.is_folder:
            raise OSError(ENOTDIR, "not a folder")
        found = parent.names.get(name)
        return None if found is None else self.nodes[found]

    def make(self, folder: int, name: bytes, mode: int, uid: int, gid: int, device: int = 0) -> Node:
        if self.look(folder, name):
            raise OSError(EEXIST, "exists")
        self._last_ino += 1
        node = self.nodes[self._last_ino] = Node(self._last_ino, mode, uid, gid, device)
        self._step((folder, name, node.ino))
        return node

    def link(self, node: Node, folder: int, name: bytes) -> None:
        if self.look(folder, name):
            raise OSError(EEXIST, "exists")
        self._step((folder, name, node.ino))

    def remove(self, folder: int, name: bytes, *, is_folder: bool) -> None:
        node = self.look(folder, name)
        if node is None:
            raise OSError(ENOENT, "missing")
        if node.is_folder != is_folder:
            raise OSError(ENOTDIR if is_folder else EISDIR, "the other kind")
        if node.names:
            raise OSError(ENOTEMPTY, "not empty")
        self._step((folder, name, None))

    def rename(self, folder: int, name: bytes, new_folder: int, new_name: bytes, *, may_replace: bool = True) -> None:
        node, former = self.look(folder, name), self.look(new_folder, new_name)
        if node is None:
            raise OSError(ENOENT, "missing")
        if former is node:
            return
        if former is not None:
            if not may_replace:
                raise OSError(EEXIST, "exists")
            if former.is_folder != node.is_folder:
                raise OSError(EISDIR if former.is_folder else ENOTDIR, "the other kind")
            if former.names:
                raise OSError(ENOTEMPTY, "not empty")
        self._step((folder, name, None), (new_folder, new_name, node.ino))

    def sync_names(self, folder: int) -> None:
        """Make the names of a folder safe, and of other folders what came before a rename out of them or into them."""
        steps: list[Step] = []
        self._gather(folder, self._last_step, steps)
        for step in sorted(steps, key=lambda each: each.number):
            self._settle(step)
        for each in {folder for step in steps for folder, _, _ in step.changes}:
            self._steps[each] = [step for step in self._steps[each] if not step.is_safe]
        self._let_go(steps)

    def forget(self, ino: int, times: int) -> None:
        """The kernel knows the node no longer: without a name it is gone."""
        node = self.nodes.get(ino)
        if node is not None:
            node.held -= times
            self._drop_if_free(node)

    def _step(self, *changes: tuple[int, bytes, int | None]) -> None:
        self._last_step += 1
        step = Step(self._last_step, changes)
        now = time.time_ns()
        for folder, name, ino in changes:
            parent = self.nodes[folder]
            former = parent.names.pop(name, None)
            if former is not None:
                self.nodes[former].links -= 1
                self.nodes[former].ctime = now
            if ino is not None:
                parent.names[name] = ino
                node = self.nodes[ino]
                node.links, node.steps, node.ctime = node.links + 1, node.steps + 1, now
            parent.mtime = parent.ctime = now
        for folder in {folder for folder, _, _ in changes}:
            self._steps[folder].append(step)

    def _gather(self, folder: int, until: int, found: list[Step]) -> None:
        for step in self._steps[folder]:
            if step.number <= until and not step.is_safe:
                step.is_safe = True
                found.append(step)
                for other, _, _ in step.changes:
                    if other != folder:
                        self._gather(other, step.number, found)

    def _settle(self, step: Step) -> None:
        for folder, name, ino in step.changes:
            parent = self.nodes.get(folder)
            if parent is None:
                continue  # removed for good meanwhile, with all that was to happen in it
            former = parent.safe_names.pop(name, None)
            if former is not None:
                self.nodes[former].safe_links -= 1
            if ino is not None:
                parent.safe_names[name] = ino
                self.nodes[ino].safe_links += 1
                self.nodes[ino].steps -= 1

    def _let_go(self, steps: list[Step]) -> None:
        """A step that removes a name does not say whose it was, so every node without any is looked for."""
        if any(ino is None for step in steps for _, _, ino in step.changes):
            for node in [node for node in self.nodes.values() if not node.links]:
                self._drop_if_free(node)

    def _drop_if_free(self, node: Node) -> None:
        if not (node.links or node.safe_links or node.steps or node.held > 0) and node.ino != ROOT:
            for step in self._steps.pop(node.ino, []):
                for folder, _, ino in step.changes:
                    if folder == node.ino and ino is not None and not step.is_safe:
                        self.nodes[ino].steps -= 1
            self.nodes.pop(node.ino, None)

    def rest(self) -> None:
        """Everything is safe, as half a minute later it would be: kernels write back what nobody asked them to."""
        for folder in list(self._steps):
            self.sync_names(folder)
        for node in self.nodes.values():
            node.sync()

    # --- the end ------------------------------------------------------------------------------------------------------

    def lose_power(self, seed: int, *, is_torn: bool) -> Loss:
        """Nothing but what is safe is left; of the rest, when `is_torn`, what the seed chooses."""
        pick = Random(seed)
        share = pick.choice(TORN_SHARES) if is_torn else 0.0
        steps = sorted({step.number: step for each in self._steps.values() for step in each}.items())
        keeps = pick.randrange(len(steps) + 1) if is_torn else 0
        for _, step in steps[:keeps]:
            self._settle(step)
        self._steps.clear()
        alive = self._reachable()
        self.nodes = {ino: node for ino, node in self.nodes.items() if ino in alive}
        lost = kept = 0
        for ino, node in sorted(self.nodes.items()):
            node.names = dict(node.safe_names)
            node.links = node.safe_links = alive[ino]
            node.steps = node.held = 0
            pages = node.lose(pick, share)
            lost, kept = lost + pages[0], kept + pages[1]
        return Loss(lost, kept, len(steps) - keeps, keeps)

    def _reachable(self) -> dict[int, int]:
        """Nodes that a safe name leads to, with the number of their names."""
        found, queue = {ROOT: 1}, [ROOT]
        while queue:
            for ino in self.nodes[queue.pop()].safe_names.values():
                if ino not in found:
                    queue.append(ino)
                found[ino] = found.get(ino, 0) + 1
        return found


def checked_flags(flags: int) -> bool:
    """Whether a rename may replace (0) or must not (RENAME_NOREPLACE); an exchange is not offered."""
    if flags not in (0, 1):
        raise OSError(EINVAL, "not offered")
    return flags == 0
