"""What the contract says of banks, customers, phrases and devices, in memory: no more than that."""

import unicodedata
from dataclasses import dataclass, field

Customer = tuple[str, str]
"""A bank and its pseudonym of the customer."""
OK = (200, "")
NOT_FOUND = (404, "Device not found in system")
DEVICE_TAKEN = (409, "Device already linked to another customer")
PHRASE_TAKEN = (409, "Phrase already belongs to another customer")
OTHER_PHRASE = (409, "Customer already has another phrase")
TOO_MANY = (409, "Customer has the most active devices that one may have")


def folded(phrase: str) -> str:
    """A phrase as it is compared: NFKC, case folded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", phrase).casefold().split())


@dataclass
class Device:
    """A registration: whether it is linked, and whether it has ended; linked is never ended."""

    is_linked: bool = False
    has_ended: bool = False
    name: str | None = None


@dataclass
class Contract:
    """The state, and what each command answers in it."""

    max_active: int
    devices: dict[Customer, dict[str, Device]] = field(default_factory=dict)
    phrases: dict[Customer, str] = field(default_factory=dict)
    known: set[Customer] = field(default_factory=set)
    """Whom something was sealed for, be it refused: they can be erased."""

    def holder(self, device: str) -> Customer | None:
        """Who has the device linked, at any bank."""
        holders = [who for who, owned in self.devices.items() if self._links(owned, device)]
        assert len(holders) <= 1
        return holders[0] if holders else None

    def linked(self, bank: str) -> set[tuple[str, str, str]]:
        """Device, customer and phrase of each link of a bank."""
        return {
            (device, who[1], self.phrases[who])
            for who, owned in self.devices.items()
            for device, one in owned.items()
            if who[0] == bank and one.is_linked
        }

    def linked_of(self, who: Customer) -> set[str]:
        """A customer's linked devices."""
        return {device for device, one in self._owned(who).items() if one.is_linked}

    def active(self, who: Customer) -> dict[str, Device]:
        """A customer's registrations that have not ended."""
        return {name: one for name, one in self._owned(who).items() if not one.has_ended}

    def all_of(self, who: Customer) -> dict[str, Device]:
        """Those that have ended too."""
        return dict(self._owned(who))

    def link(self, who: Customer, phrase: str, device: str) -> tuple[int, str]:
        """Refusals in the order: device, phrase, own phrase, limit."""
        self.known.add(who)
        if self.holder(device) not in (None, who):
            return DEVICE_TAKEN
        others = [one for one in self.phrases if one[0] == who[0] and one != who]
        if any(folded(self.phrases[one]) == folded(phrase) for one in others):
            return PHRASE_TAKEN
        if who in self.phrases and folded(self.phrases[who]) != folded(phrase):
            return OTHER_PHRASE
        if not self._links(self._owned(who), device):
            if not self._register(who, device):
                return TOO_MANY
            self._owned(who)[device].is_linked = True
            self.phrases[who] = phrase
        return OK

    def unlink(self, who: Customer, phrase: str, device: str) -> tuple[int, str]:
        """All three must be those of the link; the registration stays."""
        is_own = folded(self.phrases.get(who, "")) == folded(phrase)
        if not self._links(self._owned(who), device) or not is_own:
            return NOT_FOUND
        self._end_link(who, device)
        return OK

    def see(self, who: Customer, device: str, name: str | None) -> tuple[int, str]:
        """A login registers, or brings back, and never links."""
        self.known.add(who)
        if not self._register(who, device):
            return TOO_MANY
        one = self._owned(who)[device]
        one.name = name or one.name
        return OK

    def deactivate(self, who: Customer, device: str) -> tuple[int, str]:
        """Ends the registration and the link; again is done."""
        if device not in self._owned(who):
            return NOT_FOUND
        self._end_link(who, device)
        self._owned(who)[device].has_ended = True
        return OK

    def erase(self, who: Customer) -> int:
        """Nothing of the customer stays but that it was there."""
        if who not in self.known:
            return 404
        for device in list(self._owned(who)):
            self.deactivate(who, device)
        self.devices.pop(who, None)
        return 200

    def _register(self, who: Customer, device: str) -> bool:
        if device not in self.active(who) and len(self.active(who)) >= self.max_active:
            return False
        self._owned(who).setdefault(device, Device()).has_ended = False
        return True

    def _end_link(self, who: Customer, device: str) -> None:
        self._owned(who)[device].is_linked = False
        if not any(one.is_linked for one in self._owned(who).values()):
            self.phrases.pop(who, None)

    def _owned(self, who: Customer) -> dict[str, Device]:
        return self.devices.setdefault(who, {})

    @staticmethod
    def _links(owned: dict[str, Device], device: str) -> bool:
        return device in owned and owned[device].is_linked
