"""``device-ledger verify``: a byte that was changed is found, wherever history is kept."""

import asyncio
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiokafka.record.util import calc_crc32c
from pydantic import SecretStr

from device_ledger.ledger.ledger import Ledger
from device_ledger.proofs import VerifierKey
from device_ledger.settings import Settings
from device_ledger.trees.names import ensure_log_key
from device_ledger.trees.store import TreeStore
from device_ledger.verify.check import Check, DifferenceError
from device_ledger.verify.signed import signed_here
from device_ledger.verify.sources import events_of
from device_ledger.wire.codec import public_bytes
from device_ledger.wire.topics import EVENTS, ensure_topics
from device_ledger.wire.trail import EVENTS_LOG
from projections.archive.make import write_archive
from projections.archive.reader import read_raw
from projections.archive.whole import archived_lines
from tests.conftest import AnyStore
from tests.support.kafka import BrokerProcess, local_broker
from tests.support.logs import signed_up_to, signer
from tests.support.published import without_topics
from tests.support.relaying import relay, write
from tests.support.seed import SEED
from tests.support.topic_check import stored_events

COUNT = 300


def verify(home: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``device-ledger verify`` on a home."""
    return subprocess.run(
        [sys.executable, "-m", "device_ledger", *words],
        env={**os.environ, "DEVICE_LEDGER_HOME": str(home), "COLUMNS": "400", **env},
        capture_output=True,
        text=True,
        check=False,
    )


async def history(settings: Settings, servers: str) -> list[tuple[int, bytes]]:
    """A small signed history, and its archive; ids and exact bytes of all events."""
    ensure_log_key(settings)
    await ensure_topics(servers, partitions=settings.partitions, replication_factor=1)
    ledger = Ledger.open(settings)
    write(ledger, COUNT // 2)
    child = relay(settings, servers)
    child.start()
    await asyncio.to_thread(child.wait_until_ready)
    await signed_up_to(servers, signer(settings, ledger.events), COUNT)
    child.stop()
    exact = [(one.id, public_bytes(one.id, one.state)) for one in stored_events(ledger.events)]
    ledger.close()
    write_archive(settings.home / "archive", [value for _, value in exact])
    return exact


History = tuple[Settings, list[tuple[int, bytes]]]


@pytest.fixture
async def signed(any_store: AnyStore, kafka: str) -> History:
    """A signed history on each store."""
    await without_topics(kafka)
    settings = Settings(home=any_store.home, event_store_url=SecretStr(any_store.url))
    return settings, await history(settings, kafka)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> History:
    """The same on SQLite, for all tests that need no Kafka afterwards."""

    async def make() -> History:
        await without_topics(kafka)
        settings = Settings(home=tmp_path_factory.mktemp("made-once"))
        return settings, await history(settings, kafka)

    return asyncio.run(make())


@pytest.fixture
def here(made_once: History, tmp_path: Path) -> History:
    """A copy of it to do harm to."""
    settings, exact = made_once
    home = tmp_path / "home"
    shutil.copytree(settings.home, home)
    return Settings(home=home), exact


def change_row(settings: Settings, event_id: int, change: str) -> None:
    """Change a row of the event store by SQL on its column ``state``."""
    url = settings.event_store_url.get_secret_value()
    if url:
        with psycopg.connect(url) as postgres:
            statement = f"UPDATE device_ledger_events SET {change} WHERE notification_id = %s"
            assert postgres.execute(statement, (event_id,)).rowcount == 1
    else:
        with closing(sqlite3.connect(settings.home / "ledger" / "events.db")) as sqlite:
            statement = f"UPDATE stored_events SET {change} WHERE rowid = ?"
            assert sqlite.execute(statement, (event_id,)).rowcount == 1
            sqlite.commit()


def with_byte(settings: Settings, place: int, value: int) -> str:
    """SQL that sets one byte of ``state``."""
    if settings.event_store_url.get_secret_value():
        return f"state = set_byte(state, {place}, {value})"
    left, right = f"substr(state, 1, {place})", f"substr(state, {place + 2})"
    return f"state = CAST({left} || x'{value:02x}' || {right} AS BLOB)"


async def test_a_history_is_whole_in_all_three_places_until_one_byte_of_it_is_changed(
    signed: History, kafka: str
) -> None:
    settings, exact = signed
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "DEVICE_LEDGER_EVENT_STORE_URL": settings.event_store_url.get_secret_value(),
    }
    whole = (
        f"Whole: {COUNT} records, up to event {exact[-1][0]}, are byte for byte those that were"
        " signed.\n"
    )
    for source in ("archive", "topic", "store"):
        done = verify(settings.home, "verify", "--source", source, **env)
        assert (done.returncode, done.stdout) == (0, whole)
    event_id, value = exact[123]
    place = value.index(b"bank-a") - len(b'"id":"%d",' % event_id)
    change_row(settings, event_id, with_byte(settings, place, ord("c")))
    done = verify(settings.home, "verify", "--source", "store", **env)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        f"device-ledger: event {event_id} is not what was signed: its bytes were changed",
    )


@pytest.mark.parametrize("seed", [SEED], ids="seed={}".format)
def test_any_bit_of_the_event_store_is_found(here: History, seed: int) -> None:
    settings, exact = here
    chance = random.Random(seed)
    trees = TreeStore.open(settings)
    for number in range(30):
        event_id, value = chance.choice(exact)
        stored = b"{" + value[len(b'{"id":"%d",' % event_id) :]
        place = chance.randrange(len(stored)) if number else 0
        flipped = stored[place] ^ (1 << chance.randrange(8))
        change_row(settings, event_id, with_byte(settings, place, flipped))
        with pytest.raises(DifferenceError, match=f"^event {event_id}[: ]"):
            check_store(settings, trees)
        change_row(settings, event_id, with_byte(settings, place, stored[place]))
    check_store(settings, trees)
    trees.close()


def check_store(settings: Settings, trees: TreeStore) -> None:
    """What ``device-ledger verify --source store`` does."""
    signed = signed_here(trees, EVENTS_LOG, key_of(trees))
    check = Check(EVENTS_LOG, signed.checkpoints, signed.newest, trees)
    for line in events_of(settings):
        check.add(line)
    assert check.finish().proven == COUNT


def check_archive(settings: Settings, trees: TreeStore) -> None:
    """What ``device-ledger verify`` does."""
    signed = signed_here(trees, EVENTS_LOG, key_of(trees))
    check = Check(EVENTS_LOG, signed.checkpoints, signed.newest, trees)
    for line in archived_lines(settings.home / "archive", EVENTS_LOG):
        check.add(line)
    assert check.finish().proven == COUNT


def key_of(trees: TreeStore) -> VerifierKey:
    return VerifierKey.parse(trees.verifier(EVENTS_LOG))


def test_one_byte_of_the_archives_exact_bytes_is_found(
    here: History,
) -> None:
    settings, exact = here
    event_id, _ = exact[123]
    path = rewritten(settings.home, event_id, "raw", b"bank-a", b"bank-b")
    done = verify(settings.home, "verify")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        f"device-ledger: event {event_id}: the column bank_id is not what its bytes say",
    )
    assert path.exists()


def test_a_column_that_says_something_else_than_the_exact_bytes_is_found(
    here: History,
) -> None:
    settings, exact = here
    event_id, _ = exact[45]
    rewritten(settings.home, event_id, "actor", "bank-a-backend", "bank-a-backdoor")
    done = verify(settings.home, "verify")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        f"device-ledger: event {event_id}: the column actor is not what its bytes say",
    )


@pytest.mark.parametrize("column", ["offset", "idx", "repeat"])
def test_damage_to_a_column_that_no_leaf_holds_is_found(here: History, column: str) -> None:
    settings, exact = here
    trees = TreeStore.open(settings)
    path = file_of(settings.home, exact[123][0])
    content = path.read_bytes()
    place = last_byte_of(path, column)
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(DifferenceError, match="can't be read"):
        check_archive(settings, trees)
    trees.close()


def last_byte_of(path: Path, column: str) -> int:
    """Where the values of a column end in a file of one row group."""
    footer = pq.ParquetFile(path).metadata
    [group] = [footer.row_group(number) for number in range(footer.num_row_groups)]
    chunk = group.column(footer.schema.names.index(column))
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    return int(start + chunk.total_compressed_size) - 1


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("offset", 1, "its place, line 0 at offset 1, is not after that of the one before it"),
        ("idx", 1, "its place, line 1 at offset 2, is not after that of the one before it"),
        ("offset", 10_000, "holds a line of another range"),
        ("partition", 9, "holds a line of another range"),
    ],
)
def test_a_line_at_a_place_that_it_can_not_have_had_is_found(
    here: History, column: str, value: int, told: str
) -> None:
    settings, _ = here
    trees = TreeStore.open(settings)
    path = next(iter(sorted((settings.home / "archive" / "events").glob("day=*/p*.parquet"))))
    table = pq.ParquetFile(path).read()
    place = table.schema.get_field_index(column)
    values = table.column(column).to_pylist()
    values[2] = value
    field = table.schema.field(column)
    pq.write_table(table.set_column(place, field, pa.array(values, field.type)), path)
    with pytest.raises(DifferenceError, match=told):
        check_archive(settings, trees)
    trees.close()


def test_a_column_of_another_type_is_found(here: History) -> None:
    settings, exact = here
    trees = TreeStore.open(settings)
    path = file_of(settings.home, exact[123][0])
    table = pq.ParquetFile(path).read()
    place = table.schema.get_field_index("at")
    pq.write_table(table.set_column(place, "at", table.column("at").cast(pa.int64())), path)
    with pytest.raises(DifferenceError, match="has other columns than the archive"):
        check_archive(settings, trees)
    trees.close()


def file_of(home: Path, event_id: int) -> Path:
    """The file of the archive that holds an event."""
    return next(
        path
        for path in (home / "archive" / "events").glob("day=*/p*.parquet")
        if event_id in pq.ParquetFile(path).read(["seq"]).column("seq").to_pylist()
    )


def rewritten(home: Path, event_id: int, column: str, old: object, new: object) -> Path:
    """Change a value in one file of the archive."""
    path = file_of(home, event_id)
    table = pq.ParquetFile(path).read()
    values = table.column(column).to_pylist()
    at = table.column("seq").to_pylist().index(event_id)
    values[at] = values[at].replace(old, new)
    field = table.schema.field(column)
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, field, pa.array(values, field.type)), path)
    return path


@pytest.mark.parametrize("seed", [SEED], ids="seed={}".format)
def test_any_bit_of_an_archives_file_is_found_or_changes_no_record(
    here: History, seed: int
) -> None:
    settings, _ = here
    chance = random.Random(seed)
    trees = TreeStore.open(settings)
    archive = settings.home / "archive"
    before = list(read_raw(archive, EVENTS_LOG))
    files = sorted((archive / "events").glob("day=*/p*.parquet"))
    for _ in range(40):
        path = chance.choice(files)
        content = path.read_bytes()
        place = chance.randrange(len(content))
        flipped = bytes([content[place] ^ (1 << chance.randrange(8))])
        path.write_bytes(content[:place] + flipped + content[place + 1 :])
        try:
            check_archive(settings, trees)
        except DifferenceError:
            pass
        else:
            assert list(read_raw(archive, EVENTS_LOG)) == before
        path.write_bytes(content)
    check_archive(settings, trees)
    trees.close()


def test_an_archive_elsewhere_is_verified_by_a_kept_checkpoint_and_key_alone(
    here: History, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings, exact = here
    outside = tmp_path_factory.mktemp("outside")
    key = verify(settings.home, "log", "key").stdout.strip()
    kept = outside / "kept.txt"
    kept.write_text(verify(settings.home, "log", "checkpoints", "--all").stdout)
    words = ("verify", "--archive", str(settings.home / "archive"))
    given = (*words, "--checkpoint", str(kept), "--key", key)
    done = verify(outside, *given)
    assert (done.returncode, done.stdout.partition(",")[0]) == (0, f"Whole: {COUNT} records")
    rewritten(settings.home, exact[200][0], "raw", b'"requestId":"req-1"', b'"requestId":"req-2"')
    rewritten(settings.home, exact[200][0], "request_id", "req-1", "req-2")
    changed = verify(outside, *given)
    assert changed.returncode == 1
    assert "the log is not the one that was signed" in changed.stderr
    for path in (settings.home / "archive" / "events").glob("day=*/p0-*.parquet"):
        path.unlink()
    assert verify(outside, *given).returncode == 1
    assert not list(outside.glob("log"))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    with local_broker(tmp_path / "broker") as broker:
        yield broker


async def test_one_byte_of_kafkas_own_files_is_found(tmp_path: Path, broker: BrokerProcess) -> None:
    settings = Settings(home=tmp_path)
    servers = broker.bootstrap_servers
    exact = await history(settings, servers)
    broker.stop()
    event_id, value = exact[77]
    segment, start = next(
        (path, found)
        for path in (tmp_path / "broker").rglob(f"{EVENTS}-*/*.log")
        if (found := path.read_bytes().find(value)) >= 0
    )
    content = segment.read_bytes()
    place = start + value.index(b"bank-a")
    changed = content[:place] + b"c" + content[place + 1 :]
    for forged, words in (
        (changed, f"{EVENTS}, partition"),
        (with_right_checksums(changed), f"event {event_id} is not what was signed"),
    ):
        segment.write_bytes(forged)
        broker.start()
        broker.wait_until_ready()
        done = verify(settings.home, "verify", "--source=topic", KAFKA_BOOTSTRAP_SERVERS=servers)
        broker.stop()
        assert done.returncode == 1
        assert words in done.stderr.splitlines()[-1]


def with_right_checksums(segment: bytes) -> bytes:
    """A segment's batches (https://kafka.apache.org/documentation/#recordbatch), each with the
    checksum that goes with its content, as a forger would write it."""
    content = bytearray(segment)
    at = 0
    while at + 61 <= len(content):
        length = int.from_bytes(content[at + 8 : at + 12])
        end = at + 12 + length
        if not length:
            break
        content[at + 17 : at + 21] = calc_crc32c(bytes(content[at + 21 : end])).to_bytes(4)
        at = end
    return bytes(content)
