"""The description of the API is served to anybody, and costs nothing but its bytes."""

from __future__ import annotations

import json

import pytest
import yaml
from django.test import Client

from config.api_schema_view import written

pytestmark = pytest.mark.django_db


def test_it_is_made_once_for_each_form_and_the_same_in_both(client: Client) -> None:
    written.cache_clear()
    texts = [client.get(f"/api/schema/?format={form}").content for form in ("json", "yaml", "json", "yaml")]

    assert written.cache_info().misses == 2
    assert texts[0] == texts[2]
    assert json.loads(texts[0]) == yaml.safe_load(texts[1])
    assert json.loads(texts[0])["info"]["version"] == "v1"


@pytest.mark.parametrize(
    "query", ["version=%0d%0aX-Evil:1", 'version=";x="', "version=v9", "lang=%00", "lang=fr", "format=json&version=%00"]
)
def test_what_is_asked_besides_changes_nothing(client: Client, query: str) -> None:
    answer = client.get(f"/api/schema/?{query}")

    assert answer.status_code == 200
    assert answer["Content-Disposition"] in ('inline; filename="Bellwether.yaml"', 'inline; filename="Bellwether.json"')
    assert b"Evil" not in answer.content
