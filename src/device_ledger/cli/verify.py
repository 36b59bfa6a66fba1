"""``device-ledger verify``: whether a whole log is the one that was signed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from device_ledger.cli.errors import USAGE, CliError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from device_ledger.settings import Settings
    from device_ledger.trees.store import TreeStore
    from device_ledger.verify.check import Check, Line, Whole
    from device_ledger.verify.signed import Signed


class Source(StrEnum):
    """Where a log is kept."""

    archive = "archive"
    topic = "topic"
    store = "store"


class Log(StrEnum):
    """The logs that there are."""

    events = "events"
    access = "access"


def verify(
    source: Annotated[
        Source, typer.Option(help="What to verify: the archive, Kafka, or the event store.")
    ] = Source.archive,
    log: Annotated[Log, typer.Option(help="What was decided, or who looked at what.")] = Log.events,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="File of one or many checkpoints; else those kept here are taken."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The log's verifier key, NAME+ID+KEY, kept beforehand.")
    ] = None,
    archive: Annotated[
        Path | None, typer.Option(help="An archive elsewhere than below DEVICE_LEDGER_HOME.")
    ] = None,
) -> None:
    """Verify that history is whole: every record, byte for byte, is the one that was signed.

    It hashes all records of a log and compares with every signed checkpoint on the way. The first
    that was changed, added or removed is named: exactly where the log's tree is here
    (DEVICE_LEDGER_HOME/log, or the event store's PostgreSQL), else by the two checkpoints around
    it, at most 1,000 records apart. With a checkpoint and a key that you kept yourself it needs no
    trust in this installation, and with --source archive nothing but the files:

        device-ledger verify --checkpoint kept.txt --key "$KEY" --archive copy/archive

    Exit code 0: all of it is what was signed; 1: it is not.
    """
    from device_ledger.settings import settings

    if source == Source.store and log == Log.access:
        raise CliError("the event store keeps no access records: verify the topic", USAGE)
    if archive is not None and source != Source.archive:
        raise CliError(f"--archive goes with --source archive, not {source}", USAGE)
    _verify(settings(), Asked(source, log, checkpoint, key, archive))


@dataclass(frozen=True)
class Asked:
    """What is to be verified, and by what."""

    source: Source
    log: Log
    checkpoint: Path | None
    key: str | None
    archive: Path | None

    @property
    def may_be_behind(self) -> bool:
        """Whether what was signed may not have come to the source yet: the archive is written after
        the checkpoints, each partition by itself."""
        return self.source == Source.archive and self.checkpoint is None


def _verify(settings: Settings, asked: Asked) -> None:
    import asyncio
    import logging

    from aiokafka.errors import KafkaError

    from device_ledger.proofs import NoteError
    from device_ledger.trees.database import TreeStoreError
    from device_ledger.verify.check import Check, DifferenceError, MissingError
    from device_ledger.verify.sources import SourceError

    # Its client tells every try to connect; here one line says that there is no broker.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    trees = _trees(settings)
    try:
        signed = _signed(asked, trees)
        check = Check(asked.log, signed.checkpoints, signed.newest, trees)
        asyncio.run(_compare(check, signed.newest, _lines(settings, asked), asked.log))
        _tell(check, check.finish(), asked)
    except (DifferenceError, NoteError, SourceError, TreeStoreError) as error:
        again = ", or is not in the archive yet: verify again in a minute"
        lacks = isinstance(error, MissingError) and asked.may_be_behind
        raise CliError(f"{error}{again if lacks else ''}") from error
    except KafkaError as error:
        raise CliError(f"Kafka can't be read: {type(error).__name__}") from error
    finally:
        if trees is not None:
            trees.close()


async def _compare(check: Check, newest: int, lines: AsyncIterator[Line], log: Log) -> None:
    from device_ledger.cli.progress import records_progress

    with records_progress() as progress:
        task = progress.add_task(log, total=newest)
        async for line in lines:
            check.add(line)
            progress.advance(task)


def _trees(settings: Settings) -> TreeStore | None:
    """The logs' trees, where this installation has them."""
    from device_ledger.trees.database import TreeStoreError
    from device_ledger.trees.store import TreeStore
    from device_ledger.wire.trail import EVENTS_LOG

    if not (
        settings.event_store_url.get_secret_value() or (settings.home / "log" / "tree.db").exists()
    ):
        return None
    trees = TreeStore.open(settings)
    try:
        trees.standing(EVENTS_LOG)
    except TreeStoreError:
        trees.close()
        return None
    return trees


def _signed(asked: Asked, trees: TreeStore | None) -> Signed:
    """The checkpoints that were given, else those kept here, by the key that is trusted."""
    from device_ledger.proofs import NoteError, VerifierKey
    from device_ledger.verify.signed import signed_here, signed_in_file

    text = asked.key or (trees.verifier(asked.log) if trees is not None else "")
    if not text:
        raise CliError("no log is kept here: give --checkpoint FILE and --key KEY", USAGE)
    try:
        key = VerifierKey.parse(text)
    except NoteError as error:
        raise CliError(f"--key: {error}", USAGE) from error
    if asked.checkpoint is None:
        if trees is None:
            raise CliError("no log is kept here: give --checkpoint FILE", USAGE)
        return signed_here(trees, asked.log, key)
    try:
        return signed_in_file(asked.checkpoint, asked.log, key)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise CliError(f"cannot read {asked.checkpoint}: {reason}", USAGE) from error


async def _lines(settings: Settings, asked: Asked) -> AsyncIterator[Line]:
    from importlib import import_module

    from device_ledger.verify import sources

    if asked.source == Source.topic:
        topic = {Log.events: sources.published_events, Log.access: sources.published_access}
        async for line in topic[asked.log](settings.brokers):
            yield line
    elif asked.source == Source.store:
        for line in sources.events_of(settings):
            yield line
    else:
        archive = asked.archive or settings.home / "archive"
        for line in import_module("projections.archive.whole").archived_lines(archive, asked.log):
            yield line


def _tell(check: Check, found: Whole, asked: Asked) -> None:
    if found.missing and not asked.may_be_behind:
        raise CliError(
            f"{found.missing:,} of the records that were signed are missing at the end, the first"
            f" of them {check.first_missing()}"
        )
    noun = "event" if asked.log == Log.events else "access record"
    typer.echo(
        f"Whole: {found.proven:,} records, up to {noun} {found.ref}, are byte for byte those that"
        " were signed."
    )
    if found.leaves > found.proven:
        typer.echo(f"{found.leaves - found.proven:,} newer ones have no checkpoint yet.")
    if found.missing:
        typer.echo(f"{found.missing:,} newer ones were signed and are not in the archive yet.")
