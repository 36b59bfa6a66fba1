"""``device-ledger rules``: lists, tests and lints the detection rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from device_ledger.cli.errors import FAILED, CliError

if TYPE_CHECKING:
    from datetime import timedelta

rules = typer.Typer(
    no_args_is_help=True,
    help="List, test and lint the detection rules.\n\nA rule is a YAML file: Sigma with"
    " correlations and its tests beside it (docs/detection.md). Put into the directory of the"
    " rules (DEVICE_LEDGER_RULES, by default `rules`) it alerts live and in replays.",
)

_HELP = "Rule files, and directories of them; by default DEVICE_LEDGER_RULES."
Paths = Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help=_HELP)]


@rules.command("list")
def list_(paths: Paths = None) -> None:
    """List the rules: what each reads, and how far back it looks."""
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(Column("rule", no_wrap=True), "level", "reads", "looks back", "title")
    for rule in _loaded(paths):
        reads = "events and access" if rule.reads_access else "events"
        table.add_row(rule.name, rule.level, reads, _span(rule.lookback), rule.title)
    Console().print(table)


@rules.command("test")
def try_out(
    paths: Paths = None,
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the tests that pass, too.")
    ] = False,
) -> None:
    """Run the tests beside the rules, on the engine that runs the rules.

    Exit code 0: all pass; 1: some fail, or a rule has none.
    """
    from importlib import import_module

    from rich.console import Console
    from rich.table import Column, Table

    cases: Any = import_module("projections.detection.cases")
    table = Table(Column("rule", no_wrap=True), "test", "")
    passed = failed = 0
    for rule in _progress(_loaded(paths)):
        outcomes = _outcomes(cases, rule)
        for outcome in outcomes:
            passed, failed = passed + outcome.passed, failed + (not outcome.passed)
            if verbose or not outcome.passed:
                table.add_row(rule.name, outcome.case.name, _told(outcome))
        if not outcomes:
            failed += 1
            table.add_row(rule.name, "-", "has no tests")
    if table.row_count:
        Console().print(table)
    typer.echo(f"{passed} passed, {failed} failed")
    if failed:
        raise typer.Exit(FAILED)


@rules.command()
def lint(paths: Paths = None) -> None:
    """Say what speaks against the rules: by the validators of the Sigma project, and by ours.

    Exit code 0: nothing of medium or high severity; 1: something.
    """
    from importlib import import_module

    from rich.console import Console
    from rich.table import Table

    linting: Any = import_module("projections.detection.lint")
    found = _tried(lambda: linting.lint(_paths(paths)))
    if found:
        table = Table("file", "severity", "remark")
        for remark in found:
            table.add_row(remark.file, remark.severity, remark.what)
        Console().print(table)
    typer.echo(f"{len(found)} remarks")
    if any(remark.severity in {"medium", "high"} for remark in found):
        raise typer.Exit(FAILED)


def _paths(given: list[Path] | None) -> list[Path]:
    from device_ledger.settings import settings

    paths = given or [settings().rules]
    for path in paths:
        if not path.exists():
            raise CliError(f"{path}: there is no such file or directory")
    return paths


def _loaded(given: list[Path] | None) -> list[Any]:
    from importlib import import_module

    loading: Any = import_module("projections.detection.rules")
    paths = _paths(given)
    found: list[Any] = _tried(lambda: loading.load_rules(paths))
    if not found:
        raise CliError(f"{', '.join(map(str, paths))}: no rule there (*.yml)")
    return found


def _outcomes(cases: Any, rule: Any) -> list[Any]:
    return list(_tried(lambda: list(cases.run_cases(rule))))


def _tried(work: Any) -> Any:
    from importlib import import_module

    loading: Any = import_module("projections.detection.rules")
    try:
        return work()
    except loading.RuleError as error:
        raise CliError(str(error)) from None


def _progress(found: list[Any]) -> Any:
    from rich.console import Console
    from rich.progress import track

    return track(found, "Testing", console=Console(stderr=True), transient=True)


def _told(outcome: Any) -> str:
    if outcome.passed:
        return "passed"
    missing = [f"missing: {one}" for one in outcome.missing]
    return "\n".join(missing + [f"unwanted: {one}" for one in outcome.unwanted])


def _span(span: timedelta) -> str:
    hours, rest = divmod(int(span.total_seconds()), 3600)
    parts = ((hours // 24, "d"), (hours % 24, "h"), (rest // 60, "m"), (rest % 60, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "-"
