"""``device-ledger token``: prints a token of the embedded issuer."""

from typing import Annotated, Literal

import typer

from device_ledger.cli.errors import USAGE, CliError


def token(  # noqa: PLR0917 - the command line calls it by name
    kind: Annotated[
        Literal["bank", "merchant", "user", "admin", "security"],
        typer.Argument(help="The kind of caller that the token is for."),
    ],
    bank_id: Annotated[
        str, typer.Option(help="The bank: for bank, user and admin; narrows security to it.")
    ] = "",
    merchant_id: Annotated[str, typer.Option(help="The merchant: for merchant.")] = "",
    user_id: Annotated[
        str, typer.Option(help="The user: a customerId of the bank, or the userId of login-seen.")
    ] = "",
    scope: Annotated[
        str | None,
        typer.Option(help="Scopes, by spaces, instead of those that the kind of caller has."),
    ] = None,
    expires: Annotated[
        int, typer.Option(help="Seconds that the token is good for.", min=1, max=3600)
    ] = 3600,
) -> None:
    """Print a bearer token (a JWT) of the embedded issuer, for trying things out.

    An API believes it only where it shares this DEVICE_LEDGER_HOME and was started by
    `device-ledger up`, or with DEVICE_LEDGER_EMBEDDED_ISSUER=1.

    A bank posts commands: `device-ledger token bank --bank-id bank-1`

    A merchant looks devices up: `device-ledger token merchant --merchant-id shop-1`

    A user sees and removes the own devices:
    `device-ledger token user --bank-id bank-1 --user-id customer-1`

    An admin does so for any user of a bank: `device-ledger token admin --bank-id bank-1`
    """
    from device_ledger.issuer import EmbeddedIssuer, IssuerError
    from device_ledger.settings import settings

    needed = {"bank": ["bank-id"], "merchant": ["merchant-id"], "admin": ["bank-id"]}
    needed |= {"user": ["bank-id", "user-id"], "security": []}
    given = {"bank-id": bank_id, "merchant-id": merchant_id, "user-id": user_id}
    missing = [f"--{name}" for name in needed[kind] if not given[name]]
    if missing:
        raise CliError(
            f"{'an' if kind == 'admin' else 'a'} {kind} token needs {' and '.join(missing)}", USAGE
        )
    try:
        text = EmbeddedIssuer.open(settings()).mint(
            kind,
            bank_id=bank_id,
            merchant_id=merchant_id,
            user_id=user_id,
            scope=scope,
            expires_seconds=expires,
        )
    except IssuerError as error:
        raise CliError(str(error)) from error
    typer.echo(text)
