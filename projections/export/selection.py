"""Which lines of the trail are exported."""

from dataclasses import dataclass
from typing import Any, Final

_EQUAL: Final = ("device_token", "bank_id", "outcome")


@dataclass(frozen=True, slots=True)
class Selection:
    """Lines that agree with all that is given.

    ``since`` and ``until`` (RFC 3339, UTC, milliseconds) hold ``since <= at < until``; ``customer``
    is a customer's ID or user ID; of ``types`` and of ``refs`` one has to be the line's.
    """

    since: str | None = None
    until: str | None = None
    device_token: str | None = None
    customer: str | None = None
    bank_id: str | None = None
    outcome: str | None = None
    types: tuple[str, ...] = ()
    refs: tuple[str, ...] | None = None

    def where(self) -> tuple[str, list[Any]]:
        """A condition in SQL and its values; times apart."""
        terms, values = ["true"], list[Any]()
        for name in _EQUAL:
            if (value := getattr(self, name)) is not None:
                terms.append(f"{name} = ?")
                values.append(value)
        if self.customer is not None:
            terms.append("(customer_id = ? OR user_id = ?)")
            values += [self.customer, self.customer.lower()]
        if self.types:
            terms.append("type IN (SELECT unnest(?))")
            values.append(list(self.types))
        if self.refs is not None:
            terms.append("ref IN (SELECT unnest(?))")
            values.append(list(self.refs))
        return " AND ".join(terms), values
