"""Distinct ids, subjects and persons: look-ups, and merges by hand that can be undone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connections

from analytics.components import APPLIED
from analytics.contracts import LinkKind
from analytics.ids import uuid7
from analytics.models import Identity, IdentityEdge, Profile, Subject
from analytics.sealing import keyring, unseal
from analytics.tenancy import tenant_context
from analytics.writing import staging
from analytics.writing.merging import recompute
from analytics.writing.profiles import open_traits


class UnknownSubject(LookupError):
    """The tenant has no such distinct id or subject (or it was erased)."""


class UnknownEdge(LookupError):
    """The tenant has no such edge, or it is undone already."""


@dataclass(frozen=True, slots=True)
class Person:
    """One person: all its subjects (the lowest is its id), whether it is identified, its distinct ids and traits."""

    person_id: int
    subjects: tuple[int, ...]
    is_identified: bool
    distinct_ids: tuple[str, ...]
    traits: dict[str, Any]


def subject_of(*, tenant_id: int, distinct_id: str, using: str = "default") -> int:
    """The subject of a distinct id. Raises UnknownSubject."""
    digest = UUID(bytes=keyring().digest(tenant_id, distinct_id))
    with tenant_context(tenant_id, using=using):
        row = Identity.objects.using(using).filter(tenant_id=tenant_id, digest=digest).values_list("subject_id").first()
    if row is None:
        raise UnknownSubject("there is no such distinct id in this tenant")
    return int(row[0])


def person_of(
    *, tenant_id: int, subject_id: int | None = None, distinct_id: str = "", using: str = "default"
) -> Person:
    """The person behind a subject or a distinct id, with its sealed values opened. Raises UnknownSubject."""
    subject = subject_id or subject_of(tenant_id=tenant_id, distinct_id=distinct_id, using=using)
    with tenant_context(tenant_id, using=using):
        members = person_subjects(tenant_id=tenant_id, subject_id=subject, using=using)
        ids = [member.pk for member in members]
        ring = keyring()
        keys = {m.pk: ring.unwrap(tenant_id, m.wrapped_key) for m in members if m.wrapped_key is not None}
        identities = (
            Identity.objects.using(using).filter(tenant_id=tenant_id, subject_id__in=ids).order_by("subject_id")
        )
        names = [
            unseal(keys[i.subject_id], bytes(i.sealed_id), context=b"distinct_id").decode("utf-8", "surrogatepass")
            for i in identities
            if i.subject_id in keys
        ]
        return Person(
            person_id=members[0].person_id,
            subjects=tuple(ids),
            is_identified=any(member.is_identified for member in members),
            distinct_ids=tuple(names),
            traits=_traits(tenant_id, ids, keys, using),
        )


def person_subjects(*, tenant_id: int, subject_id: int, using: str = "default") -> list[Subject]:
    """Every subject of the person that a subject belongs to, by id. Needs the tenant's context.

    Raises UnknownSubject.
    """
    subjects = Subject.objects.using(using).filter(tenant_id=tenant_id)
    person = subjects.filter(pk=subject_id).values_list("person_id").first()
    if person is None:
        raise UnknownSubject(f"there is no subject {subject_id} in this tenant")
    return list(subjects.filter(person_id=person[0]).order_by("pk"))


def identity_edges(*, tenant_id: int, subject_id: int, using: str = "default") -> list[IdentityEdge]:
    """Every claim that touches the subject's person, in the order in which they count; undone and blocked ones too."""
    with tenant_context(tenant_id, using=using):
        ids = [member.pk for member in person_subjects(tenant_id=tenant_id, subject_id=subject_id, using=using)]
        edges = IdentityEdge.objects.using(using).filter(tenant_id=tenant_id)
        touching = edges.filter(left_subject__in=ids) | edges.filter(right_subject__in=ids)
        return list(touching.order_by("ts", "event_id", "pk"))


def identity_merge(
    *, tenant_id: int, left: int, right: int, actor: str, reason: str, now: datetime, using: str = "default"
) -> IdentityEdge:
    """Say by hand that two subjects are one person. Nothing blocks it; `identity_unmerge` undoes it.

    Raises UnknownSubject.
    """
    id_ = uuid7()
    with tenant_context(tenant_id, using=using):
        for subject in (left, right):
            person_subjects(tenant_id=tenant_id, subject_id=subject, using=using)
        edge = IdentityEdge.objects.using(using).create(
            id=id_,
            tenant_id=tenant_id,
            left_subject=left,
            right_subject=right,
            kind=LinkKind.MANUAL,
            ts=now,
            event_id=str(id_),
            actor=actor,
            reason=reason,
            verdict=APPLIED,
        )
        _recompute(tenant_id, (left, right), reason="merge", now=now, using=using)
    return edge


def identity_unmerge(
    *, tenant_id: int, edge_id: UUID, actor: str, reason: str, now: datetime, using: str = "default"
) -> IdentityEdge:
    """Undo one claim, whoever made it; the same claim of later events stays undone. Raises UnknownEdge."""
    with tenant_context(tenant_id, using=using):
        edges = IdentityEdge.objects.using(using).filter(tenant_id=tenant_id, pk=edge_id, undone_at=None)
        if not edges.update(undone_at=now, undone_by=actor, reason=reason):
            raise UnknownEdge(f"there is no edge {edge_id} to undo")
        edge = IdentityEdge.objects.using(using).get(pk=edge_id)
        _recompute(tenant_id, (edge.left_subject, edge.right_subject), reason="unmerge", now=now, using=using)
    return edge


def _recompute(tenant_id: int, seeds: tuple[int, int], *, reason: str, now: datetime, using: str) -> None:
    cursor = staging.writing_cursor(connections[using])
    recompute(cursor, tenant_id, seeds, reason=reason, now=now)


def _traits(tenant_id: int, ids: list[int], keys: dict[int, bytes], using: str) -> dict[str, Any]:
    """Traits of all subjects of a person. Where they differ, those of the subject that took the others in win."""
    edges = IdentityEdge.objects.using(using).filter(tenant_id=tenant_id, left_subject__in=ids, undone_at=None)
    hosts = set(edges.filter(verdict=APPLIED).values_list("left_subject", flat=True))
    profiles = Profile.objects.using(using).filter(tenant_id=tenant_id, subject_id__in=ids)
    traits: dict[str, Any] = {}
    for profile in sorted(profiles, key=lambda p: (p.subject_id in hosts, p.updated_at, p.subject_id)):
        plain = profile.traits if isinstance(profile.traits, dict) else json.loads(profile.traits)
        traits.update(open_traits(plain, profile.sealed_traits, keys.get(profile.subject_id)))
    return traits
