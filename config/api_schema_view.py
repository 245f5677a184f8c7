"""`/api/schema/`: the description of the API. It is the same for everybody, so each process makes it once."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.utils import translation
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularAPIView
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class SchemaView(SpectacularAPIView):
    """As YAML or JSON. There is one version in one language, whatever `?version=` and `?lang=` say."""

    def _get_schema_response(self, request: Request) -> Any:
        renderer = request.accepted_renderer
        kind: Any = type(renderer)
        name = f"{settings.SPECTACULAR_SETTINGS['TITLE']}.{renderer.format}"
        return HttpResponse(
            written(kind),
            content_type=renderer.media_type,
            headers={"Content-Disposition": f'inline; filename="{name}"'},
        )


@cache
def written(renderer: type[BaseRenderer]) -> bytes:
    """The document as that renderer writes it: half a second of work, which no stranger should be able to order."""
    generator: Any = SchemaGenerator
    with translation.override(settings.LANGUAGE_CODE):
        found = generator().get_schema(request=None, public=True)
    made: Any = renderer().render(found, renderer_context={})
    return bytes(made)
