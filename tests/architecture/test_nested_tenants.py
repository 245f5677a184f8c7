"""The shortcut of nested contexts never shows another tenant's rows: whatever ends a block, or is done to it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, Error, connection, connections, transaction
from django.db.transaction import TransactionManagementError

from analytics.models import Tenant
from analytics.tenancy import WrongTenant, current_tenant_id, platform_context, tenant_context
from kpis.models import Annotation

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


def note(tenant: Tenant) -> None:
    from django.utils import timezone

    with tenant_context(tenant.pk):
        Annotation.objects.create(tenant_id=tenant.pk, at=timezone.now(), title=tenant.slug)


def titles() -> set[str]:
    return set(Annotation.objects.values_list("title", flat=True))


@pytest.fixture
def pair(acme: Tenant, globex: Tenant) -> tuple[Tenant, Tenant]:
    note(acme)
    note(globex)
    return acme, globex


def test_after_any_end_of_a_block_the_next_tenant_begins_anew(pair: tuple[Tenant, Tenant]) -> None:
    acme, globex = pair
    for _ in range(3):
        with tenant_context(acme.pk), tenant_context(acme.pk), tenant_context(acme.pk):
            assert titles() == {"acme"}
        assert (current_tenant_id(), titles()) == (None, set())
        with pytest.raises(RuntimeError), tenant_context(acme.pk), tenant_context(acme.pk):
            raise RuntimeError
        with (
            pytest.raises(DatabaseError),
            tenant_context(acme.pk),
            tenant_context(acme.pk),
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT 1/0")
        assert titles() == set()
        with tenant_context(globex.pk):
            assert titles() == {"globex"}


def test_a_savepoint_that_is_rolled_back_keeps_the_outer_tenant(pair: tuple[Tenant, Tenant]) -> None:
    acme, globex = pair
    with tenant_context(acme.pk):
        with pytest.raises(RuntimeError), tenant_context(acme.pk):
            _refused_and_failed(globex)
        with tenant_context(acme.pk), platform_context():
            assert titles() == {"acme"}
        with pytest.raises(WrongTenant), tenant_context(globex.pk):
            pass
        assert (current_tenant_id(), titles()) == (acme.pk, {"acme"})


def test_inside_a_transaction_that_was_begun_without_a_tenant_nothing_is_left_behind(
    pair: tuple[Tenant, Tenant],
) -> None:
    with transaction.atomic():
        for tenant in (*pair, *pair):
            with tenant_context(tenant.pk), tenant_context(tenant.pk):
                assert titles() == {tenant.slug}
            assert (current_tenant_id(), titles()) == (None, set())
            with pytest.raises(RuntimeError), tenant_context(tenant.pk):
                raise RuntimeError
            assert titles() == set()


@pytest.mark.parametrize("raw", ["COMMIT", "ROLLBACK", "RESET ALL", "DISCARD ALL", "SET app.tenant = ''"])
def test_what_raw_sql_does_to_the_transaction_shows_nothing_of_the_neighbour(
    pair: tuple[Tenant, Tenant], raw: str
) -> None:
    acme, globex = pair
    try:
        with tenant_context(acme.pk):
            with connection.cursor() as cursor:
                cursor.execute(raw)
            with tenant_context(acme.pk):
                assert titles() <= {"acme"}
            with pytest.raises((WrongTenant, Error)), tenant_context(globex.pk):
                pass
    except Error:
        pass  # a transaction that is gone cannot be ended
    connection.close()
    assert titles() == set()
    with tenant_context(globex.pk), tenant_context(globex.pk):
        assert titles() == {"globex"}


def test_a_connection_that_is_lost_inside_a_block_answers_nobody(pair: tuple[Tenant, Tenant]) -> None:
    acme, globex = pair
    for lose in (_killed, connection.close):
        with pytest.raises((Error, TransactionManagementError)), tenant_context(acme.pk):
            _lost(lose, acme)
        connection.close()
        assert titles() == set()
        with tenant_context(globex.pk), tenant_context(globex.pk):
            assert titles() == {"globex"}


def _refused_and_failed(other: Tenant) -> None:
    with pytest.raises(WrongTenant), tenant_context(other.pk):
        pass
    raise RuntimeError


def _lost(lose: Callable[[], None], tenant: Tenant) -> None:
    lose()
    with tenant_context(tenant.pk):
        titles()


def _killed() -> None:
    """The server ends our session, as at a fail-over; only its owner may ask for that here."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    from django.conf import settings

    from tests.conftest import _admin_url

    with psycopg.connect(_admin_url(settings.BELLWETHER_HOME), autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", [pid])


def test_work_after_commit_sees_the_tenant_that_it_asks_for(pair: tuple[Tenant, Tenant]) -> None:
    acme, globex = pair
    seen: list[Any] = []

    def after() -> None:
        seen.append(titles())
        with tenant_context(globex.pk), tenant_context(globex.pk):
            seen.append(titles())

    with tenant_context(acme.pk), tenant_context(acme.pk):
        transaction.on_commit(after)
    assert seen == [set(), {"globex"}]


def test_threads_that_take_turns_between_tenants_never_mix_them(pair: tuple[Tenant, Tenant]) -> None:
    wrong: list[str] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(60):
                tenant = chance.choice(pair)
                try:
                    with tenant_context(tenant.pk):
                        for _ in range(chance.randrange(3)):
                            with tenant_context(tenant.pk):
                                if titles() != {tenant.slug}:
                                    wrong.append(tenant.slug)
                                if chance.random() < 0.1:
                                    raise RuntimeError
                        if chance.random() < 0.1:
                            connection.close()
                except (RuntimeError, Error):
                    connection.close() if chance.random() < 0.5 else None
                if titles():
                    wrong.append("nobody")
        except Exception as error:
            wrong.append(repr(error))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
