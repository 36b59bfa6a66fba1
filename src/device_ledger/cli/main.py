"""The ``device-ledger`` command.

A command is a plain function in a file of its own, registered below. Those files import nothing
heavy at their top (no web framework, database or Kafka client): what a command needs it imports
when it runs, so that ``--help`` and completion answer at once. A test keeps it so.
"""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from device_ledger import __version__
from device_ledger.cli.api import api
from device_ledger.cli.backup import backup
from device_ledger.cli.broker import broker
from device_ledger.cli.dead_letters import dead_letters
from device_ledger.cli.detector import detector
from device_ledger.cli.errors import CliError, from_settings_error
from device_ledger.cli.export import export
from device_ledger.cli.import_ import import_file
from device_ledger.cli.keys import keys
from device_ledger.cli.log import log
from device_ledger.cli.lookup_node import lookup_node
from device_ledger.cli.migrate import migrate
from device_ledger.cli.rebuild import rebuild
from device_ledger.cli.relay import relay
from device_ledger.cli.replay import replay
from device_ledger.cli.restore import HELP as RESTORE_HELP
from device_ledger.cli.restore import restore
from device_ledger.cli.rules import rules
from device_ledger.cli.simulate import HELP as SIMULATE_HELP
from device_ledger.cli.simulate import simulate
from device_ledger.cli.status import status
from device_ledger.cli.streams import streams
from device_ledger.cli.token import token
from device_ledger.cli.up import up
from device_ledger.cli.verify import verify
from device_ledger.tether import watch_supervisor


class Commands(TyperGroup):
    """The group of all commands; tells an expected failure in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a ``CliError`` or a wrong setting becomes a line and an exit code."""
        try:
            return super().invoke(ctx)
        except CliError as error:
            failure = error
        except ValueError as error:
            wrong_setting = from_settings_error(error)
            if wrong_setting is None:
                raise
            failure = wrong_setting
        typer.echo(f"device-ledger: {failure}", err=True)
        raise typer.Exit(failure.exit_code)


app = typer.Typer(
    name="device-ledger",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Settings come from the environment (DEVICE_LEDGER_…): see docs/configuration.md. "
    "Exit codes: 0 done, 1 failed or done in part, 2 asked wrongly.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"device-ledger {__version__}")
        raise typer.Exit


@app.callback()
def device_ledger(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """A registry of banks' customer devices: every change is an event, on Kafka and for ever.

    To try it: `device-ledger up` starts everything on this machine and prints an address,
    tokens and calls to make. For deployment each process is a command of its own:
    `broker`, `api`, `relay`, `streams`, `detector`, and `lookup-node` where lookups are many.
    """
    watch_supervisor()


# Commands, in the order of --help: `app.command()(function)`, `app.add_typer(group, name=…)`.
app.command()(up)
app.command()(broker)
app.command()(api)
app.command()(relay)
app.command()(streams)
app.command()(lookup_node)
app.command()(detector)
app.command()(replay)
app.add_typer(rules, name="rules")
app.command()(verify)
app.add_typer(log, name="log")
app.add_typer(keys, name="keys")
app.command()(rebuild)
app.command()(backup)
app.command(help=RESTORE_HELP)(restore)
app.command()(migrate)
app.add_typer(dead_letters, name="dead-letters")
app.command()(status)
app.command()(token)
app.command(help=SIMULATE_HELP)(simulate)
app.command("import")(import_file)
app.command()(export)
