"""Keys, digests and seals: how anything personal looks once it is on disk.

One secret (`FIELD_ENCRYPTION_KEY`) gives, by keyed BLAKE2b, one key for each use and tenant. A distinct id is found by
its keyed digest; what must be read again is sealed with AES-256-GCM under the subject's own data key, which is itself
stored only wrapped. Deleting the wrapped key makes every copy of the sealed values unreadable, in backups and in the
write-ahead log too.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

DIGEST_BYTES = 16
KEY_BYTES = 32
NONCE_BYTES = 12
# The first byte of every seal, so that a later cipher can be told apart.
VERSION = b"\x01"


class SealBroken(ValueError):
    """The sealed bytes were changed, or belong to another key, tenant or use. Trying again does not help."""


def seal(key: bytes, plain: bytes, *, context: bytes = b"") -> bytes:
    """Encrypt and authenticate; `context` must be given again to open it."""
    nonce = os.urandom(NONCE_BYTES)
    return VERSION + nonce + AESGCM(key).encrypt(nonce, plain, context)


def unseal(key: bytes, sealed: bytes, *, context: bytes = b"") -> bytes:
    """Return the plain bytes or raise `SealBroken`."""
    if sealed[:1] != VERSION or len(sealed) < 1 + NONCE_BYTES + 16:
        raise SealBroken("not a seal of this product")
    try:
        return AESGCM(key).decrypt(sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], context)
    except InvalidTag as error:
        raise SealBroken("the seal does not open with this key") from error


class Keyring:
    """Every key of one installation, derived from its one secret."""

    def __init__(self, secret: str | bytes) -> None:
        raw = secret.encode() if isinstance(secret, str) else secret
        if not raw:
            raise ValueError("FIELD_ENCRYPTION_KEY is empty")
        self._root = hashlib.blake2b(raw, digest_size=KEY_BYTES, person=b"bellwether").digest()
        self._tenant_keys: dict[tuple[str, int], bytes] = {}
        self._hashers: dict[int, hashlib.blake2b] = {}
        self._wrapping = AESGCM(self.key("wrapping"))

    def key(self, use: str) -> bytes:
        """The key of one use of the whole installation, for example the spool's."""
        return hashlib.blake2b(use.encode(), key=self._root, digest_size=KEY_BYTES).digest()

    def tenant_key(self, tenant_id: int, use: str = "seal") -> bytes:
        """The key of one use of one tenant: for what belongs to no single subject, such as a held payload."""
        found = self._tenant_keys.get((use, tenant_id))
        if found is None:
            found = self._tenant_keys[use, tenant_id] = self.key(f"tenant:{tenant_id}:{use}")
        return found

    def digest(self, tenant_id: int, distinct_id: str) -> bytes:
        """The 16 bytes by which a distinct id of this tenant is found; another tenant's differ for the same id."""
        hasher = self._hashers.get(tenant_id)
        if hasher is None:
            hasher = hashlib.blake2b(key=self.tenant_key(tenant_id, "digest"), digest_size=DIGEST_BYTES)
            self._hashers[tenant_id] = hasher
        state = hasher.copy()
        state.update(distinct_id.encode("utf-8", "surrogatepass"))
        return state.digest()

    def new_data_key(self, tenant_id: int) -> tuple[bytes, bytes]:
        """A fresh subject key: (plain, for use now; wrapped, for the row)."""
        plain = os.urandom(KEY_BYTES)
        nonce = os.urandom(NONCE_BYTES)
        return plain, VERSION + nonce + self._wrapping.encrypt(nonce, plain, b"subject:%d" % tenant_id)

    def unwrap(self, tenant_id: int, wrapped: bytes | memoryview) -> bytes:
        """The plain subject key of a wrapped one."""
        return unseal(self.key("wrapping"), bytes(wrapped), context=b"subject:%d" % tenant_id)


@lru_cache(maxsize=4)
def _keyring_of(secret: str) -> Keyring:
    return Keyring(secret)


def keyring() -> Keyring:
    """The keyring of the running settings."""
    return _keyring_of(settings.FIELD_ENCRYPTION_KEY)
