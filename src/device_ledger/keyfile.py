"""Secret files: written once, whole, durable and for their owner only; keys read from them."""

import base64
import binascii
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import SecretStr

KEY_BYTES: Final = 32


class KeyLoadingError(Exception):
    """A key is missing or unusable; the message is one line for the operator, without the key."""


def key_path(home: Path, name: str) -> Path:
    """Where a key lies that no setting names."""
    return home / "keys" / f"{name}.key"


def load_key(name: str, text: SecretStr, file: Path | None, home: Path) -> bytes | None:
    """The key that ``DEVICE_LEDGER_<NAME>_KEY`` or the setting of its file gives, else the one
    below the home; ``None`` where there is none of them.

    Raises:
        KeyLoadingError: both are set, a file can't be read, or it is no base64 of 32 bytes.
    """
    setting = f"DEVICE_LEDGER_{name.upper()}_KEY"
    if text.get_secret_value():
        if file is not None:
            raise KeyLoadingError(f"{setting} and {setting}_FILE are both set: keep one")
        return _decode(text.get_secret_value(), setting)
    path = file or key_path(home, name)
    if file is None and not path.exists():
        return None
    return read_key(path, name)


def read_key(path: Path, name: str) -> bytes:
    """The key that a file holds as base64.

    Raises:
        KeyLoadingError: it can't be read, or is no base64 of 32 bytes.
    """
    try:
        text = path.read_text("ascii")
    except OSError as error:
        raise KeyLoadingError(f"cannot read the {name} key {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        text = ""
    return _decode(text, str(path))


def create_key(path: Path) -> None:
    """Make a random key, where there is none yet.

    Raises:
        KeyLoadingError: it can't be written.
    """
    try:
        write_once(path, base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
    except OSError as error:
        raise KeyLoadingError(f"cannot write the key {path}: {error.strerror}") from None


def _decode(text: str, origin: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyLoadingError(f"{origin} is not the base64 of 32 bytes")
    return key


def write_once(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 whole or not at all; one that another process made first stays.

    Raises:
        OSError: it can't be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
