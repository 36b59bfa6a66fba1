"""The real worker on a real Kafka: every event takes effect once, whatever befalls it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import orjson
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from device_ledger.settings import Settings
from device_ledger.wire.topics import DEAD_LETTERS, EVENTS
from projections.guard import KafkaRecord
from projections.links.queries import Filter, page
from projections.model import Position
from projections.models import MODELS
from projections.readers import open_read_models
from projections.topic import GROUP
from tests.conftest import AnyStore
from tests.samples import events
from tests.support import events_topic
from tests.support.kafka import local_broker
from tests.support.projecting import Projecting
from tests.support.read_models import Dump, dump_of, end_of, until_shown
from tests.support.workers import Worker, command, settings_of

PARTITIONS = 4
RECORDS = events.on_partitions(events.history(400), PARTITIONS)
HALF = len(RECORDS) // 2
END = end_of(RECORDS)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Kafka whose topics these tests may remove."""
    with local_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running.bootstrap_servers


@pytest.fixture
async def servers(broker: str) -> str:
    """A Kafka with empty topics. The group's offsets are those of the test before: no matter."""
    for name, partitions in ((EVENTS, PARTITIONS), (DEAD_LETTERS, 1)):
        await events_topic.remake(broker, partitions, name)
    return broker


@pytest.fixture
async def expected(tmp_path: Path) -> Dump:
    """What all records, once and in order, give."""
    fresh = Projecting("", tmp_path / "expected")
    fresh.topic = type(fresh.topic)(PARTITIONS, RECORDS, batch=1000)
    await fresh.apply([])
    return await fresh.dump()


class Running:
    """A worker, its settings, and what was sent."""

    def __init__(self, servers: str, store: AnyStore) -> None:
        self.servers = servers
        self.store = store
        self.settings: Settings = settings_of(store.home, servers, store.url)
        self.worker = self.another("streams")

    def another(self, name: str) -> Worker:
        """A worker on the same store."""
        return Worker(self.store.home, self.servers, self.store.url, name)

    async def send(self, records: list[KafkaRecord]) -> None:
        """Put records on the topic."""
        await events_topic.send(self.servers, records)

    async def shown(self, position: Position) -> Dump:
        """What is shown once that position is."""
        await until_shown(self.settings, position)
        return await dump_of(self.settings)

    def run(self, *words: str) -> tuple[int, bytes, bytes]:
        """Run a command to its end: exit code, output, errors."""
        done = command(self.store.home, self.servers, self.store.url, *words)
        return done.returncode, done.stdout, done.stderr

    def lose_databases(self) -> None:
        """Remove what the read models are kept in, under whoever uses it."""
        if not self.store.url:
            for model in MODELS:
                for file in (self.store.home / "read-models" / model.name).glob("g*.db*"):
                    file.unlink()
            return
        with psycopg.connect(self.store.url) as connection:
            found = connection.execute("SELECT generation FROM read_models.pointers").fetchall()
            for (name,) in found:
                connection.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def running(servers: str, any_store: AnyStore) -> Iterator[Running]:
    """A worker that is ready, on SQLite and then on PostgreSQL."""
    made = Running(servers, any_store)
    made.worker.start()
    try:
        made.worker.wait_until_ready()
        yield made
    finally:
        made.worker.stop()


async def test_what_is_sent_is_shown(running: Running, expected: Dump) -> None:
    await running.send(RECORDS)
    assert await running.shown(END) == expected


async def test_a_worker_killed_again_and_again_loses_and_repeats_nothing(
    running: Running, expected: Dump
) -> None:
    sending = asyncio.create_task(send_slowly(running, RECORDS))
    for part in (0.2, 0.4, 0.6, 0.8):
        await until_shown(running.settings, end_of(RECORDS[: int(part * len(RECORDS))]))
        await asyncio.to_thread(running.worker.kill)
        running.worker.start()
    await sending
    assert await running.shown(END) == expected


async def test_lost_databases_are_built_anew_while_it_runs(
    running: Running, expected: Dump
) -> None:
    await running.send(RECORDS[:HALF])
    await running.shown(end_of(RECORDS[:HALF]))
    running.lose_databases()
    await running.send(RECORDS[HALF:])
    assert await running.shown(END) == expected
    running.lose_databases()
    # Nothing more is sent: the worker finds out by itself.
    assert await running.shown(END) == expected


async def test_offsets_of_the_group_that_lie_are_not_believed(
    running: Running, expected: Dump
) -> None:
    await running.send(RECORDS[:HALF])
    await running.shown(end_of(RECORDS[:HALF]))
    await asyncio.to_thread(running.worker.kill)
    await running.send(RECORDS[HALF:])
    await leave_group_and_commit_ends(running.servers)
    running.worker.start()
    assert await running.shown(END) == expected


