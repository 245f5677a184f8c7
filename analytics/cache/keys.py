"""The one place that builds keys: tenant, role, version of definitions, and what was asked. Nothing else decides who
sees an answer, so nothing here is taken from a request: an `Audience` is made of a verified credential only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, Final
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connections

from analytics.access.keys import KeyInfo
from analytics.access.roles import scopes_of_role
from analytics.contracts import TenantInfo
from analytics.tenancy import WrongTenant

PREFIX: Final = "bw:cache:"
SEPARATOR: Final = "\0"


class Audience(msgspec.Struct, frozen=True):
    """Who may be given an answer: everybody of one tenant with the same role and scopes."""

    tenant_id: int
    role: str

    @classmethod
    def of(cls, credential: KeyInfo) -> Audience:
        """Of a verified key, token or session."""
        return cls(credential.tenant.id, _role(credential.role or credential.kind, credential.scopes))

    @classmethod
    def member(cls, tenant_id: int, role: str) -> Audience:
        """Of a member of the tenant; the same as that of the member's session or token."""
        return cls(tenant_id, _role(role, scopes_of_role(role)))


def _role(name: str, scopes: Collection[str]) -> str:
    """Scopes are part of it: a key keeps its name when what it may do changes."""
    return f"{name}:{hashlib.blake2b(' '.join(sorted(scopes)).encode(), digest_size=6).hexdigest()}"


_definitions: list[Callable[[], str]] = []


def definitions_from(fingerprint: Callable[[], str]) -> None:
    """Make the text that `fingerprint` returns (of all declarations in the code) part of every key, so that a new
    release does not read answers of the old one."""
    _definitions.append(fingerprint)


@cache
def definition_version() -> str:
    """Of the declarations of this release; what a tenant changes is told by a tag."""
    return _digest(*(fingerprint() for fingerprint in _definitions))


def answer_key(
    audience: Audience, name: str, question: Any, *, ignore: Collection[str] = (), now: datetime | None = None
) -> str:
    """The key of an answer. Raises WrongTenant for a question about another tenant, TypeError for one that has no
    written form."""
    written = canonical(question, audience=audience, ignore=frozenset(ignore), now=now)
    parts = (namespace(), str(audience.tenant_id), audience.role, definition_version(), name, written)
    return PREFIX + _digest(*parts)


def tag_key(tag: str, tenant_id: int | None) -> str:
    """Where the version of a tag lies; a tag is a tenant's, or everybody's."""
    return f"{PREFIX}tag:{namespace()}:{tag}:{'' if tenant_id is None else tenant_id}"


def namespace() -> str:
    """Two installations may share a Redis, and their tenants have the same numbers."""
    known = connections["default"].settings_dict
    return _namespace(str(known["HOST"]), str(known["PORT"]), str(known["NAME"]))


@cache
def _namespace(host: str, port: str, name: str) -> str:
    return hashlib.blake2b(SEPARATOR.join((host, port, name)).encode(), digest_size=6).hexdigest()


def seal(key: str, payload: bytes) -> bytes:
    """A short code that ties a value to its key: a value that was moved, cut or forged is no answer."""
    return hashlib.blake2b(key.encode() + payload, digest_size=16, key=_secret()).digest()


@cache
def _secret() -> bytes:
    return hashlib.blake2b(b"bellwether.cache:" + settings.SECRET_KEY.encode(), digest_size=32).digest()


def _digest(*parts: str) -> str:
    return hashlib.blake2b(SEPARATOR.join(parts).encode(), digest_size=16).hexdigest()


PLAIN: Final = (bool, int, float, Decimal, UUID, timedelta)


def canonical(
    value: Any, *, audience: Audience, ignore: frozenset[str] = frozenset(), now: datetime | None = None
) -> str:
    """A text that is the same for the same question in every process.

    A time that is `now` (the end of "today until now") is written as that word, or no question would be asked twice.
    """

    def text(value: Any) -> str:
        if value is None:
            return "~"
        if isinstance(value, Enum):
            return text(value.value)
        if isinstance(value, str):
            return repr(str(value))
        if now is not None and value == now:
            return "now"
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        if isinstance(value, PLAIN):
            return f"{type(value).__name__}({value})"
        if isinstance(value, TenantInfo):
            _check(value.id)
        if isinstance(value, Mapping):
            return "{" + ",".join(sorted(pair(name, item) for name, item in value.items() if name not in ignore)) + "}"
        if isinstance(value, Set):
            return "{" + ",".join(sorted(map(text, value))) + "}"
        if isinstance(value, list | tuple):
            return "[" + ",".join(map(text, value)) + "]"
        named = _fields(value)
        return f"{type(value).__qualname__}{text({name: getattr(value, name) for name in named})}"

    def pair(name: Any, item: Any) -> str:
        if name == "tenant_id":
            _check(item)
        return f"{text(name)}:{text(item)}"

    def _check(tenant_id: Any) -> None:
        if tenant_id != audience.tenant_id:
            raise WrongTenant("An answer for one tenant cannot be asked for another.")

    return text(value)


def _fields(value: Any) -> tuple[str, ...]:
    if is_dataclass(value) and not isinstance(value, type):
        return tuple(item.name for item in fields(value))
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    raise TypeError(f"{type(value).__name__} has no written form, so an answer cannot be kept by it.")
