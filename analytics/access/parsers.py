"""Bodies of the API: JSON of bounded size, without what JSON does not have (NaN, lone surrogates)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any, Final

import msgspec
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

MAX_BYTES: Final = 5 * 1024 * 1024


class TooLarge(APIException):
    """The body is over the limit."""

    status_code = 413
    default_code = "too_large"
    default_detail = f"A body has at most {MAX_BYTES // 1024 // 1024} MiB; send it in parts."


class StrictJSONParser(BaseParser):
    """Reads no more than the limit; deep nesting and broken text are a 400 like any other mistake."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        raw = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise TooLarge
        try:
            return msgspec.json.decode(raw)
        except msgspec.DecodeError as error:
            raise ParseError(f"The body is no JSON: {error}.") from None
        except RecursionError:
            raise ParseError("The body is nested too deeply.") from None
