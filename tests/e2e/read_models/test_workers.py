"""Workers as processes: how they start and stop, share the work, and are seen by `status`."""

import asyncio
import os
import signal
from pathlib import Path

import orjson

from device_ledger.wire.topics import ACCESS, ALERTS, EVENTS
from projections.links.apply import MODEL as LINKS
from projections.models import HURRIED, MODELS
from projections.readers import open_read_models
from projections.store import open_store
from tests.conftest import AnyStore
from tests.support import events_topic
from tests.support.read_models import EVENT_MODELS, Dump, dump_of, end_of
from tests.support.workers import (
    ALL_HELD,
    END,
    HALF,
    PARTITIONS,
    RECORDS,
    Running,
    send_slowly,
    started,
    until_workers,
)

QUARTER = HALF // 2


async def test_a_stopped_worker_leaves_in_order(on_sqlite: Running) -> None:
    await asyncio.to_thread(on_sqlite.worker.stop)
    assert on_sqlite.worker.exit_code == 0
    assert not (on_sqlite.store.home / "run" / "streams.ready").exists()


async def test_status_tells_what_runs_and_what_is_behind(on_sqlite: Running) -> None:
    await on_sqlite.send(RECORDS)
    await on_sqlite.shown(END)
    code, output, _ = await asyncio.to_thread(on_sqlite.run, "status", "--json")
    told = orjson.loads(output)
    assert (code, told["healthy"], told["workers"]) == (0, True, {"streams": ALL_HELD})
    assert told["processes"] == [{"name": "streams", "pid": on_sqlite.worker.pid, "alive": True}]
    assert [(m["name"], m["position"], sum(m["behind"].values())) for m in told["models"]] == [
        (
            model.name,
            {str(p): END[p] for p in sorted(END)} if model in EVENT_MODELS else {"0": 0},
            0,
        )
        for model in MODELS
    ]
    records = {topic: sum(found.values()) for topic, found in told["records"].items()}
    assert records == {EVENTS: len(RECORDS), ACCESS: 0, ALERTS: 0}
    assert told["dead_letters"] == 0
    await asyncio.to_thread(on_sqlite.worker.kill)
    code, output, _ = await asyncio.to_thread(on_sqlite.run, "status")
    assert (code, b"died" in output) == (1, True)


def test_sqlite_is_for_one_worker(servers: str, tmp_path: Path) -> None:
    running = Running(servers, AnyStore("", tmp_path))
    with started(running.worker):
        code, _, errors = running.run("streams", "--name", "second")
    assert (code, errors.count(b"\n")) == (1, 1)
    assert b"another worker writes these read models" in errors


async def test_a_topic_that_lacks_an_event_ends_the_worker_with_one_line(
    on_sqlite: Running,
) -> None:
    await on_sqlite.send(RECORDS[:HALF])
    before = await on_sqlite.shown(end_of(RECORDS[:HALF]))
    lost = RECORDS[HALF]
    await on_sqlite.send([r for r in RECORDS[HALF + 1 :] if r.partition == lost.partition])
    assert await asyncio.to_thread(on_sqlite.worker.wait, 60) == 1
    last_id = end_of(RECORDS[:HALF])[lost.partition]
    assert on_sqlite.worker.last_words() == (
        f"partition {lost.partition}: the topic lacks what follows {last_id}"
    )
    assert await dump_of(on_sqlite.settings) == before


async def test_a_list_that_is_not_built_holds_up_no_lookup(
    running: Running, expected: Dump
) -> None:
    await asyncio.to_thread(running.worker.kill)
    running.lose_databases()
    models = await open_read_models(running.settings)
    with open_store(running.settings).building(LINKS):
        running.worker.start()
        for start in range(0, len(RECORDS), QUARTER):
            part = RECORDS[: start + QUARTER]
            await running.send(part[start:])
            assert await models.wait_for(HURRIED.name, end_of(part), 60)
        assert open_store(running.settings).live(LINKS) is None
    await models.close()
    assert await running.shown(END) == expected


async def test_a_killed_rebuild_changes_nothing_and_leaves_nothing(
    servers: str, tmp_path: Path, expected: Dump
) -> None:
    running = Running(servers, AnyStore("", tmp_path))
    await running.send(RECORDS)
    folder = tmp_path / "read-models" / "lookup"
    with started(running.worker):
        await running.shown(END)
        live = (folder / "live").read_text()
        rebuild = running.started("rebuild", "lookup")
        while len(list(folder.glob("g*.db"))) < 2:  # noqa: ASYNC110 - files give no event
            await asyncio.sleep(0.001)
        rebuild.kill()
        rebuild.wait()
        assert (folder / "live").read_text() == live
        assert await dump_of(running.settings) == expected
        code, _, _ = await asyncio.to_thread(running.run, "rebuild", "lookup")
        assert (code, len(list(folder.glob("g*.db")))) == (0, 1)
        assert (folder / "live").read_text() != live
        assert await dump_of(running.settings) == expected


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


async def test_a_worker_paused_past_its_lease_changes_nothing(
    servers: str, postgres_database: str, tmp_path: Path, expected: Dump
) -> None:
    running = Running(servers, AnyStore(postgres_database, tmp_path))
    second = running.another("second")
    with started(running.worker), started(second):
        held = await until_workers(running, {"streams", "second"})
        assert all(held[name][EVENTS] for name in ("streams", "second"))
        sending = asyncio.create_task(send_slowly(running, RECORDS[:HALF]))
        os.kill(running.worker.pid, signal.SIGSTOP)
        await sending
        await running.shown(end_of(RECORDS[:HALF]))
        assert await until_workers(running, {"second"}) == {"second": ALL_HELD}
        os.kill(running.worker.pid, signal.SIGCONT)
        await running.send(RECORDS[HALF:])
        assert await running.shown(END) == expected
        await until_workers(running, {"streams", "second"})
        assert await dump_of(running.settings) == expected
