"""Makes an empty product ready in one process: roles, tables, two tenants and those that are named. Prints their secret
keys as JSON.
"""

from __future__ import annotations

import json
import os
import sys

import django

TENANTS = {"acme": ("Europe/Paris", "EUR"), "globex": ("Asia/Kathmandu", "NPR")}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.core.management import call_command

    from analytics.access.services import api_key_create, tenant_create

    with open(os.devnull, "w") as nowhere:
        call_command("setup_roles", stdout=nowhere)
        call_command("migrate", verbosity=0)
    keys = {}
    for slug, (zone, currency) in {**dict.fromkeys(sys.argv[1:], ("UTC", "EUR")), **TENANTS}.items():
        tenant = tenant_create(slug=slug, name=slug.title(), zone=zone, base_currency=currency)
        keys[slug] = api_key_create(tenant_id=tenant.pk, kind="sk", name="chaos")[1]
    sys.stdout.write(json.dumps(keys) + "\n")


if __name__ == "__main__":
    main()
