"""``device-ledger status``: what runs, who keeps what, and what is behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from device_ledger.cli.errors import FAILED

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from device_ledger.settings import Settings


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show what runs here, which worker keeps which partitions, and how far the read models are.

    Exit code 0: Kafka answers, every partition has a worker, every read model is built and no
    process of this home has died; else 1.
    """
    import asyncio

    from device_ledger.settings import settings

    found = asyncio.run(_look(settings()))
    if as_json:
        import orjson

        typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
    else:
        _show(found)
    if not found["healthy"]:
        raise typer.Exit(FAILED)


async def _look(settings: Settings) -> dict[str, Any]:
    from dataclasses import asdict
    from importlib import import_module

    looking = import_module("projections.status")
    processes = _processes(settings.home / "run")
    here = import_module("projections.detector.status").look(settings.home)
    told = {"processes": processes, "detector": asdict(here) if here else None}
    alive = all(process["alive"] for process in processes)
    try:
        found = await looking.look(settings)
    except looking.UnreachableError as error:
        return {"healthy": False, **told, "problem": str(error)}
    return {"healthy": found.healthy and alive, **told, **asdict(found)}


def _processes(folder: Path) -> list[dict[str, Any]]:
    """The processes that told that they serve, and whether each is still there."""
    import json

    import psutil

    found = []
    for file in sorted(folder.glob("*.ready")):
        pid = json.loads(file.read_text())["pid"]
        found.append({"name": file.stem, "pid": pid, "alive": psutil.pid_exists(pid)})
    return found


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    _show_processes(console, found["processes"])
    if found["detector"]:
        _show_detector(console, found["detector"])
    if "problem" in found:
        console.print(found["problem"])
        return
    workers = Table("worker", "topic", "partitions", title="Stream workers", title_justify="left")
    for name, held in sorted(found["workers"].items()):
        for topic, partitions in held.items():
            workers.add_row(name, topic, ", ".join(map(str, partitions)))
    console.print(workers)
    models = Table("read model", "position", "behind", title="Read models", title_justify="left")
    for model in found["models"]:
        last, behind = max(model["position"].values(), default=0), sum(model["behind"].values())
        models.add_row(
            model["name"], *((str(last), str(behind)) if model["built"] else ("-", "not built"))
        )
    console.print(models)
    topics = Table("topic", "records", title="Topics", title_justify="left")
    for topic, records in found["records"].items():
        topics.add_row(topic, f"{sum(records.values()):,}")
    topics.add_row("dead letters, open", str(found["dead_letters"]))
    console.print(topics)
    if found["letters"]:
        from device_ledger.cli.dead_letters import show

        show(found["letters"])


def _show_processes(console: Console, processes: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not processes:
        console.print("Nothing runs here")
        return
    shown = Table("process", "pid", "", title="Here", title_justify="left")
    for process in processes:
        state = "runs" if process["alive"] else "died"
        shown.add_row(process["name"], str(process["pid"]), state)
    console.print(shown)


def _show_detector(console: Console, detector: dict[str, Any]) -> None:
    from rich.table import Table

    archive = Table("log", "Kafka records archived", "rules run through")
    archive.title, archive.title_justify = "Detector", "left"
    for log, offsets in detector["archived"].items():
        archive.add_row(log, f"{sum(offsets.values()):,}", detector["passed"].get(log, "-"))
    console.print(archive)
    console.print(f"{len(detector['rules'])} rules are run")
    for name, reason in detector["failing"].items():
        console.print(f"{name} is not: {reason}", markup=False)
    if detector["problem"]:
        console.print(f"the archive is broken: {detector['problem']}", markup=False)
