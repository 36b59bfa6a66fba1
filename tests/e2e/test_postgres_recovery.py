"""PostgreSQL's own tools, as docs/operations.md has them: dumps, and recovery to a moment."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from device_ledger.ledger.ledger import EventStore, Ledger
from device_ledger.settings import Settings
from device_ledger.vault.keys import load_or_create_keys
from device_ledger.vault.vault import Vault
from tests.e2e.test_epochs import Opened, refusal, written
from tests.support.databases import PSQL
from tests.support.postgres import SETTINGS, fresh_database, postgres_in
from tests.support.published import without_topics
from tests.support.relaying import running, write
from tests.support.topic_check import stored_events

SCRIPTS = Path(__file__).parents[2] / "deploy" / "postgres"


def run_script(name: str, *words: str | Path, **environment: str) -> list[str]:
    """Run a script of the deployment; the lines that it prints."""
    done = subprocess.run(
        ["sh", SCRIPTS / name, *map(str, words)],
        env={**os.environ, "PATH": f"{PSQL}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def load_dump(dump: str, url: str) -> None:
    """Load a dump into an empty database."""
    words = ["--exit-on-error", "--single-transaction", "--no-owner", f"--dbname={url}", dump]
    subprocess.run([PSQL / "pg_restore", *words], check=True, capture_output=True)


def restore_in_place(settings: Settings, servers: str) -> str:
    """Run ``device-ledger restore`` without a folder; what it prints."""
    environment = os.environ | {
        "DEVICE_LEDGER_HOME": str(settings.home),
        "DEVICE_LEDGER_EVENT_STORE_URL": settings.event_store_url.get_secret_value(),
        "KAFKA_BOOTSTRAP_SERVERS": servers,
    }
    done = subprocess.run(
        [sys.executable, "-m", "device_ledger", "restore"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
async def servers(kafka: str) -> str:
    await without_topics(kafka)
    return kafka


@pytest.fixture
def databases(postgres: str) -> Iterator[list[str]]:
    """Four empty databases: of a ledger and a vault, and for what is restored of them."""
    with ExitStack() as stack:
        yield [stack.enter_context(fresh_database(postgres)) for _ in range(4)]


async def test_dumps_are_of_one_moment_and_hold_all_that_was_answered_before(
    databases: list[str], tmp_path: Path
) -> None:
    events_url, vault_url, events_copy, vault_copy = databases
    settings = on(tmp_path / "home", events_url, vault_url)
    keys = load_or_create_keys(settings.home)
    vault = Vault.open(settings, keys)
    key = await vault.data_key("bank-1", "user-1")
    ledger = Ledger.open(settings)
    write(ledger, 100)
    before = stored_events(ledger.events)
    writing = asyncio.create_task(asyncio.to_thread(write, ledger, 400))
    dumps = await asyncio.to_thread(
        run_script, "dump.sh", tmp_path / "dumps", EVENTS=events_url, VAULT=vault_url
    )
    await writing
    after = stored_events(ledger.events)
    ledger.close()
    vault.close()
    for dump, url in zip(dumps, (events_copy, vault_copy), strict=True):
        await asyncio.to_thread(load_dump, dump, url)
    copy = on(settings.home, events_copy, vault_copy)
    events = EventStore.open(copy)
    found = stored_events(events)
    events.close()
    assert len(before) <= len(found)
    assert found == after[: len(found)]
    vault = Vault.open(copy, keys)
    assert await vault.existing_keys([("bank-1", "user-1")]) == {("bank-1", "user-1"): key}
    vault.close()


async def test_a_server_is_recovered_to_a_moment_and_the_ledger_goes_on_in_a_new_epoch(
    servers: str, tmp_path: Path
) -> None:
    with server_folder() as folder:
        archive = folder / "archive"
        with postgres_in(folder / "data", f"{SETTINGS} {archiving(archive)}") as url:
            settings = on(tmp_path, url)
            written(settings, 20)
            host = conninfo_to_dict(url)
            where = {"PGHOST": str(host["host"]), "PGPORT": str(host["port"]), "PGUSER": "postgres"}
            [base] = run_script("base-backup.sh", folder / "backups", **where)
            kept = written(settings, 20)
            with psycopg.connect(url, autocommit=True) as connection:
                [moment] = connection.execute("SELECT clock_timestamp()::text").fetchone() or [""]
                written(settings, 30)
                async with running(settings, servers):
                    await Opened(settings, servers).settled()
                await asyncio.to_thread(archive_all, connection)
        run_script("recover.sh", base, archive, folder / "recovered", moment)
        give_away(folder / "recovered", like=folder / "data")
        with postgres_in(folder / "recovered") as url:
            settings = on(tmp_path, url)
            assert "is ahead of the event store" in await refusal(settings, servers)
            told = await asyncio.to_thread(restore_in_place, settings, servers)
            assert f"of epoch 2 now, and has what came up to event {kept}" in told
            written(settings, 10)
            async with running(settings, servers) as child:
                await Opened(settings, servers).settled()
                assert "60 events were lost by the restore" in child.log.read_text()


def on(home: Path, events_url: str, vault_url: str = "") -> Settings:
    return Settings(
        home=home, event_store_url=SecretStr(events_url), vault_url=SecretStr(vault_url)
    )


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder that the server can read, as another user, and ``archive`` that it can write."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        (Path(name) / "archive").mkdir()
        (Path(name) / "archive").chmod(0o777)
        yield Path(name)


def archiving(archive: Path) -> str:
    """The settings that base-backup.sh names, for this folder."""
    text = (SCRIPTS / "base-backup.sh").read_text()
    settings = [line[6:] for line in text.splitlines() if line.startswith("#     ")]
    return " ".join(
        f"-c {setting.replace(' = ', '=').replace('ARCHIVE', str(archive))}" for setting in settings
    )


def archive_all(connection: psycopg.Connection) -> None:
    """Have the log up to now archived, and return when it is."""
    connection.execute("SELECT pg_switch_wal()")
    [last] = connection.execute("SELECT pg_walfile_name(pg_current_wal_lsn() - 1)").fetchone() or [
        ""
    ]
    query = "SELECT last_archived_wal >= %s FROM pg_stat_archiver"
    while connection.execute(query, (last,)).fetchone() != (True,):
        connection.execute("SELECT pg_sleep(0.1)")


def give_away(folder: Path, like: Path) -> None:
    """Give a folder to whoever has another one, as the server of a root's test runs as a user."""
    status = like.stat()
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, status.st_uid, status.st_gid)
