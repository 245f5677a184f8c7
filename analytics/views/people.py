"""People: who is who, and how to forget them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters, identity
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.privacy import erase_subject
from analytics.serializers import people as serializers


class IdentitiesView(TenantView):
    """The person behind a distinct id."""

    scopes: ClassVar = {"read": Scope.SUBJECTS_WRITE}

    @extend_schema(
        parameters=[OpenApiParameter("distinct_id", required=True, description="An id of the person, as you sent it.")],
        responses=serializers.PersonSerializer,
        operation_id="identities_read",
    )
    def get(self, request: Request) -> Response:
        """All ids and traits of the person, in plain text, and why they are one."""
        filters.only_known(request.query_params, ("distinct_id",))
        distinct_id = filters.text_parameter(request.query_params, "distinct_id")
        if not distinct_id:
            filters.refuse("distinct_id", "required", "Say whom: `?distinct_id=`.")
        try:
            person = identity.person_of(tenant_id=self.tenant.id, distinct_id=distinct_id)
        except identity.UnknownSubject as error:
            raise NotFound from error
        edges = identity.identity_edges(tenant_id=self.tenant.id, subject_id=person.person_id)
        shown = {
            "person_id": person.person_id,
            "subjects": list(person.subjects),
            "is_identified": person.is_identified,
            "distinct_ids": list(person.distinct_ids),
            "traits": person.traits,
        }
        return Response({**shown, "edges": serializers.EdgeSerializer(edges, many=True).data})


class MergeView(TenantView):
    """Two ids, one person."""

    scopes: ClassVar = {"write": Scope.SUBJECTS_WRITE}

    @extend_schema(
        request=serializers.MergeSerializer,
        responses={201: serializers.EdgeSerializer},
        operation_id="identities_merge",
    )
    def post(self, request: Request) -> Response:
        """Say that two distinct ids are one person. The days of both are counted again; `unmerge/` undoes it."""
        wanted = filters.body(serializers.MergeSerializer, request.data)
        ids = {name: self._subject(wanted[name], name) for name in ("distinct_id", "other")}
        if ids["distinct_id"] == ids["other"]:
            filters.refuse("other", "same", "These two are the same id already.")
        edge = identity.identity_merge(
            tenant_id=self.tenant.id,
            left=ids["distinct_id"],
            right=ids["other"],
            actor=self.credential.actor,
            reason=wanted["reason"],
            now=timezone.now(),
        )
        return Response(serializers.EdgeSerializer(edge).data, status=201)

    def _subject(self, distinct_id: str, field: str) -> int:
        try:
            return identity.subject_of(tenant_id=self.tenant.id, distinct_id=distinct_id)
        except identity.UnknownSubject:
            filters.refuse(field, "unknown_subject", "Nobody of that distinct id was ever seen.")


class UnmergeView(TenantView):
    """Taking a merge back."""

    scopes: ClassVar = {"write": Scope.SUBJECTS_WRITE}

    @extend_schema(
        request=serializers.UnmergeSerializer,
        responses=serializers.EdgeSerializer,
        operation_id="identities_unmerge",
    )
    def post(self, request: Request) -> Response:
        """Undo one claim by the id of its edge, whoever made it."""
        wanted = filters.body(serializers.UnmergeSerializer, request.data)
        try:
            edge = identity.identity_unmerge(
                tenant_id=self.tenant.id,
                edge_id=wanted["edge"],
                actor=self.credential.actor,
                reason=wanted["reason"],
                now=timezone.now(),
            )
        except identity.UnknownEdge as error:
            raise NotFound from error
        return Response(serializers.EdgeSerializer(edge).data)


class EraseView(TenantView):
    """Forgetting a person."""

    scopes: ClassVar = {"write": Scope.SUBJECTS_WRITE}
    is_atomic: ClassVar = False  # it waits until every transaction that could miss it has ended, this one too

    @extend_schema(
        request=serializers.EraseSerializer,
        responses=serializers.ReceiptSerializer,
        operation_id="subjects_erase",
    )
    def post(self, request: Request, subject: int) -> Response:
        """Erase the person of a subject from every store, with all its ids; its late events are refused from now on."""
        wanted = filters.body(serializers.EraseSerializer, request.data)
        self._must_exist(subject)
        receipt = erase_subject(
            tenant_id=self.tenant.id,
            subject_id=subject,
            now=timezone.now(),
            dry_run=wanted["dry_run"],
            actor=self.credential.actor,
        )
        return Response(_shown(receipt.as_dict()))

    def _must_exist(self, subject: int) -> None:
        try:
            identity.person_of(tenant_id=self.tenant.id, subject_id=subject)
        except identity.UnknownSubject as error:
            raise NotFound from error


def _shown(receipt: dict[str, Any]) -> dict[str, Any]:
    """Tenants are never shown by number."""
    return {name: value for name, value in receipt.items() if name != "tenant_id"}
