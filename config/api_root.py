"""`GET /api/v1/`: where everything is. People are led to the pages of the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import URLResolver, get_resolver, reverse
from django.utils.cache import patch_vary_headers
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api_schema import ROOT, area_of
from config.api_words import AREAS

ROOTS = inline_serializer(
    "Root",
    {
        "name": serializers.CharField(),
        "version": serializers.CharField(),
        "docs": serializers.URLField(help_text="pages for people"),
        "schema": serializers.URLField(help_text="OpenAPI 3.1"),
        "areas": serializers.DictField(
            child=serializers.ListField(child=serializers.URLField()), help_text="addresses, by what they are about"
        ),
    },
)


class RootView(APIView):
    """The door of the API. It tells nothing that the documentation does not, so it asks for nothing."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
            answer: HttpResponseBase = HttpResponseRedirect(reverse("docs"))
        else:
            answer = super().dispatch(request, *args, **kwargs)
        patch_vary_headers(answer, ("Accept",))
        return answer

    @extend_schema(responses=ROOTS, operation_id="root", auth=[])
    def get(self, request: Request) -> Response:
        """The documentation, and the addresses that need no more than a credential to begin with."""
        found = addresses()
        return Response(
            {
                "name": "Bellwether",
                "version": "v1",
                "docs": request.build_absolute_uri(reverse("docs")),
                "schema": request.build_absolute_uri(reverse("schema")),
                "areas": {area: [request.build_absolute_uri(path) for path in found[area]] for area in found},
            }
        )


@cache
def addresses() -> dict[str, list[str]]:
    """Paths that can be read without an argument, by their area."""
    found: dict[str, list[str]] = {area.name: [] for area in AREAS}
    for path in sorted(_readable(get_resolver().url_patterns, "/")):
        if path.startswith(ROOT) and path != ROOT:
            found[area_of(path).name].append(path)
    return {area: paths for area, paths in found.items() if paths}


def _readable(patterns: Any, prefix: str) -> Iterator[str]:
    for pattern in patterns:
        address = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _readable(pattern.url_patterns, address)
        elif hasattr(getattr(pattern.callback, "view_class", None), "get") and not pattern.pattern.converters:
            yield address
