"""CORS for the capture doors, on every answer, errors included (INGEST.md section 13).

Any origin may send events, because a key in the request says whose they are and cookies are never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from analytics.capture.http import Reply

PREFLIGHT_SECONDS: Final = 86_400
NO_CONTENT: Final = Reply(status=204)


def cors_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """The headers that let a page of any origin read the answer, echoing what its preflight asks for."""
    origin = headers.get("origin")
    if origin is None:
        return [(b"vary", b"origin")]
    allowed = headers.get("access-control-request-headers", "authorization,content-type")
    return [
        (b"vary", b"origin"),
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
        (b"access-control-allow-headers", allowed.encode("latin-1")),
        (b"access-control-max-age", str(PREFLIGHT_SECONDS).encode()),
        (b"access-control-expose-headers", b"Retry-After"),
    ]
