"""The two keys of an installation: where they come from, and the first ones made for ``up``."""

import hmac
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from device_ledger.keyfile import KeyLoadingError, create_key, key_path, load_key, read_key
from device_ledger.settings import Settings
from device_ledger.vault.encoding import from_text, strings, to_text
from device_ledger.vault.sealing import NONCE_BYTES
from device_ledger.vault.tokens import KEY_BYTES, TokenKey

_WRAPPED_DOMAIN: Final = "device-ledger/data-key/v1"


class MasterKey:
    """Wraps data keys: AES-256-GCM, a random nonce each, the customer and generation bound."""

    __slots__ = ("_cipher", "id")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError("the master key must have 32 bytes")
        self._cipher = AESGCM(key)
        self.id: str = hmac.digest(key, b"device-ledger/master-key-id/v1", "sha256")[:8].hex()

    def __repr__(self) -> str:
        return f"MasterKey({self.id})"

    def wrap(self, key: bytes, bank_id: str, user_id: str, generation: int) -> str:
        """A data key as it may be stored: base64url of nonce (12 bytes), ciphertext and tag."""
        nonce = os.urandom(NONCE_BYTES)
        bound = strings(_WRAPPED_DOMAIN, bank_id, user_id, str(generation))
        return to_text(nonce + self._cipher.encrypt(nonce, key, bound))

    def unwrap(self, wrapped: str, bank_id: str, user_id: str, generation: int) -> bytes:
        """The data key of ``wrap``.

        Raises:
            ValueError: it was wrapped by another key, for another customer, or was changed.
        """
        content = from_text(wrapped)
        bound = strings(_WRAPPED_DOMAIN, bank_id, user_id, str(generation))
        try:
            return self._cipher.decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], bound)
        except InvalidTag:
            raise ValueError("the wrapped key does not open") from None


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of an installation."""

    master: MasterKey
    token: TokenKey


def load_keys(settings: Settings) -> Keys:
    """The keys that the settings name, else those below the home.

    Raises:
        KeyLoadingError: one of them is missing or no base64 of 32 bytes.
    """
    master = _load("master", settings.master_key, settings.master_key_file, settings.home)
    token = _load("token", settings.token_key, settings.token_key_file, settings.home)
    return Keys(MasterKey(master), TokenKey(token))


def load_or_create_keys(home: Path) -> Keys:
    """The keys below a home, made (0600, durable) where this is a new one.

    Raises:
        KeyLoadingError: a key is unusable, or missing where data that needs it is there already.
    """
    for name in ("token", "master"):
        path = key_path(home, name)
        if path.exists():
            continue
        for room in ("ledger", "vault"):
            if (home / room).is_dir() and any((home / room).iterdir()):
                raise KeyLoadingError(
                    f"{path} is missing, but {home / room} holds data that needs it: restore it"
                )
        create_key(path)
    master, token = (read_key(key_path(home, name), name) for name in ("master", "token"))
    return Keys(MasterKey(master), TokenKey(token))


def _load(name: str, text: SecretStr, file: Path | None, home: Path) -> bytes:
    key = load_key(name, text, file, home)
    if key is None:
        setting = f"DEVICE_LEDGER_{name.upper()}_KEY"
        raise KeyLoadingError(
            f"no {name} key: set {setting} or {setting}_FILE (base64 of 32 random bytes)"
        )
    return key
