"""What befalls workers, their group and their read models."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from device_ledger.wire.topics import EVENTS
from projections.sqlite_store import live_file
from projections.topic import GROUP
from projections.unhurried import PATIENCE
from tests.faults.kinds import LONG, Stage
from tests.support.databases import PSQL
from tests.support.events_topic import forget_group
from tests.support.read_models import EVENT_MODELS

_OTHERS: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = 'read_models' AND pid <> pg_backend_pid()"
)


async def worker_paused_past_its_group(stage: Stage) -> None:
    """A worker hangs until its partitions are another's, or nobody's, and goes on."""
    stage.rig.signal("streams", signal.SIGSTOP)
    try:
        await asyncio.sleep(LONG)
    finally:
        stage.rig.signal("streams", signal.SIGCONT)


async def rebalances(stage: Stage) -> None:
    """Workers come and go while events come."""
    rig = stage.rig
    for _ in range(3):
        name = stage.chance.choice([one for one in rig.names if one.startswith("streams")])
        if stage.chance.random() < 0.5:
            rig.signal(name, signal.SIGKILL)
        else:
            await rig.restart(name)
        await stage.some_answers()


async def group_gone(stage: Stage) -> None:
    """The group's offsets are deleted."""
    async with stage.rig.without(*_workers(stage)):
        await forget_group(stage.rig.servers, GROUP)


async def group_ahead(stage: Stage) -> None:
    """The group's offsets are far above what the read models have seen."""
    async with stage.rig.without(*_workers(stage)):
        consumer = AIOKafkaConsumer(
            bootstrap_servers=stage.rig.servers, group_id=GROUP, enable_auto_commit=False
        )
        async with consumer:
            partitions = [TopicPartition(EVENTS, number) for number in range(stage.partitions)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            await _commit(consumer, {at: end + 1_000 for at, end in ends.items()})


async def older_rows(stage: Stage) -> None:
    """The read models' databases are restored from a copy, while events went on."""
    rig = stage.rig
    copy = rig.home.parent / "older"
    async with rig.without(*_workers(stage)):
        await asyncio.to_thread(_copy_rows, stage, copy)
    await stage.some_answers(20)
    async with rig.without(*_workers(stage)):
        await asyncio.to_thread(_put_rows, stage, copy)
    shutil.rmtree(copy)


async def rows_deleted(stage: Stage) -> None:
    """The read models are deleted under a worker."""
    rig = stage.rig
    if rig.postgres:
        found = rig.sql("read_models", "SELECT generation FROM read_models.pointers")
        for (name,) in found:
            rig.sql("read_models", f"DROP SCHEMA IF EXISTS {name} CASCADE")
        return
    for model in EVENT_MODELS:
        for file in (rig.home / "read-models" / model.name).glob("g*.db*"):
            file.unlink()


async def rows_read_only(stage: Stage) -> None:
    """The read models can't be written for a while."""
    rig = stage.rig
    if rig.postgres:
        setting = "ALTER DATABASE read_models SET default_transaction_read_only ="
        rig.sql("postgres", f"{setting} on")
        rig.sql("read_models", _OTHERS)
        await stage.some_answers()
        await stage.a_while()
        rig.sql("postgres", f"{setting} off")
        rig.sql("read_models", _OTHERS)
        return
    with _read_only(rig.home / "read-models"):
        rig.signal("streams", signal.SIGKILL)
        await stage.some_answers()
        await stage.a_while(6.0)


async def rows_locked(stage: Stage) -> None:
    """Somebody holds the trail's database longer than the worker keeps records for it."""
    rig, held = stage.rig, 3 * PATIENCE
    if rig.postgres:
        [(name,)] = rig.sql(
            "read_models", "SELECT generation FROM read_models.pointers WHERE model = 'audit'"
        )
        with psycopg.connect(rig.database_url("read_models")) as connection:
            connection.execute(f"LOCK TABLE {name}.positions IN EXCLUSIVE MODE")
            await asyncio.sleep(held)
        return
    file = live_file(rig.home / "read-models" / "audit")
    assert file is not None
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(held)


def _workers(stage: Stage) -> list[str]:
    return [one for one in stage.rig.names if one.startswith("streams")]


async def _commit(consumer: AIOKafkaConsumer, offsets: dict[TopicPartition, int]) -> None:
    """Commit for a group once its workers are forgotten."""
    while True:
        try:
            await consumer.commit(offsets)
        except KafkaError:
            await asyncio.sleep(0.2)
        else:
            return


def _copy_rows(stage: Stage, copy: Path) -> None:
    rig = stage.rig
    copy.mkdir()
    if rig.postgres:
        _client(stage, "pg_dump", "-Fc", "-f", str(copy / "rows"))
        return
    for model in EVENT_MODELS:
        file = live_file(rig.home / "read-models" / model.name)
        assert file is not None
        with (
            closing(sqlite3.connect(file)) as live,
            closing(sqlite3.connect(copy / file.name)) as older,
        ):
            live.backup(older)


def _put_rows(stage: Stage, copy: Path) -> None:
    rig = stage.rig
    if rig.postgres:
        rig.sql("postgres", "DROP DATABASE read_models WITH (FORCE)")
        rig.sql("postgres", "CREATE DATABASE read_models")
        _client(stage, "pg_restore", str(copy / "rows"))
        return
    for model in EVENT_MODELS:
        file = live_file(rig.home / "read-models" / model.name)
        assert file is not None
        for old in file.parent.glob(f"{file.name}*"):
            old.unlink()
        shutil.copy(copy / file.name, file)


def _client(stage: Stage, program: str, *words: str) -> None:
    url = stage.rig.database_url("read_models")
    subprocess.run([PSQL / program, "-d", url, *words], check=True, capture_output=True)


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    """No file below can be written: by its mode, for root by a mount."""
    if os.geteuid() != 0:
        files = [folder, *folder.rglob("*")]
        modes = {file: file.stat().st_mode for file in files}
        try:
            for file in files:
                file.chmod(modes[file] & ~0o222)
            yield
        finally:
            for file in files:
                with suppress(FileNotFoundError):
                    file.chmod(modes[file])
        return
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
