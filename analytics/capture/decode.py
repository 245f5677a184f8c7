"""From the bytes of a request body to the bytes of its JSON text: inflating, form and base64 wrapping.

Magic bytes decide, never headers: released SDKs send gzip as text/plain or as a form (INGEST.md sections 1 and 4).
Inflating stops at the cap, so a bomb costs at most one chunk beyond it.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Final
from urllib.parse import unquote_to_bytes

import zstandard

MAX_BODY_BYTES: Final = 20 * 1024 * 1024
MAX_INFLATED_BYTES: Final = 50 * 1024 * 1024
MAX_RATIO: Final = 100
RATIO_FREE_BYTES: Final = 1024 * 1024  # a small body may repeat itself as much as it likes
CHUNK_BYTES: Final = 256 * 1024
FED_BYTES: Final = 16 * 1024
MAX_MEMBERS: Final = 10_000
GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"


class UnreadableBody(Exception):
    """The body cannot be decoded; sending it again does not help (answered 400)."""


class TooLargeBody(Exception):
    """The body, or what it inflates to, is over a cap (answered 413)."""


def is_compressed(body: bytes) -> bool:
    """Whether the body starts as gzip, zstd or zlib do."""
    return body.startswith((GZIP, ZSTD)) or _is_zlib(body)


def json_text(body: bytes, *, compression: str = "") -> bytes:
    """The JSON text in a body. `compression` is the query parameter of that name; only `lz64` matters.

    Raises `UnreadableBody` and `TooLargeBody`.
    """
    if compression in ("lz64", "lz-string"):
        raise UnreadableBody("compression lz64 is not supported; use gzip-js")
    if is_compressed(body):
        body = inflate(body)
    body = _unwrapped_form(body)
    if _looks_like_json(body):
        return body
    inner = _debase64(body)
    if is_compressed(inner):
        inner = inflate(inner)
    if _looks_like_json(inner):
        return inner
    raise UnreadableBody("the body is neither JSON nor compressed or base64 JSON")


def inflate(body: bytes) -> bytes:
    """The body inflated, whichever of gzip, zlib and zstd it is. Raises `UnreadableBody` and `TooLargeBody`."""
    try:
        return _inflate_zstd(body) if body.startswith(ZSTD) else _inflate_zlib(body)
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise UnreadableBody(f"the body cannot be decompressed: {error}") from error


def _inflate_zlib(body: bytes) -> bytes:
    chunks: list[bytes] = []
    total = at = members = 0
    while at < len(body):  # gzip allows several members one after another
        members += 1
        if members > MAX_MEMBERS:
            raise TooLargeBody(f"the body has more than {MAX_MEMBERS} gzip members")
        inflater = zlib.decompressobj(wbits=47)
        while not inflater.eof:
            # Fed piece by piece: zlib hands back a copy of all that it did not use, after every chunk and member.
            piece = inflater.unconsumed_tail or body[at : at + FED_BYTES]
            at += 0 if inflater.unconsumed_tail else len(piece)
            chunk = inflater.decompress(piece, CHUNK_BYTES)
            total += len(chunk)
            _guard(total, at - len(inflater.unconsumed_tail))
            chunks.append(chunk)
            if not piece and not chunk and not inflater.eof:
                raise UnreadableBody("the compressed body ends too early")
        at -= len(inflater.unused_data)
        if not body.startswith(GZIP, at):
            break
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _inflate_zstd(body: bytes) -> bytes:
    chunks: list[bytes] = []
    total = 0
    with zstandard.ZstdDecompressor(max_window_size=2**23).stream_reader(body, read_across_frames=True) as reader:
        while chunk := reader.read(CHUNK_BYTES):
            total += len(chunk)
            _guard(total, len(body))
            chunks.append(chunk)
    return b"".join(chunks)


def _guard(inflated: int, read: int) -> None:
    if inflated > MAX_INFLATED_BYTES:
        raise TooLargeBody(f"the body inflates to more than {MAX_INFLATED_BYTES} bytes")
    if inflated > RATIO_FREE_BYTES and inflated > MAX_RATIO * read:
        raise TooLargeBody(f"the body inflates to more than {MAX_RATIO} times its size")


def _is_zlib(body: bytes) -> bool:
    return len(body) > 2 and body[0] == 0x78 and (body[0] << 8 | body[1]) % 31 == 0 and body[1] in b"\x01\x5e\x9c\xda"


def _looks_like_json(body: bytes) -> bool:
    return body[:64].lstrip(b" \t\r\n\xef\xbb\xbf")[:1] in (b"{", b"[")


def _unwrapped_form(body: bytes) -> bytes:
    """The `data` field of a form; a body that is no form as it is."""
    if not body.startswith(b"data="):
        return body
    field = body[5:].split(b"&", 1)[0]
    return unquote_to_bytes(field.replace(b" ", b"+"))


def _debase64(body: bytes) -> bytes:
    # A space was a plus sign before some proxy or form decoder read it.
    text = body.strip().replace(b" ", b"+").replace(b"-", b"+").replace(b"_", b"/")
    if b"%" in text:
        text = unquote_to_bytes(text)
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableBody("the body is neither JSON nor base64") from error
