"""The values that callers name things by: device IDs, customer IDs and phrases.

Each function takes text as a caller wrote it and gives it back as the ledger uses it. What does
not fit raises an error whose message never repeats the value.
"""

import re
import unicodedata
from typing import Final

DEVICE_ID_LENGTH_MAX: Final = 128
CUSTOMER_ID_LENGTH_MAX: Final = 128
PHRASE_LENGTH_MAX: Final = 256

DEVICE_ID_PATTERN: Final = "^[._~:+/=-]*[A-Za-z0-9][A-Za-z0-9._~:+/=-]*$"
"""What a device ID looks like, but for its length: one of its characters is a letter or digit."""

_DEVICE_ID = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9._~:+/=-]{1,128}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_SURROGATE = re.compile("[\ud800-\udfff]")


class InvalidValueError(ValueError):
    """A value that breaks the rules of its kind; ``field`` is its name in the contract."""

    field = "value"
    rule = "is not valid"

    def __init__(self) -> None:
        super().__init__(f"{self.field} {self.rule}")


class InvalidDeviceIdError(InvalidValueError):
    """Not 1 to 128 characters of the device ID's alphabet, or none a letter or digit."""

    field = "deviceId"
    rule = "must be 1 to 128 characters of A-Z a-z 0-9 . _ ~ : + / = -, one a letter or digit"


class InvalidCustomerIdError(InvalidValueError):
    """Not 1 to 128 printable characters."""

    field = "customerId"
    rule = "must be 1 to 128 printable characters"


class InvalidPhraseError(InvalidValueError):
    """Not 1 to 256 characters, or nothing but white space."""

    field = "phrase"
    rule = "must be 1 to 256 characters, not only white space"


def device_id(text: str) -> str:
    """A device ID, as given.

    Raises:
        InvalidDeviceIdError: it breaks the rule.
    """
    if _DEVICE_ID.fullmatch(text) is None:
        raise InvalidDeviceIdError
    return text


def customer_id(text: str) -> str:
    """A customer ID; one that is a UUID (8-4-4-4-12) comes back in lower case.

    Raises:
        InvalidCustomerIdError: it breaks the rule.
    """
    if not 1 <= len(text) <= CUSTOMER_ID_LENGTH_MAX or not text.isprintable():
        raise InvalidCustomerIdError
    return text.lower() if is_uuid(text) else text


def phrase(text: str) -> str:
    """A phrase, as written; ``normalise_phrase`` gives the form that phrases are compared in.

    Raises:
        InvalidPhraseError: it breaks the rule, or is no Unicode text (a lone surrogate).
    """
    fits = 1 <= len(text) <= PHRASE_LENGTH_MAX and _SURROGATE.search(text) is None
    if not fits or not normalise_phrase(text):
        raise InvalidPhraseError
    return text


def normalise_phrase(text: str) -> str:
    """The form in which two phrases are the same: NFKC, case folded, white space collapsed.

    Folding can undo a normalisation and the other way round, so both are done as in Unicode's
    compatibility caseless match (The Unicode Standard, section 3.13, D146), composed at the end.
    """
    folded = unicodedata.normalize("NFD", text).casefold()
    folded = unicodedata.normalize("NFKD", folded).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID in its form 8-4-4-4-12, in any case."""
    return _UUID.fullmatch(text) is not None
