"""Who is at the other end: the client's address when proxies stand between."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def networks_parse(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks of `TRUSTED_PROXIES`; a single address is a network of one. Raises ValueError for anything else."""
    return tuple(ip_network(text.strip(), strict=False) for text in texts if text.strip())


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The client's address.

    `X-Forwarded-For` counts only when the peer itself is trusted, and is walked from the right: each proxy appends
    who spoke to it, so everything left of the first stranger may be invented. Garbage ends the walk.
    """
    client = _address(peer)
    if client is None:
        return peer
    for hop in reversed(forwarded_for.split(",")):
        if not _trusted(client, trusted):
            break
        behind = _address(hop)
        if behind is None:
            break
        client = behind
    return str(client)


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Whether the peer is one of our proxies, whose words about the client are believed."""
    address = _address(peer)
    return address is not None and _trusted(address, trusted)


def _trusted(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _address(text: str) -> Address | None:
    """An address, also as `1.2.3.4:5678`, `[::1]:5678` or mapped `::ffff:1.2.3.4`."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
