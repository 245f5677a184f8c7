"""Tenants never see each other: the walls in the database, tried from the application's own role (T2–T7, T9)."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

import psycopg
import pytest
from django.db import ProgrammingError, connection, connections, transaction
from psycopg_pool import ConnectionPool

from analytics.ids import uuid7
from analytics.models import Event, Tenant
from analytics.rls import APP, INGEST, role_problems
from analytics.tenancy import WrongTenant, current_tenant_id, tenant_context

FUNCTIONS = {
    *import_module("analytics.migrations.0002_storage").FUNCTIONS,
    import_module("analytics.migrations.0005_operation").SIGNATURE,
    *import_module("analytics.migrations.0007_retention").NEW,
}
TENANT_TABLES = """
    SELECT c.oid, c.relname, c.relispartition FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname LIKE 'bw\\_%%'
"""
# Seen through their parent only, so they carry a tenant's policy but no rights at all.
COMMANDS = ("SELECT * FROM {}", "UPDATE {} SET tenant_id = tenant_id", "DELETE FROM {}", "TRUNCATE {}")


def rows(sql: str, *arguments: Any, using: str = "owner") -> list[tuple[Any, ...]]:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, arguments or None)
        return list(cursor.fetchall())


def store_event(tenant: Tenant, name: str, at: datetime) -> None:
    with tenant_context(tenant.pk):
        Event.objects.create(
            tenant_id=tenant.pk,
            ts=at,
            received_at=at,
            event_id=str(uuid7()),
            name=name,
            type="user_action",
            source="api",
        )


@pytest.fixture
def two_tenants_with_events(
    transactional_db: None, request: pytest.FixtureRequest, t0: datetime
) -> tuple[Tenant, Tenant]:
    """Acme has three events, Globex two."""
    acme, globex = request.getfixturevalue("acme"), request.getfixturevalue("globex")
    for minute in range(3):
        store_event(acme, "acme_only", t0 + timedelta(minutes=minute))
    for minute in range(2):
        store_event(globex, "globex_only", t0 + timedelta(minutes=minute))
    return acme, globex


@pytest.mark.django_db(databases=["default", "owner", "ingest", "erasure"])
@pytest.mark.parametrize("alias", ["default", "ingest", "erasure"])
def test_no_role_of_the_product_escapes_row_level_security(alias: str) -> None:
    assert role_problems(alias) == []


@pytest.mark.django_db(databases=["default", "owner"])
def test_the_owner_is_named_as_unfit_to_run_the_product() -> None:
    assert any("owns" in problem for problem in role_problems("owner"))


@pytest.mark.django_db(databases=["default", "owner"])
def test_every_table_and_every_partition_is_guarded_for_every_command() -> None:
    found = rows(TENANT_TABLES)
    assert len(found) > 30
    for oid, name, _ in found:
        (guarded,) = rows("SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = %s", oid)
        assert guarded == (True,), f"{name}: ALTER TABLE … ENABLE and FORCE ROW LEVEL SECURITY is missing"
        policies = rows(
            "SELECT polcmd, polwithcheck IS NOT NULL FROM pg_policy WHERE polrelid = %s AND polname = 'tenant'", oid
        )
        assert policies in ([("*", True)], [(b"*", True)]), f"{name}: the policy 'tenant' for all commands is missing"


@pytest.mark.django_db(databases=["default", "owner"])
def test_partitions_cannot_be_entered_by_their_own_name(t0: datetime) -> None:
    rows("SELECT bw_partition_ensure(%s)", t0.date(), using="default")
    partitions = [name for _, name, is_partition in rows(TENANT_TABLES) if is_partition]
    assert len(partitions) >= 10
    for name in partitions:
        for command in COMMANDS:
            with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
                rows(command.format(name), using="default")


@pytest.mark.django_db(databases=["default", "owner"])
def test_there_are_no_materialised_views_and_no_view_that_looks_past_the_walls() -> None:
    assert rows("SELECT matviewname FROM pg_matviews WHERE schemaname = 'public'") == []
    leaky = """
        SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace
           AND NOT coalesce(reloptions::text LIKE '%%security_invoker=true%%', false)
    """
    assert rows(leaky) == []


@pytest.mark.django_db(databases=["default", "owner"])
def test_only_the_listed_functions_cross_tenants_and_their_search_path_is_fixed() -> None:
    found = rows("SELECT proname, proconfig FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace")
    listed = {signature.split("(")[0] for signature in FUNCTIONS}
    assert {name for name, _ in found} == listed
    assert {tuple(config or ()) for _, config in found} == {("search_path=public, pg_temp",)}


@pytest.mark.django_db(databases=["default", "owner"])
def test_functions_that_cross_tenants_are_not_open_to_everybody() -> None:
    granted = rows(
        "SELECT p.proname FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a "
        "WHERE p.prosecdef AND p.pronamespace = 'public'::regnamespace AND a.grantee = 0"
    )
    assert granted == []


def test_without_a_tenant_nothing_is_seen_and_nothing_can_be_written(
    two_tenants_with_events: tuple[Tenant, Tenant], t0: datetime
) -> None:
    assert Event.objects.count() == 0
    assert Tenant.objects.count() == 0
    with pytest.raises(ProgrammingError, match="row-level security"):
        Event.objects.create(
            tenant_id=two_tenants_with_events[0].pk,
            ts=t0,
            received_at=t0,
            event_id="x",
            name="x",
            type="x",
            source="api",
        )


def test_each_tenant_sees_its_own_rows_only(two_tenants_with_events: tuple[Tenant, Tenant]) -> None:
    acme, globex = two_tenants_with_events
    with tenant_context(acme.pk):
        assert list(Event.objects.values_list("name", flat=True)) == ["acme_only"] * 3
    with tenant_context(globex.pk):
        assert list(Event.objects.values_list("name", flat=True)) == ["globex_only"] * 2
        assert Event.objects.filter(tenant_id=acme.pk).update(name="stolen") == 0


def test_a_row_cannot_be_written_into_or_moved_to_another_tenant(
    two_tenants_with_events: tuple[Tenant, Tenant], t0: datetime
) -> None:
    acme, globex = two_tenants_with_events
    with pytest.raises(ProgrammingError, match="row-level security"), tenant_context(acme.pk):
        Event.objects.create(tenant_id=globex.pk, ts=t0, received_at=t0, event_id="x", name="x", type="x", source="api")
    with pytest.raises(ProgrammingError, match="row-level security"), tenant_context(acme.pk):
        Event.objects.update(tenant_id=globex.pk)


def test_copy_into_a_guarded_table_is_refused(two_tenants_with_events: tuple[Tenant, Tenant]) -> None:
    """T9: the fast way in goes over a staging table, so that WITH CHECK sees every row."""
    with tenant_context(two_tenants_with_events[0].pk), connection.cursor() as cursor:
        with pytest.raises(psycopg.errors.FeatureNotSupported), cursor.cursor.copy("COPY bw_event FROM STDIN"):
            pass
        transaction.set_rollback(True)


def test_a_tenant_cannot_be_changed_inside_the_work_of_another(two_tenants_with_events: tuple[Tenant, Tenant]) -> None:
    acme, globex = two_tenants_with_events
    with tenant_context(acme.pk):
        with pytest.raises(WrongTenant), tenant_context(globex.pk):
            pass
        assert current_tenant_id() == acme.pk


def test_the_former_tenant_is_back_after_a_nested_block_and_after_an_error(
    two_tenants_with_events: tuple[Tenant, Tenant],
) -> None:
    """A setting made in a savepoint survives its release, so the context puts the old one back by hand."""
    acme, _ = two_tenants_with_events
    with transaction.atomic():
        with tenant_context(acme.pk):
            assert Event.objects.count() == 3
        assert current_tenant_id() is None
        assert Event.objects.count() == 0
        with pytest.raises(ZeroDivisionError), tenant_context(acme.pk):
            _ = 1 / 0
        assert current_tenant_id() is None
    assert current_tenant_id() is None


def test_prepared_statements_follow_the_tenant_of_the_transaction(
    two_tenants_with_events: tuple[Tenant, Tenant], database_urls: dict[str, str]
) -> None:
    """T7: one session, one prepared plan, alternating tenants."""
    acme, globex = two_tenants_with_events
    with psycopg.connect(database_urls["DATABASE_URL"], prepare_threshold=0) as session:
        seen = []
        for tenant in (acme.pk, globex.pk, acme.pk, None) * 5:
            with session.transaction():
                session.execute("SELECT set_config('app.tenant', %s, true)", ["" if tenant is None else str(tenant)])
                found = session.execute("SELECT count(*) FROM bw_event WHERE name LIKE %s", ["%_only"]).fetchone()
                seen.append(found[0] if found else None)
        assert seen == [3, 2, 3, 0] * 5


def alternate(pool: ConnectionPool[Any], answers: dict[int, int], wrong: list[Any], seed: int) -> None:
    """500 questions for alternating tenants over shared connections, one in ten of them ending badly."""
    pick = random.Random(seed)
    for _ in range(500):
        tenant = pick.choice(sorted(answers))
        try:
            with pool.connection() as session, session.transaction():
                if tenant:
                    session.execute("SELECT set_config('app.tenant', %s, true)", [str(tenant)])
                found = session.execute("SELECT count(*), count(DISTINCT tenant_id) FROM bw_event").fetchone()
                if found[0] != answers[tenant] or found[1] > 1:
                    wrong.append((tenant, found))
                if pick.random() < 0.1:
                    session.execute("SELECT 1 / 0")
        except psycopg.errors.DivisionByZero:
            continue


def test_a_shared_pool_never_carries_a_tenant_over(
    two_tenants_with_events: tuple[Tenant, Tenant], database_urls: dict[str, str]
) -> None:
    """T5: 16 threads on 4 connections, 8,000 questions, errors in between."""
    acme, globex = two_tenants_with_events
    answers = {acme.pk: 3, globex.pk: 2, 0: 0}
    wrong: list[Any] = []
    with ConnectionPool(database_urls["DATABASE_URL"], min_size=4, max_size=4, open=True) as pool:
        threads = [threading.Thread(target=alternate, args=(pool, answers, wrong, seed)) for seed in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.django_db(databases=["default", "owner", "ingest"])
def test_the_ingest_role_never_reads_events_or_what_follows_from_them() -> None:
    for sql in (
        "SELECT * FROM bw_event",
        "SELECT payload FROM bw_quarantine",
        "SELECT * FROM bw_bucket",
        "SELECT * FROM auth_user",
    ):
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic(using="ingest"):
            rows(sql, using="ingest")


@pytest.fixture
def ring_connections() -> Iterator[None]:
    yield
    connection.close()


def test_work_without_a_tenant_after_work_with_one_fails_closed(
    two_tenants_with_events: tuple[Tenant, Tenant], ring_connections: None
) -> None:
    """T6: the same connection that just served a tenant shows nothing to the next piece of work."""
    acme, _ = two_tenants_with_events
    with tenant_context(acme.pk):
        assert Event.objects.count() == 3
    assert Event.objects.count() == 0
    with transaction.atomic():
        assert Event.objects.count() == 0


@pytest.mark.django_db(databases=["default", "owner"])
def test_planner_statistics_of_partitions_are_closed_to_the_application() -> None:
    """T8: pg_stats would tell the common values of every tenant."""
    assert rows("SELECT count(*) FROM pg_stats WHERE tablename LIKE 'bw\\_event\\_%%'", using="default") == [(0,)]


@pytest.mark.django_db(databases=["default", "owner"])
def test_rights_on_tables_are_those_of_the_design() -> None:
    for role, table, right, expected in (
        (APP, "bw_event", "SELECT", True),
        (APP, "bw_event", "TRUNCATE", False),
        (INGEST, "bw_event", "INSERT", True),
        (INGEST, "bw_event", "SELECT", False),
        (INGEST, "bw_event", "DELETE", False),
        (INGEST, "bw_bucket", "SELECT", False),
    ):
        assert rows("SELECT has_table_privilege(%s, %s, %s)", role, table, right) == [(expected,)], (role, table, right)
