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
