"""The host's tables, for the modules that need them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from tests.analytics.host.models import Payment, Silent


@pytest.fixture(scope="module")
def host_tables(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Makes the tables for a module and drops them again: other tests look at every table there is."""
    with django_db_blocker.unblock():
        with connections["owner"].schema_editor() as editor:
            for model in (Payment, Silent):
                editor.create_model(model)
                editor.execute(f"GRANT ALL ON {model._meta.db_table} TO bellwether_app")
                editor.execute(f"GRANT ALL ON SEQUENCE {model._meta.db_table}_id_seq TO bellwether_app")
        connections["owner"].close()
    yield
    with django_db_blocker.unblock():
        connections["default"].close()
        with connections["owner"].schema_editor() as editor:
            for model in (Payment, Silent):
                editor.delete_model(model)
        connections["owner"].close()