async def test_lost_offsets_of_the_group_repeat_nothing(
    servers: str, tmp_path: Path, expected: Dump
) -> None:
    running = Running(servers, AnyStore("", tmp_path))
    await running.send(RECORDS)
    with started(running.worker):
        await running.shown(END)
        running.worker.kill()
    await events_topic.forget_group(servers, GROUP)
    with started(running.worker):
        again = events.login_seen(10**6, device=events.history(1)[0].subject, userId="nobody")
        partition = RECORDS[0].partition
        prev = str(END[partition]).encode()
        record = KafkaRecord(partition, 0, None, events.value_of(again), (("prev", prev),))
        await running.send([record])
        assert await running.shown({**END, partition: 10**6}) == expected


async def test_a_topic_that_is_emptied_and_refilled_repeats_nothing(
    running: Running, expected: Dump
) -> None:
    await running.send(RECORDS[:HALF])
    await running.shown(end_of(RECORDS[:HALF]))
    await events_topic.empty(running.servers, PARTITIONS)
    await running.send(RECORDS)
    assert await running.shown(END) == expected


async def test_repeats_of_the_relay_change_nothing(running: Running, expected: Dump) -> None:
    await running.send(RECORDS[:HALF] + RECORDS[HALF - 50 : HALF] + RECORDS[HALF - 100 :])
    assert await running.shown(END) == expected


async def test_what_is_no_event_lies_in_the_dead_letters(running: Running, expected: Dump) -> None:
    noise = KafkaRecord(1, 0, b"key", b"no event", (("prev", b"0"), ("more", b"too")))
    await running.send([*RECORDS[:HALF], noise, *RECORDS[HALF:]])
    assert await running.shown(END) == expected
    letters = await events_topic.records_of(running.servers, DEAD_LETTERS)
    offset = sum(record.partition == 1 for record in RECORDS[:HALF])
    told = {
        (
            letter.key,
            letter.value,
            (
                *noise.headers,
                ("dead-letter-reader", model.name.encode()),
                ("dead-letter-reason", b"not a public event: JSONDecodeError"),
                ("dead-letter-coordinates", f"1/{offset}".encode()),
            ),
        )
        for model in MODELS
        for letter in [noise]
    }
    assert {(letter.key, letter.value, letter.headers) for letter in letters} == told


async def test_many_records_behind_are_caught_up_in_bulk(running: Running) -> None:
    await asyncio.to_thread(running.worker.kill)
    many = events.on_partitions(events.history(4_000), PARTITIONS)
    await running.send(many)
    running.worker.start()
    await until_shown(running.settings, end_of(many))
    counts = (await dump_of(running.settings))["counts"]
    assert sum(total for _, _, total in counts) == 1_000


async def test_a_rebuild_under_load_is_never_a_step_back(running: Running, expected: Dump) -> None:
    """The links only grow here: the first half of the history links, and nothing ends yet."""
    growing = [
        r for r in RECORDS if b"linked.v1" in (r.value or b"") or b"registered" in (r.value or b"")
    ]
    growing = growing[: 2 * 400]
    async with polling(running.settings) as polled:
        sending = asyncio.create_task(send_slowly(running, growing))
        for _ in range(2):
            code, _, errors = await asyncio.to_thread(running.run, "rebuild")
            assert (code, errors.count(b"\n") > 0) == (0, True)
        await sending
        await until_shown(running.settings, end_of(growing))
    assert polled.looks > 20
    await running.send(RECORDS[len(growing) :])
    assert await running.shown(END) == expected


async def test_a_stopped_worker_leaves_in_order(running: Running) -> None:
    await asyncio.to_thread(running.worker.stop)
    assert running.worker.exit_code == 0
    assert not (running.store.home / "run" / "streams.ready").exists()


async def test_status_tells_what_runs_and_what_is_behind(running: Running) -> None:
    await running.send(RECORDS)
    await running.shown(END)
    code, output, _ = await asyncio.to_thread(running.run, "status", "--json")
    told = orjson.loads(output)
    assert (code, told["healthy"], told["workers"]) == (0, True, {"streams": [0, 1, 2, 3]})
    assert told["processes"] == [{"name": "streams", "pid": running.worker.pid, "alive": True}]
    assert [(m["name"], m["position"], sum(m["behind"].values())) for m in told["models"]] == [
        (model.name, {str(p): END[p] for p in sorted(END)}, 0) for model in MODELS
    ]
    assert (sum(told["records"].values()), told["dead_letters"]) == (len(RECORDS), 0)
    await asyncio.to_thread(running.worker.kill)
    code, output, _ = await asyncio.to_thread(running.run, "status")
    assert (code, b"died" in output) == (1, True)


