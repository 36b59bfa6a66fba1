"""Who each device is linked to, in a table of Faust: BROKERS TOPIC EVENTS FOLDER.

At least once, with a changelog topic beside RocksDB.
"""

import os
import sys
from pathlib import Path

import faust
from faust.types import StreamT

sys.path.insert(0, str(Path(__file__).parents[1]))
from fold import Fold

PARTITIONS = 8


def main(brokers: str, topic: str, events: str, folder: str) -> None:
    """Fold until the last event is in the table, and tell."""
    fold = Fold(int(events))
    app = faust.App(
        f"peer-{Path(folder).name}",
        broker=f"kafka://{brokers}",
        datadir=folder,
        store="rocksdb://",
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
    )
    table = app.Table("links", key_type=str, options={"driver": "rocksdict"})

    @app.agent(app.topic(topic, key_type=str, key_serializer="raw", value_serializer="raw"))
    async def keep(stream: StreamT) -> None:
        async for event in stream.events():
            before = table.get(event.key)
            after = fold.fold(event.value, before)
            if after is None and before is not None:
                del table[event.key]
            elif after is not before:
                table[event.key] = after
            fold.count()
            if fold.done:
                fold.tell()
                os._exit(0)

    worker = faust.Worker(app, loglevel="ERROR", redirect_stdouts=False, quiet=True)
    worker.execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
