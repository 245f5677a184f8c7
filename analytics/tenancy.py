"""Which tenant a piece of work is for. Row-level security reads it from the transaction; nothing else decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from django.db import connections, transaction
from psycopg.errors import error_from_result
from psycopg.pq import Escaping, ExecStatus
from psycopg.pq.abc import PGconn

from analytics.contracts import TenantInfo


class WrongTenant(Exception):
    """A tenant was set while another one's work was open. Close the outer context first."""


class UnknownTenant(LookupError):
    """There is no tenant of that slug."""


def _read(name: str, using: str) -> str:
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT coalesce(current_setting(%s, true), '')", [name])
        value: str = cursor.fetchone()[0]
        return value


def _write(name: str, value: str, using: str) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", [name, value])


def _begin_with(name: str, value: str, using: str) -> None:
    """Begin the transaction that Django has just promised, with the setting: one way to the server instead of two.

    psycopg sends its own BEGIN only while the connection is idle, so it finds the transaction open and goes on.
    """
    connection = connections[using]
    pgconn = connection.connection.pgconn
    query = f"BEGIN; SELECT set_config({_literal(pgconn, name)}, {_literal(pgconn, value)}, true)"
    result = pgconn.exec_(query.encode())
    if result.status != ExecStatus.TUPLES_OK:
        with connection.wrap_database_errors:
            raise error_from_result(result)


def _literal(pgconn: PGconn, text: str) -> str:
    return Escaping(pgconn).escape_literal(text.encode()).decode()


@contextmanager
def _setting(name: str, value: str, using: str) -> Iterator[None]:
    """A transaction-local setting for the length of a block.

    A setting made inside a savepoint outlives its release, so in a nested block the former value is put back by hand.
    A rollback (to the savepoint, or of the whole) restores it without us, and so does the end of the transaction.
    """
    connection = connections[using]
    begun: dict[str, str] = connection.__dict__.setdefault("bellwether_settings", {})
    if not connection.in_atomic_block:
        with transaction.atomic(using=using):
            _begin_with(name, value, using)
            begun[name] = value
            try:
                yield
            finally:
                begun.clear()
        return
    with transaction.atomic(using=using):
        # What the transaction began with holds until its end, so for the same value there is nothing to ask or to set.
        before = begun.get(name) or _read(name, using)
        if before not in ("", value):
            raise WrongTenant(f"{name} is {before!r} here and cannot become {value!r}.")
        if before == value:
            yield
            return
        _write(name, value, using)
        yield
        if not connection.needs_rollback:
            _write(name, before, using)


@contextmanager
def tenant_context(tenant_id: int, *, using: str = "default") -> Iterator[None]:
    """A transaction in which the database shows and takes rows of this tenant only.

    Raises WrongTenant inside the context of another tenant.
    """
    with _setting("app.tenant", str(int(tenant_id)), using):
        yield


@contextmanager
def platform_context(*, using: str = "default") -> Iterator[None]:
    """A transaction that also sees work without a tenant (jobs and schedules of the platform itself)."""
    with _setting("app.platform", "on", using):
        yield


def current_tenant_id(*, using: str = "default") -> int | None:
    """The tenant that is set in the open transaction, if any."""
    if not connections[using].in_atomic_block:
        return None
    value = _read("app.tenant", using)
    return int(value) if value else None


_COLUMNS = "id, slug, zone, base_currency, week_start, settings"


def tenant_info(row: Sequence[Any]) -> TenantInfo:
    """The value that capture carries, from (id, slug, zone, base_currency, week_start, settings).

    Django's cursors hand jsonb over as text, psycopg's own as a dict; both are taken.
    """
    id_, slug, zone, currency, week_start, raw = row
    settings: dict[str, list[str]] = msgspec.json.decode(raw) if isinstance(raw, str) else raw
    return TenantInfo(
        id=id_,
        slug=slug,
        zone=zone,
        base_currency=currency,
        week_start=week_start,
        sensitive_fields=frozenset(settings.get("sensitive_fields", ())),
        internal_domains=frozenset(settings.get("internal_domains", ())),
    )


def tenant_by_slug(slug: str, *, using: str = "default") -> TenantInfo:
    """The tenant of that slug. Raises UnknownTenant."""
    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT {_COLUMNS} FROM bw_tenant_by_slug(%s)", [slug])
        row = cursor.fetchone()
    if row is None:
        raise UnknownTenant(f"There is no tenant {slug!r}. `manage.py create_tenant {slug}` makes it.")
    return tenant_info(row)


def tenants(*, using: str = "default") -> list[TenantInfo]:
    """Every tenant, by id."""
    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT {_COLUMNS} FROM bw_tenants() ORDER BY id")
        return [tenant_info(row) for row in cursor.fetchall()]


def tenant_ids(*, using: str = "default") -> list[int]:
    """The ids of every tenant, in order."""
    return [tenant.id for tenant in tenants(using=using)]
