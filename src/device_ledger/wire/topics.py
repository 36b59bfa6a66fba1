"""The topics: their names and settings, and the one place that makes them."""

from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

EVENTS: Final = "device-ledger.events.v1"
ACCESS: Final = "device-ledger.access.v1"
ALERTS: Final = "device-ledger.alerts.v1"
CHECKPOINTS: Final = "device-ledger.checkpoints.v1"
VERIFIER_KEY_HEADER: Final = "verifier-key"
"""The header of a checkpoint's record that tells the key that it is signed with."""
PROGRESS: Final = "device-ledger.progress.v1"
"""How far the relay is: records are of use for a moment only."""
DEAD_LETTERS: Final = "device-ledger.dead-letters.v1"

SINGLE: Final = (ACCESS, ALERTS, CHECKPOINTS, PROGRESS, DEAD_LETTERS)
"""Topics of one partition: its order is the order of the log."""

_KEPT_FOR_EVER: Final = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "unclean.leader.election.enable": "false",
}
_KEPT_FOR_AN_HOUR: Final = _KEPT_FOR_EVER | {"retention.ms": "3600000"}
# The broker does it and not the API, whose lookups wait for it. Of the ways that every reader knows
# without a further library it is the only one.
_KEPT_SMALL: Final = _KEPT_FOR_EVER | {"compression.type": "gzip"}
_SETTINGS: Final = {PROGRESS: _KEPT_FOR_AN_HOUR, ACCESS: _KEPT_SMALL}


async def ensure_topics(
    bootstrap_servers: str, *, partitions: int, replication_factor: int
) -> None:
    """Make the topics that are not there; leave those that are as they are.

    Raises:
        RuntimeError: the events topic has another number of partitions than the store fixed.
        KafkaError: the broker can't be reached or refuses.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await _ensure(admin, EVENTS, partitions, replication_factor)
        for name in SINGLE:
            await _ensure(admin, name, 1, replication_factor)
        [found] = await admin.describe_topics([EVENTS])
        if len(found["partitions"]) != partitions:
            raise RuntimeError(
                f"topic {EVENTS} has {len(found['partitions'])} partitions, "
                f"the event store was made for {partitions}"
            )
    finally:
        await admin.close()


async def _ensure(
    admin: AIOKafkaAdminClient, name: str, partitions: int, replication_factor: int
) -> None:
    topic = NewTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=replication_factor,
        topic_configs=dict(_SETTINGS.get(name, _KEPT_FOR_EVER)),
    )
    response = await admin.create_topics([topic])
    for _, code, *_ in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"topic {name} can't be made")
