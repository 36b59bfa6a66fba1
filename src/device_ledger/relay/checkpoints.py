"""The checkpoints topic: what was signed is put on it, and what is on it counts as signed."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from device_ledger.proofs import (
    Checkpoint,
    KeyChain,
    NoteError,
    VerifierKey,
    parse_checkpoint,
    unverified_text,
)
from device_ledger.relay.signing import LogRefusedError, is_signed_by
from device_ledger.trees.store import Stored, TreeStore
from device_ledger.wire.topics import CHECKPOINTS, VERIFIER_KEY_HEADER

log = logging.getLogger(__name__)

PARTITION = TopicPartition(CHECKPOINTS, 0)


async def take_over(
    reader: AIOKafkaConsumer, store: TreeStore, keys: Mapping[str, Sequence[VerifierKey]]
) -> None:
    """Keep the checkpoints that are on the topic and aren't known to be: those that a crash left
    unmarked, and, where the trees were lost, all. ``keys`` are by the names that the trees have;
    others that the logs were handed over from are learnt from what is kept, and on the way.

    Raises:
        LogRefusedError: the topic has a checkpoint of ours that tells of another tree.
    """
    reader.assign([PARTITION])
    begin = (await reader.beginning_offsets([PARTITION]))[PARTITION]
    end = (await reader.end_offsets([PARTITION]))[PARTITION]
    start = store.published_up_to() + 1
    if start > end:
        log.warning("topic %s is shorter than it was: it was made anew", CHECKPOINTS)
        start = begin
    chain = KeyChain(key for of_name in keys.values() for key in of_name)
    for name in keys:
        chain.follow(await asyncio.to_thread(store.hand_overs, name))
    foreign, learnt = 0, True
    # Once more where a later hand-over tells who signed the earlier ones.
    while learnt:
        reader.seek(PARTITION, max(begin, start))
        foreign, learnt = 0, False
        while await reader.position(PARTITION) < end:
            found = await reader.getmany(PARTITION, timeout_ms=1_000, max_records=500)
            for records in found.values():
                strangers = await asyncio.to_thread(_take, store, keys, chain, records)
                learnt = _learnt(chain, records) or learnt
                foreign += strangers
        learnt = learnt and foreign > 0
    if foreign:
        log.error("topic %s: %d checkpoints are not signed by our key", CHECKPOINTS, foreign)


def _learnt(chain: KeyChain, records: Sequence[ConsumerRecord[bytes, bytes]]) -> bool:
    """Whether there was a hand-over among them that wasn't known."""
    found = False
    for record in records:
        with suppress(NoteError, UnicodeDecodeError):
            found = chain.learn((record.value or b"").decode()) or found
    return found


def _take(
    store: TreeStore,
    keys: Mapping[str, Sequence[VerifierKey]],
    chain: KeyChain,
    records: Sequence[ConsumerRecord[bytes, bytes]],
) -> int:
    """Keep the checkpoints of ours; how many are not."""
    ours: dict[str, list[Stored]] = {name: [] for name in keys}
    names = {key.name: name for name, of_name in keys.items() for key in of_name}
    foreign = 0
    for record in records:
        try:
            note = (record.value or b"").decode()
            found = chain.open(note)
            ours[names[found.origin]].append(Stored(found.size, note, record.offset))
        except (NoteError, UnicodeDecodeError):
            foreign += 1
    for name, published in ours.items():
        for kept, given in zip(store.keep_published(name, published), published, strict=True):
            if _read(kept).root != _read(given.note).root:
                raise LogRefusedError(
                    f"topic {CHECKPOINTS} has a checkpoint of the {name} log at {given.size} leaves"
                    " that is of another tree than ours: two trees were signed with one key"
                )
    return foreign


async def publish(
    producer: AIOKafkaProducer, store: TreeStore, name: str, keys: Sequence[VerifierKey] = ()
) -> None:
    """Put on the topic what was signed and isn't there, in order, each with the first of the keys
    that signed it.

    Raises:
        KafkaError: the broker didn't acknowledge.
    """
    while unpublished := await asyncio.to_thread(store.unpublished, name):
        newest = await asyncio.to_thread(store.verifier, name)
        for stored in unpublished:
            signed = (str(key) for key in keys if is_signed_by(stored.note, key))
            key = next(signed, newest)
            sent = await producer.send_and_wait(
                CHECKPOINTS,
                stored.note.encode(),
                key=name.encode(),
                partition=0,
                headers=[(VERIFIER_KEY_HEADER, key.encode())],
            )
            done = Stored(stored.size, stored.note, sent.offset)
            await asyncio.to_thread(store.keep_published, name, [done])


def _read(note: str) -> Checkpoint:
    return parse_checkpoint(unverified_text(note))
