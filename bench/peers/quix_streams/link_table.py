"""Who each device is linked to, in a state of Quix Streams: BROKERS TOPIC EVENTS FOLDER.

Its defaults: at least once, a commit every 5 s, a changelog topic beside RocksDB.
"""

import sys
from pathlib import Path

from quixstreams import Application, State

sys.path.insert(0, str(Path(__file__).parents[1]))
from fold import Fold


def main(brokers: str, topic: str, events: str, folder: str) -> None:
    """Fold until the last event is in the table, and tell."""
    fold = Fold(int(events))
    app = Application(
        broker_address=brokers,
        consumer_group=f"peer-{Path(folder).name}",
        auto_offset_reset="earliest",
        state_dir=folder,
        loglevel="ERROR",
    )

    def keep(value: bytes, state: State) -> None:
        before = state.get("link")
        after = fold.fold(value, before)
        if after is None and before is not None:
            state.delete("link")
        elif after is not before:
            state.set("link", after)
        fold.count()

    read = app.topic(topic, key_deserializer="str", value_deserializer="bytes")
    app.dataframe(read).update(keep, stateful=True)
    app.run(count=fold.expected)
    fold.tell()


if __name__ == "__main__":
    main(*sys.argv[1:])
