"""Between facts and stored events.

A customer's fact is stored as the bytes of its public event without ``id`` (``wire.codec``), so
that what goes out was fixed when it was decided. A claim's fact is never public and stored as the
little JSON that it needs; that an erasure was ordered is for the ledger alone as well, and stored
as the ``data`` that a public event would have. The stored topic is the event's public type, never
a class's path: code may move, history stays.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

import orjson
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from device_ledger.domain.claim import ClaimEvent, ClaimReleased, ClaimTaken
from device_ledger.domain.customer.command import Context
from device_ledger.domain.customer.events import (
    CommandRefused,
    CustomerEvent,
    DeviceDeactivated,
    DeviceErased,
    DeviceLinked,
    DeviceRegistered,
    DeviceUnlinked,
    ErasureOrdered,
    LoginSeen,
)
from device_ledger.domain.customer.state import CustomerRef
from device_ledger.domain.restored import LedgerRestored
from device_ledger.wire import events as wire

Fact = CustomerEvent | CommandRefused | ClaimEvent | LedgerRestored

CLAIM_TAKEN = "claim.taken.v1"
CLAIM_RELEASED = "claim.released.v1"
ERASURE_ORDERED = "erasure.ordered.v1"

_PUBLIC: dict[type[Any], str] = {
    DeviceRegistered: wire.DEVICE_REGISTERED,
    DeviceLinked: wire.DEVICE_LINKED,
    DeviceUnlinked: wire.DEVICE_UNLINKED,
    LoginSeen: wire.DEVICE_LOGIN_SEEN,
    DeviceDeactivated: wire.DEVICE_DEACTIVATED,
    DeviceErased: wire.DEVICE_ERASED,
    CommandRefused: wire.COMMAND_REFUSED,
    LedgerRestored: wire.LEDGER_RESTORED,
}
_CLASSES: dict[str, type[Any]] = {topic: fact for fact, topic in _PUBLIC.items()} | {
    ERASURE_ORDERED: ErasureOrdered
}
_SUBJECTS: dict[type[Any], str] = {
    fact: next(one.name for one in fields(fact) if one.name in {"device_token", "subject_token"})
    for fact in _PUBLIC
}
"""Where a fact has the token that its public event is keyed by."""


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


_FIELDS: dict[type[Any], list[tuple[str, str]]] = {
    fact: [(one.name, _camel(one.name)) for one in fields(fact) if one.name != _SUBJECTS.get(fact)]
    for fact in _CLASSES.values()
}

Upcast = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTS: dict[str, tuple[str, Upcast]] = {}
"""For a topic that is no longer written: the topic that follows it, and how its data gets there."""


@dataclass(frozen=True)
class Origin:
    """Whom a fact is about, what asked for it, and when the ledger recorded it."""

    customer: CustomerRef
    context: Context
    recorded_at: str


@dataclass(frozen=True)
class Recorded:
    """A fact at its place in the stream of its aggregate: what the library calls a domain event."""

    originator_id: UUID
    originator_version: int
    fact: Fact
    origin: Origin | None

    @property
    def subject(self) -> str | None:
        """The key of its public event; ``None`` where it has none."""
        return subject_of(self.fact)


def subject_of(fact: Fact) -> str | None:
    """The token that the fact's public event is keyed by; ``None`` where it isn't public."""
    name = _SUBJECTS.get(type(fact))
    return None if name is None else getattr(fact, name)


class FactMapper(Mapper[UUID]):
    """The library's mapper, for facts. ``source`` names the ledger and its epoch."""

    def __init__(self, source: str) -> None:
        super().__init__(JSONTranscoder())
        self.source = source

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """The row of a :class:`Recorded` fact."""
        topic, state = self._encode(domain_event)
        return StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=topic,
            state=state,
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """The :class:`Recorded` fact of a row."""
        body = orjson.loads(stored_event.state)
        originator = UUID(str(stored_event.originator_id))
        version = stored_event.originator_version
        if stored_event.topic == CLAIM_TAKEN:
            return Recorded(originator, version, ClaimTaken(originator, UUID(body["holder"])), None)
        if stored_event.topic == CLAIM_RELEASED:
            return Recorded(originator, version, ClaimReleased(originator), None)
        topic, data = upcast(stored_event.topic, body["data"])
        fact_class = _CLASSES[topic]
        values = {name: data[public] for name, public in _FIELDS[fact_class] if public in data}
        if fact_class in _SUBJECTS:
            values[_SUBJECTS[fact_class]] = body["subject"]
        return Recorded(originator, version, fact_class(**values), _origin(data))

    def _encode(self, recorded: Recorded) -> tuple[str, bytes]:
        fact = recorded.fact
        if (topic := _PUBLIC.get(type(fact))) is not None:
            return topic, orjson.dumps(self._public(recorded, fact, topic))
        match fact:
            case ClaimTaken(holder=holder):
                return CLAIM_TAKEN, orjson.dumps({"holder": holder})
            case ClaimReleased():
                return CLAIM_RELEASED, b"{}"
            case ErasureOrdered():
                data = self._data(recorded, fact, ERASURE_ORDERED)
                return ERASURE_ORDERED, orjson.dumps({"data": data})
            case _:
                raise TypeError(f"a {type(fact).__name__} is no fact that is stored")

    def _public(self, recorded: Recorded, fact: Any, topic: str) -> dict[str, Any]:
        data = self._data(recorded, fact, topic)
        return {
            "specversion": "1.0",
            "source": self.source,
            "type": topic,
            "subject": recorded.subject,
            "time": data["recordedAt"],
            "datacontenttype": "application/json",
            "data": data,
        }

    def _data(self, recorded: Recorded, fact: Any, topic: str) -> dict[str, Any]:
        origin = recorded.origin
        if origin is None:
            raise TypeError(f"a {topic} has an origin")
        customer, context = origin.customer, origin.context
        data: dict[str, Any] = {"bankId": customer.bank_id}
        if customer.customer_id is not None:
            data["customerId"] = customer.customer_id
        data["userId"] = customer.user_id
        for name, public in _FIELDS[type(fact)]:
            if (value := getattr(fact, name)) is not None:
                data[public] = value
        data["actor"] = {"subject": context.subject}
        if context.client is not None:
            data["actor"]["client"] = context.client
        data["requestId"] = context.request_id
        data["commandAt"] = context.at
        data["recordedAt"] = origin.recorded_at
        return data


def upcast(topic: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Bring the data of an old type to the type that today's code knows."""
    while topic in UPCASTS:
        topic, step = UPCASTS[topic]
        data = step(data)
    return topic, data


def _origin(data: dict[str, Any]) -> Origin:
    return Origin(
        CustomerRef(data["bankId"], data["userId"], data.get("customerId")),
        Context(
            subject=data["actor"]["subject"],
            client=data["actor"].get("client"),
            request_id=data["requestId"],
            at=data["commandAt"],
        ),
        data["recordedAt"],
    )
