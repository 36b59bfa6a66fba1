"""The keys of an installation: where they come from, and the first ones made for ``up``."""

import hmac
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from device_ledger import keyfile
from device_ledger.keyfile import KeyLoadingError, create_key, key_path, setting_of
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


class MasterKeys:
    """The master keys that a process has: one, and two while data keys are wrapped anew.

    Those of a file are read again where a data key is wrapped by one that isn't known yet.
    """

    def __init__(
        self, keys: Sequence[MasterKey], read_again: Callable[[], Sequence[MasterKey]] = tuple
    ) -> None:
        """``keys`` has the newest one last."""
        self._keys = {key.id: key for key in keys}
        self._read_again = read_again

    @property
    def newest(self) -> MasterKey:
        """The one that a new vault's keys are wrapped by."""
        return list(self._keys.values())[-1]

    @property
    def ids(self) -> list[str]:
        """What they are named by, the newest last."""
        return list(self._keys)

    def find(self, key_id: str | None) -> MasterKey | None:
        """The key of that ID, where it is known now."""
        if key_id not in self._keys:
            with suppress(KeyLoadingError):
                self._keys = {key.id: key for key in self._read_again()} or self._keys
        return self._keys.get(key_id or "")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of an installation."""

    masters: MasterKeys
    token: TokenKey


def load_keys(settings: Settings) -> Keys:
    """The keys that the settings name, else those below the home.

    Raises:
        KeyLoadingError: one of them is missing or no base64 of 32 bytes.
    """

    def load() -> list[MasterKey]:
        found = keyfile.load_keys(
            "master", settings.master_key, settings.master_key_file, settings.home
        )
        return [MasterKey(key) for key in found]

    masters = load()
    token = keyfile.load_key("token", settings.token_key, settings.token_key_file, settings.home)
    if not masters or token is None:
        name = "token" if masters else "master"
        setting = setting_of(name)
        raise KeyLoadingError(
            f"no {name} key: set {setting} or {setting}_FILE (base64 of 32 random bytes)"
        )
    return Keys(MasterKeys(masters, load), TokenKey(token))


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
    # Of the settings only the home counts: these keys are for trying things out.
    return load_keys(Settings.model_construct(home=home))
