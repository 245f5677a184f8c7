"""Fills the stage, as a process of its own: tenants, people with open sessions, keys, a small history. Prints JSON."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import django

TENANTS = {
    "acme": ("Europe/Paris", "EUR"),
    "globex": ("Asia/Kathmandu", "NPR"),
    "hostile": ("UTC", "EUR"),
    "pulse": ("Europe/Paris", "EUR"),
    "dawn": ("Asia/Kathmandu", "NPR"),
}
PEOPLE = {
    "olga": ("acme", "owner"),
    "vera": ("acme", "viewer"),
    "sam": ("globex", "owner"),
    "hana": ("hostile", "owner"),
    "pia": ("pulse", "owner"),
    "nell": ("dawn", "owner"),
}
PASSWORD = "correct horse battery"


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    from django.core.management import call_command

    from analytics.access.services import api_key_create, tenant_create
    from config.schedule import schedule_apply

    with open(os.devnull, "w") as nowhere:
        call_command("collectstatic", interactive=False, verbosity=0)
        tenants = {
            slug: tenant_create(slug=slug, name=slug.title(), zone=zone, base_currency=currency)
            for slug, (zone, currency) in TENANTS.items()
        }
        call_command("demo", tenant="acme", events=7000, days=65, stdout=nowhere, stderr=nowhere)
    schedule_apply(using="owner")
    keys = {slug: api_key_create(tenant_id=tenant.pk, kind="sk", name="browser")[1] for slug, tenant in tenants.items()}
    sessions = {name: _person(name, tenants[slug], role) for name, (slug, role) in PEOPLE.items()}
    sys.stdout.write(json.dumps({"keys": keys, "sessions": sessions}) + "\n")


def _person(name: str, tenant: Any, role: str) -> dict[str, str]:
    """A member with a session; what the browser keeps of it."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import Client

    from analytics.access.services import membership_set

    users: Any = get_user_model().objects
    user = users.create_user(username=name, email=f"{name}@example.org", password=PASSWORD)
    membership_set(tenant_id=tenant.pk, user=user, role=role)
    client = Client()
    client.force_login(user)
    return {"name": settings.SESSION_COOKIE_NAME, "value": str(client.session.session_key)}


if __name__ == "__main__":
    main()
