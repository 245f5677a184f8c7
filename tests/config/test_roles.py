"""Who the tests run as."""

from __future__ import annotations

import pytest
from django.db import connections


@pytest.mark.django_db(databases=["default", "owner", "ingest", "erasure"])
@pytest.mark.parametrize("alias", ["default", "owner", "ingest", "erasure"])
def test_no_role_is_special(alias: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        )
        assert cursor.fetchall() == [(False, False, False, False)]


@pytest.mark.django_db(databases=["default", "owner", "ingest", "erasure"])
@pytest.mark.parametrize("alias", ["default", "ingest", "erasure"])
def test_roles_of_the_running_product_own_nothing(alias: str) -> None:
    with connections[alias].cursor() as cursor:
        # Temporary tables (and their TOAST) belong to whoever is writing just now.
        cursor.execute("SELECT relname FROM pg_class WHERE relowner = current_user::regrole AND relpersistence <> 't'")
        assert cursor.fetchall() == []
