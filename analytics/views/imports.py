"""Sending files."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.capture.importing.mapping import MAX_MAPPING_BYTES
from analytics.capture.importing.problems import ImportProblem
from analytics.capture.importing.uploads import HomeFile, HomeUpload
from analytics.imports import TooManyWaiting, file_check, import_enqueue, mapping_check, mapping_text
from analytics.serializers.imports import ImportSerializer
from analytics.serializers.work import JobSerializer

FIELDS = ("file", "mapping", "dry_run", "csrfmiddlewaretoken")


class Crowded(APIException):
    """Too many imports of the tenant wait."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "too_many_waiting"


class ImportsView(TenantView):
    """Files of events."""

    scopes: ClassVar = {"write": Scope.JOBS_WRITE}
    parser_classes = (MultiPartParser,)
    is_atomic: ClassVar = False  # no transaction stays open while a file comes in

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        # Before anything looks into the form, as authentication by session does.
        request.upload_handlers = [HomeUpload(request)]
        return super().initialize_request(request, *args, **kwargs)

    def idempotency_content(self, request: Request) -> bytes:
        """Of the file its digest."""
        form: Any = request.data
        parts = {name: _digest(part) for name, part in form.items()}
        return msgspec.json.encode(parts, order="sorted")

    @extend_schema(
        request={"multipart/form-data": ImportSerializer},
        responses={202: JobSerializer},
        operation_id="imports_start",
    )
    def post(self, request: Request) -> Response:
        """Import a file of events. The answer comes when the file has arrived; `Location` tells how far the job is
        and, in `result`, what the rows came to. Sent again, stored rows are duplicates.
        """
        form: Any = request.data
        filters.only_known(form, FIELDS)
        now, tenant = timezone.now(), self.tenant
        file = form.get("file")
        if not isinstance(file, HomeFile):
            filters.refuse("file", "required", "Send the file as a part called `file`, with its name.")
        dry_run = _flag(form.get("dry_run", ""))
        try:
            mapping = mapping_text(_mapping(form.get("mapping")))
            loaded = mapping_check(tenant, *mapping, now=now)
        except ImportProblem as problem:
            filters.refuse("mapping", "unusable_mapping", str(problem))
        try:
            file_check(tenant, file, loaded, now=now)
        except ImportProblem as problem:
            filters.refuse("file", "unusable_file", str(problem).replace(str(file.path), "the file"))
        try:
            job = import_enqueue(
                tenant=tenant, file=file, mapping=mapping, dry_run=dry_run, created_by=self.credential.actor
            )
        except TooManyWaiting as error:
            raise Crowded(str(error)) from None
        address = request.build_absolute_uri(reverse("job", args=[job.pk]))
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED, headers={"Location": address})


def _mapping(given: Any) -> str | bytes:
    if isinstance(given, HomeFile):
        content: bytes = given.read(MAX_MAPPING_BYTES + 1)
        return content
    if not isinstance(given, str) or not given.strip():
        filters.refuse("mapping", "required", "Send a mapping as YAML, or the name of one of ours.")
    return given


def _flag(given: Any) -> bool:
    if isinstance(given, HomeFile):
        filters.refuse("dry_run", "invalid_flag", "`dry_run` is true or false, not a file.")
    return bool(filters.flag_parameter({"dry_run": str(given)}, "dry_run"))


def _digest(part: Any) -> str:
    return f"{part.name}:{part.digest}" if isinstance(part, HomeFile) else str(part)
