"""The consumer group of the workers: who has which partitions."""

from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import GroupCoordinatorNotAvailableError

from projections.topic import GROUP

Held = dict[str, dict[str, list[int]]]
"""The partitions of each worker by topic, by the worker's name."""


@dataclass(frozen=True, slots=True)
class Group:
    """Who has what; ``settled`` where no rebalance is under way."""

    settled: bool
    workers: Held


def taken(workers: Held) -> set[tuple[str, int]]:
    """The topics and partitions that some worker has."""
    return {
        (topic, number)
        for held in workers.values()
        for topic, numbers in held.items()
        for number in numbers
    }


async def ask_group(bootstrap_servers: str) -> Group:
    """Ask the group's coordinator.

    Raises:
        KafkaError: no broker can be reached.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        await admin.start()
        [response] = await admin.describe_consumer_groups([GROUP])
    except GroupCoordinatorNotAvailableError:
        # A cluster that never had a group.
        return Group(settled=True, workers={})
    finally:
        await admin.close()
    [group] = response.to_object()["groups"]
    held = {_name(member): _partitions(member["member_assignment"]) for member in group["members"]}
    return Group(group["state"] == "Stable", held)


def _name(member: dict[str, Any]) -> str:
    # The broker makes a static member's ID of its name and a UUID.
    return str(member.get("group_instance_id") or member["member_id"].rsplit("-", 5)[0])


def _partitions(assignment: bytes) -> dict[str, list[int]]:
    if not assignment:
        return {}
    held = sorted(ConsumerProtocolMemberAssignment.decode(assignment).partitions())
    return {
        topic: [at.partition for at in held if at.topic == topic]
        for topic in sorted({at.topic for at in held})
    }
