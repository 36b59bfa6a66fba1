"""``device-ledger token``: prints a token of the embedded issuer."""

from collections.abc import Mapping
from typing import Annotated, Literal

import typer

from device_ledger.cli.errors import USAGE, CliError

Kind = Annotated[
    Literal["bank", "merchant", "user", "admin", "security", "lead"],
    typer.Argument(help="The kind of caller that the token is for."),
]
BankId = Annotated[
    str, typer.Option(help="The bank: for bank, user and admin; narrows security and lead to it.")
]
MerchantId = Annotated[str, typer.Option(help="The merchant: for merchant.")]
UserId = Annotated[
    str, typer.Option(help="The user: a customerId of the bank, or the userId of login-seen.")
]
Scope = Annotated[
    str | None,
    typer.Option(help="Scopes, by spaces, instead of those that the kind of caller has."),
]
Expires = Annotated[int, typer.Option(help="Seconds that the token is good for.", min=1, max=3600)]

_NEEDED: dict[str, list[str]] = {
    "bank": ["bank-id"],
    "merchant": ["merchant-id"],
    "user": ["bank-id", "user-id"],
    "admin": ["bank-id"],
    "security": [],
    "lead": [],
}


def token(  # noqa: PLR0917 - the command line calls it by name
    kind: Kind,
    bank_id: BankId = "",
    merchant_id: MerchantId = "",
    user_id: UserId = "",
    scope: Scope = None,
    expires: Expires = 3600,
) -> None:
    """Print a bearer token (a JWT) of the embedded issuer, for trying things out.

    An API believes it only where it shares this DEVICE_LEDGER_HOME and was started by
    `device-ledger up`, or with DEVICE_LEDGER_EMBEDDED_ISSUER=1.

    A bank posts commands: `device-ledger token bank --bank-id bank-1`

    A merchant looks devices up: `device-ledger token merchant --merchant-id shop-1`

    A user sees and removes the own devices:
    `device-ledger token user --bank-id bank-1 --user-id customer-1`

    An admin does so for any user of a bank: `device-ledger token admin --bank-id bank-1`

    A security officer reads the audit trail and replays it, of one bank with --bank-id, else of
    all: `device-ledger token security`

    A security lead also acknowledges alerts, reveals sealed values and erases customers:
    `device-ledger token lead`
    """
    from device_ledger.issuer import EmbeddedIssuer, IssuerError
    from device_ledger.settings import settings

    names = {"bank_id": bank_id, "merchant_id": merchant_id, "user_id": user_id}
    _check(kind, names)
    try:
        issuer = EmbeddedIssuer.open(settings())
        text = issuer.mint(kind, scope=scope, expires_seconds=expires, **names)
    except IssuerError as error:
        raise CliError(str(error)) from error
    typer.echo(text)


def _check(kind: str, names: Mapping[str, str]) -> None:
    missing = [f"--{name}" for name in _NEEDED[kind] if not names[name.replace("-", "_")]]
    if missing:
        article = "an" if kind == "admin" else "a"
        raise CliError(f"{article} {kind} token needs {' and '.join(missing)}", USAGE)
