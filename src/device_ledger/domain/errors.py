"""Why a command is refused. Each has a code that callers' words and the trail are made from."""

from typing import ClassVar


class RefusedError(Exception):
    """A rule of the domain says no; the state is as it was."""

    code: ClassVar[str]


class DeviceTakenError(RefusedError):
    """The device is linked to another customer, at whatever bank."""

    code = "device-taken"


class PhraseTakenError(RefusedError):
    """The phrase belongs to another customer of the bank."""

    code = "phrase-taken"


class OtherPhraseError(RefusedError):
    """The customer has another phrase while one of its devices is linked."""

    code = "other-phrase"


class TooManyDevicesError(RefusedError):
    """The customer has as many active devices as one may have."""

    code = "too-many-devices"


class NotLinkedError(RefusedError):
    """Customer, phrase and device are not linked like this."""

    code = "not-linked"


class NoSuchDeviceError(RefusedError):
    """The customer has no such device."""

    code = "no-such-device"


class NoSuchCustomerError(RefusedError):
    """The bank has no such customer here."""

    code = "no-such-customer"


class KeyGivenUpError(Exception):
    """A command's values were sealed under a key that an erasure has given up since.

    It was neither done nor refused: seal again under a newer key than ``generation``, and decide
    again.
    """

    def __init__(self, generation: int) -> None:
        super().__init__(generation)
        self.generation = generation
