"""Bots by what they do: browsers that are too quick for a person, or that stand in a data centre.

Only what says it is a browser is looked at: servers speak for thousands of users, from data centres, by design. Events
are flagged and kept (S33). Each process counts for itself, in fixed memory, and remembers nothing on disk.
"""

from __future__ import annotations

import csv
import logging
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final

logger = logging.getLogger("bellwether.capture")

CELLS: Final = 1 << 16
MINUTE: Final = timedelta(minutes=1)
QUICK_FOR: Final = timedelta(minutes=30)
QUICK_KNOWN: Final = 10_000
ADDRESSES_KNOWN: Final = 20_000


class BadNetworks(ValueError):
    """A file of networks that cannot be read; the message names the line and the remedy."""


class Networks:
    """Networks in which no person browses. Addresses are looked up once and remembered."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        parsed = [ip_network(text, strict=False) for text in networks]
        self._ranges = {version: _merged([n for n in parsed if n.version == version]) for version in (4, 6)}
        self._known: OrderedDict[str, bool] = OrderedDict()
        self._is_empty = not parsed

    def hold(self, address: str) -> bool:
        """Whether the address lies in one of them; what is no address does not."""
        if self._is_empty or not address:
            return False
        found = self._known.get(address)
        if found is None:
            found = self._known[address] = self._find(address)
            if len(self._known) > ADDRESSES_KNOWN:
                self._known.popitem(last=False)
        return found

    def _find(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        starts, ends = self._ranges[parsed.version]
        place = bisect_right(starts, int(parsed)) - 1
        return place >= 0 and int(parsed) <= ends[place]


def networks_read(path: Path) -> Networks:
    """The networks of a file: CSV whose first column is a network, further ones (ASN, name) are for people; `#` begins
    a comment. Raises BadNetworks.
    """
    found = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.reader(file), 1):
                text = row[0].partition("#")[0].strip() if row else ""
                if not text or (number == 1 and text.lower() in ("network", "cidr")):
                    continue
                try:
                    ip_network(text, strict=False)
                except ValueError:
                    message = f"{path}, line {number}: {text[:60]!r} is no network; write it as 192.0.2.0/24"
                    raise BadNetworks(message) from None
                found.append(text)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadNetworks(f"{path} cannot be read ({error})") from None
    return Networks(found)


class Watch:
    """Says why an event of a browser is rather a machine's, or nothing.

    `per_minute` events of one person (or, without one, of one address) within a minute of their own clock are still a
    person's; 0 switches it off. Who was quicker stays flagged for half an hour. Counts lie in two rows of cells, so
    that any number of people takes the same memory; a count may be too high where cells are shared by hundreds.
    """

    def __init__(self, *, per_minute: int = 0, networks: Networks | None = None) -> None:
        self._limit = per_minute
        self._networks = networks or Networks()
        self._cells = (_cells(), _cells())
        self._begun: datetime | None = None
        self._quick: OrderedDict[tuple[int, str], datetime] = OrderedDict()

    def reason(self, tenant_id: int, who: str | None, address: str, at: datetime, now: datetime) -> str | None:
        """`datacenter`, `rate` or None for an event of `at` that came at `now`."""
        if self._networks.hold(address):
            return "datacenter"
        if self._limit and (who or address) and self._is_quick((tenant_id, who or address), at, now):
            return "rate"
        return None

    def _is_quick(self, key: tuple[int, str], at: datetime, now: datetime) -> bool:
        if self._quick:
            until = self._quick.get(key)
            if until is not None and now < until:
                return True
        if self._begun is None or not self._begun <= now < self._begun + MINUTE:
            self._begin(now)
        # By the minute of the event, so that a phone that was offline does not look quick when it sends its day.
        place = hash((key, at.minute, at.hour))
        first, second = self._cells
        one, other = place % CELLS, (place // CELLS) % CELLS
        first[one] += 1
        second[other] += 1
        if first[one] <= self._limit or second[other] <= self._limit:
            return False
        self._quick[key] = now + QUICK_FOR
        if len(self._quick) > QUICK_KNOWN:
            self._quick.popitem(last=False)
        return True

    def _begin(self, now: datetime) -> None:
        self._begun = now
        for cells in self._cells:
            cells[:] = _cells()


def _cells() -> array[int]:
    return array("I", bytes(array("I").itemsize * CELLS))


def watch_of(*, per_minute: int, networks_file: str) -> Watch:
    """The watch of a process. A file that cannot be read is said in the log and by the doctor; events go on."""
    networks = Networks()
    if networks_file:
        try:
            networks = networks_read(Path(networks_file))
        except BadNetworks as error:
            logger.error("ANALYTICS_BOT_NETWORKS: %s", error)
    return Watch(per_minute=per_minute, networks=networks)


def _merged(networks: Sequence[IPv4Network | IPv6Network]) -> tuple[list[int], list[int]]:
    """First and last addresses of disjoint ranges, in order."""
    starts: list[int] = []
    ends: list[int] = []
    spans = sorted((int(n.network_address), int(n.broadcast_address)) for n in networks)
    for start, end in spans:
        if ends and start <= ends[-1] + 1:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    return starts, ends
