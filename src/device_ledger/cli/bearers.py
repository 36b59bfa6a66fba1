"""Tokens for the commands that post: from a file, from an option, or of the embedded issuer."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from device_ledger.cli.errors import CliError
from device_ledger.issuer import LIFETIME_SECONDS_MAX, EmbeddedIssuer, IssuerError
from device_ledger.settings import Settings

_RENEWED_BEFORE_END_SECONDS: Final = 600


def from_file(file: Path) -> Callable[[str, str], str]:
    """Tokens of a JSON object that gives each bank's or merchant's ID its token.

    Raises:
        CliError: the file can't be read or holds something else; later, a caller is not in it.
    """
    try:
        tokens = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise CliError(f"can't read tokens from {file}: {type(error).__name__}") from None
    if not isinstance(tokens, dict) or not all(isinstance(it, str) for it in tokens.values()):
        raise CliError(f'{file} must be a JSON object: {{"bank-01": "token", …}}')

    def bearer(_kind: str, caller: str) -> str:
        if caller not in tokens:
            raise CliError(f"{file} has no token of {caller}")
        return str(tokens[caller])

    return bearer


def of_embedded_issuer(settings: Settings) -> Callable[[str, str], str]:
    """Tokens minted as they are needed with the key that ``device-ledger up`` made.

    Raises:
        CliError: the home has no such key.
    """
    if not (settings.home / "keys" / "issuer.key").exists():
        raise CliError(
            f"{settings.home} has no embedded issuer: run `device-ledger up`, or give tokens"
        )
    try:
        issuer = EmbeddedIssuer.open(settings)
    except IssuerError as error:
        raise CliError(str(error)) from None
    minted: dict[tuple[str, str], tuple[str, float]] = {}

    def bearer(kind: str, caller: str) -> str:
        token, renew_at = minted.get((kind, caller), ("", 0.0))
        if time.monotonic() >= renew_at:
            token = (
                issuer.mint("merchant", merchant_id=caller)
                if kind == "merchant"
                else issuer.mint("bank", bank_id=caller)
            )
            renew_at = time.monotonic() + LIFETIME_SECONDS_MAX - _RENEWED_BEFORE_END_SECONDS
            minted[kind, caller] = token, renew_at
        return token

    return bearer
