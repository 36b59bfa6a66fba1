"""The two keys of an installation: where they come from, and the first ones made for ``up``."""

import base64
import binascii
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from device_ledger.keyfile import write_once
from device_ledger.settings import Settings
from device_ledger.vault.encoding import from_text, strings, to_text
from device_ledger.vault.sealing import NONCE_BYTES
from device_ledger.vault.tokens import KEY_BYTES, TokenKey

_WRAPPED_DOMAIN: Final = "device-ledger/data-key/v1"


class KeyLoadingError(Exception):
    """A key is missing or unusable; the message is one line for the operator, without the key."""


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
        path = _path(home, name)
        if path.exists():
            continue
        for room in ("ledger", "vault"):
            if (home / room).is_dir() and any((home / room).iterdir()):
                raise KeyLoadingError(
                    f"{path} is missing, but {home / room} holds data that needs it: restore it"
                )
        _create(path)
    master, token = (_read(_path(home, name), name) for name in ("master", "token"))
    return Keys(MasterKey(master), TokenKey(token))


def _path(home: Path, name: str) -> Path:
    return home / "keys" / f"{name}.key"


def _load(name: str, text: SecretStr, file: Path | None, home: Path) -> bytes:
    setting = f"DEVICE_LEDGER_{name.upper()}_KEY"
    if text.get_secret_value():
        if file is not None:
            raise KeyLoadingError(f"{setting} and {setting}_FILE are both set: keep one")
        return _decode(text.get_secret_value(), setting)
    path = file or _path(home, name)
    if file is None and not path.exists():
        raise KeyLoadingError(
            f"no {name} key: set {setting} or {setting}_FILE (base64 of 32 random bytes)"
        )
    return _read(path, name)


def _read(path: Path, name: str) -> bytes:
    try:
        text = path.read_text("ascii")
    except OSError as error:
        raise KeyLoadingError(f"cannot read the {name} key {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        text = ""
    return _decode(text, str(path))


def _decode(text: str, origin: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyLoadingError(f"{origin} is not the base64 of 32 bytes")
    return key


def _create(path: Path) -> None:
    try:
        write_once(path, base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
    except OSError as error:
        raise KeyLoadingError(f"cannot write the key {path}: {error.strerror}") from None
