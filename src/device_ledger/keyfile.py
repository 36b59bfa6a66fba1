"""Secret files: written once, whole, durable and for their owner only; keys read from them."""

import base64
import binascii
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from device_ledger.durable import sync

KEY_BYTES: Final = 32


class KeyLoadingError(Exception):
    """A key is missing or unusable; the message is one line for the operator, without the key."""


def key_path(home: Path, name: str) -> Path:
    """Where a key lies that no setting names."""
    return home / "keys" / f"{name}.key"


def load_key(name: str, text: SecretStr, file: Path | None, home: Path) -> bytes | None:
    """The one key that ``DEVICE_LEDGER_<NAME>_KEY`` or the setting of its file gives, else the one
    below the home; ``None`` where there is none of them.

    Raises:
        KeyLoadingError: as `load_keys`, or there are several.
    """
    found = load_keys(name, text, file, home)
    if len(found) > 1:
        raise KeyLoadingError(f"there are {len(found)} {name} keys: there can be one only")
    return found[0] if found else None


def load_keys(name: str, text: SecretStr, file: Path | None, home: Path) -> list[bytes]:
    """The keys of that name, as of `load_key`, in their order: of one that is being exchanged
    there are two, the older one first.

    Raises:
        KeyLoadingError: both are set, a file can't be read, or one is no base64 of 32 bytes.
    """
    setting = setting_of(name)
    if text.get_secret_value():
        if file is not None:
            raise KeyLoadingError(f"{setting} and {setting}_FILE are both set: keep one")
        return _decode(text.get_secret_value(), setting)
    path = file or key_path(home, name)
    if file is None and not path.exists():
        return []
    return read_keys(path, name)


def setting_of(name: str) -> str:
    """The setting that gives a key."""
    return f"DEVICE_LEDGER_{name.upper()}_KEY"


def read_keys(path: Path, name: str) -> list[bytes]:
    """The keys that a file holds as base64, one a line.

    Raises:
        KeyLoadingError: it can't be read, holds none, or one is no base64 of 32 bytes.
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
        write_once(path, _new_line())
    except OSError as error:
        raise KeyLoadingError(f"cannot write the key {path}: {error.strerror}") from None


def add_key(path: Path, name: str) -> None:
    """Add a random key to a file that holds one: whole and durable, or not at all.

    Raises:
        KeyLoadingError: the file can't be read or written, or holds several already.
    """
    if len(read_keys(path, name)) > 1:
        raise KeyLoadingError(f"{path} holds several keys already: an exchange is not over")
    try:
        content = path.read_bytes().rstrip() + b"\n" + _new_line()
        draft = _write_draft(path, content)
        draft.replace(path)
        sync(path.parent)
    except OSError as error:
        raise KeyLoadingError(f"cannot write the key {path}: {error.strerror}") from None


def _new_line() -> bytes:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n"


def _decode(text: str, origin: str) -> list[bytes]:
    parts = text.replace(",", " ").split() or [""]
    return list(dict.fromkeys(_decode_one(part, origin) for part in parts))


def _decode_one(text: str, origin: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
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
    draft = _write_draft(path, content)
    try:
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)


def _write_draft(path: Path, content: bytes) -> Path:
    """A file beside the path, of mode 0600 and durable; there is none after an error."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft
