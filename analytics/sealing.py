"""Keys, digests and seals: how anything personal looks once it is on disk.

One secret (`FIELD_ENCRYPTION_KEY`) gives, by keyed BLAKE2b, one key for each use and tenant. A distinct id is found by
its keyed digest; what must be read again is sealed with AES-256-GCM under the subject's own data key, which is itself
stored only wrapped. Deleting the wrapped key makes every copy of the sealed values unreadable, in backups and in the
write-ahead log too.

The secret may be several, separated by commas: the first seals, all of them open, and the last makes the digests,
because those of erased people cannot be made anew. `manage.py rotate_encryption` seals everything under the first.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

DIGEST_BYTES = 16
KEY_BYTES = 32
NONCE_BYTES = 12
ID_BYTES = 4
# The first byte of every seal. One under a key of the installation also says which, so that it can be changed.
VERSION = b"\x01"
KEYED = b"\x02"


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


class _Root:
    """What follows from one secret."""

    def __init__(self, secret: bytes) -> None:
        self._root = hashlib.blake2b(secret, digest_size=KEY_BYTES, person=b"bellwether").digest()
        self.id = hashlib.blake2b(b"id", key=self._root, digest_size=ID_BYTES).digest()
        self.wrapping = self.key("wrapping")
        self.wrapper = AESGCM(self.wrapping)  # made once: every new subject's key is wrapped with it
        self._tenant_keys: dict[tuple[str, int], bytes] = {}

    def key(self, use: str) -> bytes:
        return hashlib.blake2b(use.encode(), key=self._root, digest_size=KEY_BYTES).digest()

    def tenant_key(self, tenant_id: int, use: str) -> bytes:
        found = self._tenant_keys.get((use, tenant_id))
        if found is None:
            found = self._tenant_keys[use, tenant_id] = self.key(f"tenant:{tenant_id}:{use}")
        return found


class Keyring:
    """Every key of one installation, derived from its secret, or from several separated by commas."""

    def __init__(self, secret: str | bytes) -> None:
        raw = secret.encode() if isinstance(secret, str) else secret
        secrets = [part.strip() for part in raw.split(b",") if part.strip()]
        if not secrets:
            raise ValueError("FIELD_ENCRYPTION_KEY is empty")
        self._roots = [_Root(each) for each in secrets]
        self._first, self._last = self._roots[0], self._roots[-1]
        self._hashers: dict[int, hashlib.blake2b] = {}
        self.mark = KEYED + self._first.id
        """How everything begins that is sealed under the first key."""
        self.oldest = secrets[-1]

    def __len__(self) -> int:
        return len(self._roots)

    def key(self, use: str) -> bytes:
        """The key of one use of the whole installation, for example the spool's."""
        return self._first.key(use)

    def keys(self, use: str) -> list[bytes]:
        """The keys under which something of that use may have been sealed, newest first."""
        return [root.key(use) for root in self._roots]

    def lasting_key(self, tenant_id: int, use: str) -> bytes:
        """A key for digests of a tenant; it does not change when the keys that seal are replaced."""
        return self._last.tenant_key(tenant_id, use)

    def seal(self, tenant_id: int, plain: bytes, *, context: bytes) -> bytes:
        """Seal what belongs to no single subject, such as a held payload, under the tenant's key."""
        return self._keyed(AESGCM(self._first.tenant_key(tenant_id, "seal")), plain, context)

    def unseal(self, tenant_id: int, sealed: bytes, *, context: bytes) -> bytes:
        """Open it. Raises `SealBroken`."""
        return self._opened(sealed, context, lambda root: root.tenant_key(tenant_id, "seal"))

    def wrap(self, tenant_id: int, plain: bytes) -> bytes:
        """A subject's key as it is stored."""
        return self._keyed(self._first.wrapper, plain, b"subject:%d" % tenant_id)

    def _keyed(self, cipher: AESGCM, plain: bytes, context: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return self.mark + nonce + cipher.encrypt(nonce, plain, context)

    def _opened(self, sealed: bytes, context: bytes, key_of: Callable[[_Root], bytes]) -> bytes:
        if sealed[:1] == KEYED:
            root = next((root for root in self._roots if root.id == sealed[1 : 1 + ID_BYTES]), None)
            if root is None:
                raise SealBroken("the key of this seal is not in FIELD_ENCRYPTION_KEY")
            return unseal(key_of(root), VERSION + sealed[1 + ID_BYTES :], context=context)
        # From before keys had names.
        for root in reversed(self._roots[1:]):
            with suppress(SealBroken):
                return unseal(key_of(root), sealed, context=context)
        return unseal(key_of(self._first), sealed, context=context)

    def digest(self, tenant_id: int, distinct_id: str) -> bytes:
        """The 16 bytes by which a distinct id of this tenant is found; another tenant's differ for the same id."""
        hasher = self._hashers.get(tenant_id)
        if hasher is None:
            hasher = hashlib.blake2b(key=self.lasting_key(tenant_id, "digest"), digest_size=DIGEST_BYTES)
            self._hashers[tenant_id] = hasher
        state = hasher.copy()
        state.update(distinct_id.encode("utf-8", "surrogatepass"))
        return state.digest()

    def new_data_key(self, tenant_id: int) -> tuple[bytes, bytes]:
        """A fresh subject key: (plain, for use now; wrapped, for the row)."""
        plain = os.urandom(KEY_BYTES)
        return plain, self.wrap(tenant_id, plain)

    def unwrap(self, tenant_id: int, wrapped: bytes | memoryview) -> bytes:
        """The plain subject key of a wrapped one."""
        return self._opened(bytes(wrapped), b"subject:%d" % tenant_id, lambda root: root.wrapping)


@lru_cache(maxsize=4)
def _keyring_of(secret: str) -> Keyring:
    return Keyring(secret)


def keyring() -> Keyring:
    """The keyring of the running settings."""
    return _keyring_of(settings.FIELD_ENCRYPTION_KEY)


def installation() -> str:
    """What tells this installation from others: a digest of the key that its own digests depend on."""
    return hashlib.blake2b(b"bellwether.lake:" + keyring().oldest, digest_size=12).hexdigest()
