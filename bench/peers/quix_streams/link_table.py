"""Who each device is linked to, in a state of Quix Streams: BROKERS TOPIC EVENTS FOLDER."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quixstreams import Application
from quixstreams.state import State
from rocksdict import AccessType, Options, Rdict

LINKED = "device.linked.v1"
ENDINGS = {"device.unlinked.v1", "device.deactivated.v1", "device.erased.v1"}
KEPT = (
    *("bankId", "customerId", "userId", "registrationId", "keyGeneration"),
    *("sealedDeviceId", "sealedPhrase", "linkedAt"),
)


class Clock:
    """From the first record to the last: wall and CPU seconds."""

    def __init__(self) -> None:
        self.seen = 0

    def tick(self, _: Any) -> bool:
        """Count a record."""
        if not self.seen:
            self.begun, self.cpu_begun = time.perf_counter(), time.process_time()
        self.seen += 1
        return True

    def told(self, *_: object) -> None:
        """A record was processed."""
        self.ended, self.cpu_ended = time.perf_counter(), time.process_time()


def fold(event: dict[str, Any], state: State) -> None:
    """Fold an event into the row of its device."""
    data = event["data"]
    if event["type"] == LINKED:
        state.set("link", {name: data[name] for name in KEPT})
    else:
        row = state.get("link")
        if row and (row["bankId"], row["userId"]) == (data["bankId"], data["userId"]):
            state.delete("link")


def rows(folder: Path) -> Iterator[Any]:
    """The keys of every partition's database."""
    for file in folder.rglob("CURRENT"):
        options = Options(raw_mode=True)
        yield from Rdict(str(file.parent), options, access_type=AccessType.read_only()).keys()


def main(brokers: str, topic_name: str, count: str, folder: str) -> None:
    """Read so many records, and tell how long it took."""
    clock = Clock()
    app = Application(
        broker_address=brokers,
        consumer_group=f"peer-{time.time_ns()}",
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        state_dir=folder,
        auto_create_topics=True,
        on_message_processed=clock.told,
        loglevel="WARNING",
    )
    table = app.dataframe(app.topic(topic_name, value_deserializer="json", key_deserializer="str"))
    table = table.filter(clock.tick)
    table = table.filter(lambda event: event["type"] == LINKED or event["type"] in ENDINGS)
    table.update(fold, stateful=True)
    app.run(count=int(count), collect=False)
    told = {"events": clock.seen, "seconds": clock.ended - clock.begun}
    told["cpu"] = clock.cpu_ended - clock.cpu_begun
    told["linked"] = sum(1 for _ in rows(Path(folder)))
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
