"""The access log: leaf n is the n-th line of the access topic, repeats included."""

import asyncio
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from device_ledger.proofs import leaf_hash
from device_ledger.relay.signing import LogRefusedError, Signing
from device_ledger.trees.store import Leaf, Standing, TreeStore
from device_ledger.wire.access import decode, split
from device_ledger.wire.codec import MalformedRecordError
from device_ledger.wire.topics import ACCESS
from device_ledger.wire.trail import ACCESS_LOG

PARTITION: Final = TopicPartition(ACCESS, 0)
RECORDS_MAX: Final = 500
READ_MS: Final = 30_000


class AccessLog:
    """Follows the access topic with a consumer of its own that belongs to no group."""

    def __init__(self, reader: AIOKafkaConsumer, store: TreeStore, signing: Signing) -> None:
        self._reader = reader
        self._store = store
        self._signing = signing
        self._standing = Standing()

    async def open(self) -> None:
        """Go on where the tree stands.

        Raises:
            LogRefusedError: the tree isn't the one that was signed, or not that of this topic.
        """
        self._standing = await asyncio.to_thread(self._signing.open)
        self._reader.assign([PARTITION])
        await self.expect_all_there()
        if self._standing.position:
            await self._expect_same_lines()
        self._reader.seek(PARTITION, self._standing.position)

    async def grow(self) -> bool:
        """Append what has come; whether there was any.

        Raises:
            LogRefusedError: the tree isn't the one that was signed, or the topic was made anew.
            TreeStoreError: the database failed.
        """
        try:
            found = await self._reader.getmany(PARTITION, timeout_ms=0, max_records=RECORDS_MAX)
        except OffsetOutOfRangeError:
            raise _made_anew(self._standing) from None
        records = found.get(PARTITION, [])
        await asyncio.to_thread(self._append, records)
        return bool(records)

    async def expect_all_there(self) -> None:
        """Make sure that the topic has what the tree has, and what follows it.

        Raises:
            LogRefusedError: it was made anew, or records were removed.
        """
        begin = (await self._reader.beginning_offsets([PARTITION]))[PARTITION]
        end = (await self._reader.end_offsets([PARTITION]))[PARTITION]
        if not begin <= self._standing.position <= end:
            raise _made_anew(self._standing)

    def _append(self, records: list[ConsumerRecord[bytes, bytes]]) -> None:
        leaves: list[Leaf] = []
        for record in records:
            leaves += _leaves(record)
            if len(leaves) >= self._signing.room(self._standing.size):
                self._append_up_to(record.offset + 1, leaves)
                leaves = []
        if leaves or self._signing.is_due(self._standing.size):
            position = records[-1].offset + 1 if records else self._standing.position
            self._append_up_to(position, leaves)

    def _append_up_to(self, position: int, leaves: list[Leaf]) -> None:
        self._standing = self._signing.append(self._standing, leaves, position)

    async def _expect_same_lines(self) -> None:
        last = self._standing.position - 1
        self._reader.seek(PARTITION, last)
        found = await self._reader.getmany(PARTITION, timeout_ms=READ_MS, max_records=1)
        lines = [leaf.hashed for record in found.get(PARTITION, ()) for leaf in _leaves(record)]
        size = self._standing.size
        kept = await asyncio.to_thread(
            self._store.leaf_hashes, ACCESS_LOG, max(0, size - len(lines)), size
        )
        if lines != kept:
            raise _made_anew(self._standing)


def _made_anew(standing: Standing) -> LogRefusedError:
    return LogRefusedError(
        f"topic {ACCESS} was made anew or changed: the tree of the access log has {standing.size}"
        f" lines of it, up to offset {standing.position}; nothing more of that log is signed"
        " until the topic is restored"
    )


def _leaves(record: ConsumerRecord[bytes, bytes]) -> list[Leaf]:
    return [_leaf(line) for line in split(record.value)] if record.value is not None else []


def _leaf(line: bytes) -> Leaf:
    try:
        record = decode(line)
        return Leaf(leaf_hash(line), _name(record.id) or "", _name(record.data.get("bankId")))
    except (MalformedRecordError, AttributeError):
        return Leaf(leaf_hash(line), "")


def _name(value: object) -> str | None:
    # What a database refuses would end the signing, and anyone with the topic could write it.
    return value if isinstance(value, str) and "\0" not in value else None
