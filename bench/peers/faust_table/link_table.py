"""Who each device is linked to, in a Faust Table: BROKERS TOPIC EVENTS FOLDER."""

import json
import os
import sys
import time
from typing import Any

import faust

LINKED = "device.linked.v1"
ENDINGS = {"device.unlinked.v1", "device.deactivated.v1", "device.erased.v1"}
KEPT = (
    *("bankId", "customerId", "userId", "registrationId", "keyGeneration"),
    *("sealedDeviceId", "sealedPhrase", "linkedAt"),
)


def make(brokers: str, topic_name: str, count: int, folder: str) -> faust.App:
    """The app; it ends itself after so many records."""
    app = faust.App(
        f"peer-{time.time_ns()}",
        broker=f"kafka://{brokers}",
        # The driver that is kept up; python-rocksdb has no wheels.
        store="rocksdb://",
        datadir=folder,
        topic_partitions=8,
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
        stream_wait_empty=False,
        value_serializer="json",
    )
    topic = app.topic(topic_name, key_type=bytes, key_serializer="raw", value_serializer="json")
    table = app.Table(
        "links",
        key_type=bytes,
        key_serializer="raw",
        partitions=8,
        options={"driver": "rocksdict"},
    )

    @app.agent(topic)
    async def fold(stream: Any) -> None:
        seen = 0
        async for key, event in stream.items():
            if not seen:
                begun, cpu_begun = time.perf_counter(), time.process_time()
            seen += 1
            apply(table, key, event)
            if seen == count:
                told = {"events": seen, "seconds": time.perf_counter() - begun}
                told["cpu"] = time.process_time() - cpu_begun
                told["linked"] = len(list(table.keys()))
                print(json.dumps(told), flush=True)
                os._exit(0)

    return app


def apply(table: Any, key: bytes, event: dict[str, Any]) -> None:
    """Fold an event into the row of its device."""
    data = event["data"]
    if event["type"] == LINKED:
        table[key] = {name: data[name] for name in KEPT}
    elif event["type"] in ENDINGS:
        row = table.get(key)
        if row and (row["bankId"], row["userId"]) == (data["bankId"], data["userId"]):
            table.pop(key)


if __name__ == "__main__":
    app = make(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
    app.finalize()
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()
