"""`manage.py identity show|merge|unmerge --tenant SLUG …`: who is one person, and by which claims."""

from __future__ import annotations

import getpass
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from analytics.identity import (
    UnknownEdge,
    UnknownSubject,
    identity_edges,
    identity_merge,
    identity_unmerge,
    person_of,
    subject_of,
)
from analytics.tenancy import UnknownTenant, tenant_by_slug


class Command(BaseCommand):
    help = "Show a person with its claims, say that two ids are one person, or undo such a claim."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        show = verbs.add_parser("show", help="a person's distinct ids and claims")
        show.add_argument("--user", required=True, metavar="ID")
        merge = verbs.add_parser("merge", help="two distinct ids are one person")
        merge.add_argument("--user", required=True, metavar="ID")
        merge.add_argument("--other", required=True, metavar="ID")
        unmerge = verbs.add_parser("unmerge", help="undo one claim (its number is shown by `show`)")
        unmerge.add_argument("--edge", type=UUID, required=True, metavar="UUID")
        for verb in (show, merge, unmerge):
            verb.add_argument("--tenant", required=True, metavar="SLUG")
        for verb in (merge, unmerge):
            verb.add_argument("--reason", default="", help="kept with the claim")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant_id = tenant_by_slug(options["tenant"]).id
            getattr(self, f"_{options['verb']}")(tenant_id, options)
        except (UnknownTenant, UnknownSubject, UnknownEdge) as error:
            raise CommandError(str(error)) from error

    def _show(self, tenant_id: int, options: dict[str, Any]) -> None:
        person = person_of(tenant_id=tenant_id, distinct_id=options["user"])
        self.stdout.write(f"person {person.person_id}: {', '.join(person.distinct_ids)}")
        for edge in identity_edges(tenant_id=tenant_id, subject_id=person.person_id):
            state = "undone" if edge.undone_at else edge.verdict
            self.stdout.write(f"{edge.pk} {edge.ts:%Y-%m-%d %H:%M:%S} {edge} {state}")

    def _merge(self, tenant_id: int, options: dict[str, Any]) -> None:
        left, right = (subject_of(tenant_id=tenant_id, distinct_id=options[name]) for name in ("user", "other"))
        edge = identity_merge(tenant_id=tenant_id, left=left, right=right, **_who(options))
        self.stdout.write(f"merged; undo with: identity unmerge --tenant {options['tenant']} --edge {edge.pk}")

    def _unmerge(self, tenant_id: int, options: dict[str, Any]) -> None:
        identity_unmerge(tenant_id=tenant_id, edge_id=options["edge"], **_who(options))
        self.stdout.write("undone")


def _who(options: dict[str, Any]) -> dict[str, Any]:
    return {"actor": getpass.getuser(), "reason": options["reason"], "now": timezone.now()}