def test_sqlite_is_for_one_worker(servers: str, tmp_path: Path) -> None:
    running = Running(servers, AnyStore("", tmp_path))
    with started(running.worker):
        code, _, errors = running.run("streams", "--name", "second")
    assert (code, errors.count(b"\n")) == (1, 1)
    assert b"another worker writes these read models" in errors


async def test_it_waits_for_the_topic(broker: str, tmp_path: Path) -> None:
    await events_topic.remove(broker, EVENTS)
    running = Running(broker, AnyStore("", tmp_path))
    running.worker.start()
    try:
        while b"is not there yet" not in running.worker.log.read_bytes():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await events_topic.make_topics(broker, PARTITIONS, EVENTS)
        running.worker.wait_until_ready()
    finally:
        running.worker.stop()


async def test_two_workers_share_the_partitions_and_take_over(
    servers: str, postgres_database: str, tmp_path: Path, expected: Dump
) -> None:
    running = Running(servers, AnyStore(postgres_database, tmp_path))
    second = running.another("second")
    with started(running.worker), started(second):
        held = await until_workers(running, {"streams", "second"})
        assert sorted(held["streams"] + held["second"]) == [0, 1, 2, 3]
        assert len(held["streams"]) == len(held["second"]) == 2
        await running.send(RECORDS[:HALF])
        await running.shown(end_of(RECORDS[:HALF]))
        await asyncio.to_thread(running.worker.kill)
        await running.send(RECORDS[HALF:])
        assert await running.shown(END) == expected
        assert await until_workers(running, {"second"}) == {"second": [0, 1, 2, 3]}


async def test_a_worker_paused_past_its_lease_changes_nothing(
    servers: str, postgres_database: str, tmp_path: Path, expected: Dump
) -> None:
    running = Running(servers, AnyStore(postgres_database, tmp_path))
    second = running.another("second")
    with started(running.worker), started(second):
        await until_workers(running, {"streams", "second"})
        sending = asyncio.create_task(send_slowly(running, RECORDS[:HALF]))
        os.kill(running.worker.pid, signal.SIGSTOP)
        await sending
        await running.shown(end_of(RECORDS[:HALF]))
        assert await until_workers(running, {"second"}) == {"second": [0, 1, 2, 3]}
        os.kill(running.worker.pid, signal.SIGCONT)
        await running.send(RECORDS[HALF:])
        assert await running.shown(END) == expected
        await until_workers(running, {"streams", "second"})
        assert await dump_of(running.settings) == expected


async def send_slowly(running: Running, records: list[KafkaRecord]) -> None:
    """Send records in many small parts."""
    for start in range(0, len(records), 20):
        await running.send(records[start : start + 20])


async def until_workers(running: Running, names: set[str]) -> dict[str, list[int]]:
    """The partitions of each worker, once they are these workers and all have some."""
    while True:
        _, output, _ = await asyncio.to_thread(running.run, "status", "--json")
        held: dict[str, list[int]] = orjson.loads(output).get("workers", {})
        if set(held) == names and all(held.values()):
            return held


@contextmanager
def started(worker: Worker) -> Iterator[None]:
    """A worker that is ready, and ended in the end."""
    worker.start()
    try:
        worker.wait_until_ready()
        yield
    finally:
        worker.stop()


async def leave_group_and_commit_ends(servers: str) -> None:
    """Commit the ends of all partitions for the group, as though all had been applied."""
    await events_topic.forget_group(servers, GROUP)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=GROUP, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(EVENTS, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.commit(await consumer.end_offsets(partitions))
    finally:
        await consumer.stop()


class Polled:
    """What a reader saw."""

    looks = 0


@asynccontextmanager
async def polling(settings: Settings) -> AsyncIterator[Polled]:
    """A reader that looks all the time, and fails where there is less than before."""
    models = await open_read_models(settings)
    polled, done = Polled(), asyncio.Event()

    async def poll() -> None:
        total, position = 0, dict.fromkeys(range(PARTITIONS), 0)
        while not done.is_set():
            shown = await page(models, Filter(events.BANK), limit=1)
            assert shown.value.total >= total
            assert all(shown.position[p] >= position[p] for p in position)
            total, position = shown.value.total, shown.position
            polled.looks += 1
            await asyncio.sleep(0.001)

    looking = asyncio.create_task(poll())
    try:
        yield polled
    finally:
        done.set()
        await looking
        await models.close()
