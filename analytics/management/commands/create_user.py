"""Makes a person's account and gives it a role in a tenant."""

from __future__ import annotations

import os
import secrets
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from analytics.access.services import AccessError, membership_set
from analytics.tenancy import UnknownTenant, tenant_by_slug


class Command(BaseCommand):
    help = "Make an account (or find it) and give it a role in a tenant. BELLWETHER_PASSWORD sets the password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--tenant", required=True, help="slug")
        parser.add_argument("--role", default="viewer", help="owner, admin, analyst, viewer or ingest")
        parser.add_argument("--email", default="")
        parser.add_argument("--admin-site", action="store_true", help="may also open /admin/")
        parser.add_argument("--superuser", action="store_true", help="may do everything, in every tenant")

    def handle(self, *args: Any, **options: Any) -> None:
        password = os.environ.get("BELLWETHER_PASSWORD") or secrets.token_urlsafe(12)
        try:
            with transaction.atomic():
                is_new = _account(options, password)
        except (AccessError, UnknownTenant) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{options['username']} is {options['role']} of {options['tenant']}.")
        if not is_new:
            self.stderr.write("The account was there: its password and its rights in the admin stay as they are.")
        elif "BELLWETHER_PASSWORD" not in os.environ:
            self.stderr.write("Password, shown this once (change it in the admin):")
            self.stdout.write(password)


def _account(options: dict[str, Any], password: str) -> bool:
    """Whether the account is new; an old one keeps its password."""
    tenant = tenant_by_slug(options["tenant"])
    user, is_new = get_user_model().objects.get_or_create(
        username=options["username"],
        defaults={
            "email": options["email"],
            "is_staff": options["admin_site"] or options["superuser"],
            "is_superuser": options["superuser"],
        },
    )
    if is_new:
        user.set_password(password)
        user.save(update_fields=["password"])
    membership_set(tenant_id=tenant.id, user=user, role=options["role"])
    return is_new
