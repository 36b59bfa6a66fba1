"""History without a ledger: what calls would have been recorded as, at the times they were made.

Each call is decided by the domain's own functions on state kept here, and written by the ledger's
own mapper: the bytes are those that a relay would have published. Identifiers and sealed values
come from the seed; no vault has the keys of the latter, nobody can open them.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from random import Random
from typing import Any, Final, NamedTuple
from uuid import UUID

from device_ledger.domain.claim import Claim, ClaimEvent, claim_id, evolve_claim
from device_ledger.domain.customer.command import Command, Context, Device
from device_ledger.domain.customer.deactivate import DeactivateDevice
from device_ledger.domain.customer.events import CommandRefused
from device_ledger.domain.customer.link import LinkDevice
from device_ledger.domain.customer.login_seen import SeeLogin, Seen
from device_ledger.domain.customer.state import Customer, CustomerRef, evolve
from device_ledger.domain.customer.unlink import UnlinkDevice
from device_ledger.domain.errors import RefusedError
from device_ledger.domain.values import normalise_phrase
from device_ledger.geo import cell_of
from device_ledger.ledger.records import FactMapper, Origin, Recorded, subject_of
from device_ledger.simulation.acts import timestamp
from device_ledger.simulation.clients import Client
from device_ledger.simulation.traffic import LOOKUP, Call
from device_ledger.vault.tokens import TokenKey
from device_ledger.wire.access import CHECKPOINT_CHECKED, DEVICE_LOOKED_UP, AccessRecord, encode
from device_ledger.wire.codec import partition_of, public_bytes
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG

PARTITIONS: Final = 8
_ACTIVE_DEVICES_MAX: Final = 500
_TYPES: Final = {"mobile": "Mobile", "tablet": "Tablet", "desktop": "Desktop"}


class Line(NamedTuple):
    """A record of a topic: ``value`` are its exact bytes, an event's or one access record's.

    ``log`` is ``events`` or ``access``, ``ref`` the event's id as decimal text or the access
    record's UUID, ``prev`` the id of the event before it in its partition; for an access record
    it is the offset.
    """

    log: str
    ref: str
    at: str
    partition: int
    offset: int
    prev: int
    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Check:
    """The witness checks a checkpoint; ``code`` is why it fails, ``None`` where it extends."""

    at: Any
    code: str | None


class Scribe:
    """Writes down what calls come to, in their order; the same calls and seed, the same bytes."""

    def __init__(self, seed: int, partitions: int = PARTITIONS) -> None:
        self._random = Random(f"{seed}/history")  # noqa: S311
        self.tokens = TokenKey(sha256(f"{seed}/history".encode()).digest())
        self._mapper = FactMapper(f"urn:device-ledger:{UUID(int=seed, version=4)}:1")
        self._partitions = partitions
        self._customers: dict[UUID, Customer] = {}
        self._claims: dict[UUID, Claim] = {}
        self._last = [0] * partitions
        self._offsets = [0] * partitions
        self._accesses = 0
        self._id = 0
        self._ref = lru_cache(maxsize=None)(self._made_ref)
        self._device_token = lru_cache(maxsize=None)(self.tokens.device)
        self._address_token = lru_cache(maxsize=None)(self.tokens.address)

    def write(self, call: Call | Check) -> list[Line]:
        """The lines of a call; none where it changes nothing."""
        if isinstance(call, Check):
            return [self._checked(call)]
        if call.path == LOOKUP:
            return [self._looked_up(call)]
        return list(self._decided(call))

    def _decided(self, call: Call) -> Iterator[Line]:
        at = timestamp(call.at)
        ref = self._ref(call.caller, call.body["customerId"])
        customer = self._customers.setdefault(ref.aggregate_id, Customer(ref))
        command = self._command(call, ref, at)
        claims = {one: self._claim(one) for one in command.claims(customer)}
        origin = Origin(customer.ref, command.context, at)
        try:
            facts = command.decide(customer, claims)
        except RefusedError as refused:
            refusal = CommandRefused(command.subject_token, command.name, refused.code)
            yield self._event(UUID(int=0), refusal, origin)
            return
        for fact in facts:
            if isinstance(fact, ClaimEvent):
                evolve_claim(self._claim(fact.claim_id), fact)
                self._id += 1
            else:
                evolve(customer, fact)
                yield self._event(ref.aggregate_id, fact, origin)

    def _event(self, originator: UUID, fact: Any, origin: Origin) -> Line:
        stored = self._mapper.to_stored_event(Recorded(originator, 1, fact, origin))
        self._id += 1
        key = subject_of(fact) or ""
        partition = partition_of(key, self._partitions)
        prev, offset = self._last[partition], self._offsets[partition]
        self._last[partition], self._offsets[partition] = self._id, offset + 1
        value = public_bytes(self._id, stored.state)
        at = origin.recorded_at
        return Line(EVENTS_LOG, str(self._id), at, partition, offset, prev, key, value)

    def _command(self, call: Call, ref: CustomerRef, at: str) -> Command:
        body, verb = call.body, call.verb
        context = Context(call.credential or f"{call.caller}-core", "core", self._uuid(), at)
        token = self._device_token(body["deviceId"])
        if verb == "deactivate":
            return DeactivateDevice(customer=ref, context=context, device_token=token)
        if verb == "unlink":
            return UnlinkDevice(
                customer=ref,
                context=context,
                device_token=token,
                phrase_token=self._phrase_token(call),
            )
        device = Device(token, self._sealed(64), 1, self._uuid())
        if verb == "link":
            return LinkDevice(
                customer=ref,
                context=context,
                device=device,
                phrase_token=self._phrase_token(call),
                sealed_phrase=self._sealed(48),
                max_active_devices=_ACTIVE_DEVICES_MAX,
            )
        return SeeLogin(
            customer=ref,
            context=context,
            device=device,
            seen_at=body["seenAt"],
            seen=self._seen(call, ref),
            max_active_devices=_ACTIVE_DEVICES_MAX,
        )

    def _seen(self, call: Call, ref: CustomerRef) -> Seen:
        body, login = call.body, call.login
        if login is None:
            raise TypeError("a login tells where it was, and on what")
        name = body.get("deviceName")
        place = login.place
        return Seen(
            device_type=_TYPES[login.client.device_type],
            info=_info(login.client),
            name_token=self.tokens.name(ref.bank_id, ref.user_id, name) if name else None,
            sealed_name=self._sealed(44) if name else None,
            address_token=self._address_token(body["ipAddress"]),
            sealed_address=self._sealed(42),
            country=place.country,
            cell=cell_of(place.latitude, place.longitude),
        )

    def _looked_up(self, call: Call) -> Line:
        token = self._device_token(call.body["deviceId"])
        claim = self._claims.get(claim_id("device", token))
        holder = self._customers[claim.holder].ref if claim and claim.holder else None
        data: dict[str, Any] = {
            "outcome": "found" if holder else "not-found",
            "requestId": self._uuid(),
            "caller": "merchant",
            "actor": {"subject": call.credential or f"{call.caller}-shop"},
            "merchantId": call.caller,
            "addressToken": self._address_token(_address_of(call.caller)),
            "route": LOOKUP,
        }
        if holder:
            data |= {"bankId": holder.bank_id, "customerId": holder.customer_id}
        return self._access(DEVICE_LOOKED_UP, token, call.at, data)

    def _checked(self, check: Check) -> Line:
        data: dict[str, Any] = {"outcome": "refused" if check.code else "done"}
        data["requestId"] = self._uuid()
        if check.code:
            data["code"] = check.code
        return self._access(CHECKPOINT_CHECKED, None, check.at, data)

    def _access(self, kind: str, subject: str | None, moment: Any, data: dict[str, Any]) -> Line:
        at = timestamp(moment)
        offset = self._accesses
        self._accesses += 1
        milliseconds = int(moment.timestamp() * 1000)
        number = milliseconds << 80 | 7 << 76 | (offset & 0xFFF) << 64 | 2 << 62
        ref = _text(number | self._random.getrandbits(62))
        value = encode(AccessRecord(ref, self._mapper.source, kind, subject, at, data))
        return Line(ACCESS_LOG, ref, at, 0, offset, offset, "", value)

    def _made_ref(self, bank_id: str, customer_id: str) -> CustomerRef:
        return CustomerRef(bank_id, self.tokens.user_id(bank_id, customer_id), customer_id)

    def _claim(self, claim: UUID) -> Claim:
        return self._claims.setdefault(claim, Claim(claim))

    def _phrase_token(self, call: Call) -> str:
        return self.tokens.phrase(call.caller, normalise_phrase(call.body["phrase"]))

    def _uuid(self) -> str:
        number = self._random.getrandbits(128)
        return _text(number & ~(0xF << 76 | 0x3 << 62) | 4 << 76 | 2 << 62)

    def _sealed(self, length: int) -> str:
        return urlsafe_b64encode(self._random.randbytes(length)).decode().rstrip("=")


@lru_cache(maxsize=4096)
def _info(client: Client) -> dict[str, str]:
    system, _, system_version = client.system.rpartition(" ")
    browser, _, browser_version = client.browser.rpartition(" ")
    if not system:
        return {"os": client.system, "browser": browser, "browserVersion": browser_version}
    return {
        "os": system,
        "osVersion": system_version,
        "browser": browser,
        "browserVersion": browser_version,
    }


@lru_cache(maxsize=4096)
def _address_of(merchant_id: str) -> str:
    """The address that a merchant calls from."""
    number = int.from_bytes(sha256(merchant_id.encode()).digest()[:2], "big")
    return f"198.19.{240 + number % 16}.{number // 256}"


def _text(number: int) -> str:
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
