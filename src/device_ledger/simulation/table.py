"""Calls written down: as NDJSON, or as CSV with the columns of the RBA login data set.

The columns after the first six are those of "Login Data Set for Risk-Based Authentication"
(Wiefling et al., 2022), filled for logins. Each line is what the ledger is told, so the file
holds device IDs and addresses in the clear: of nobody, since all are made up.
"""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from device_ledger.simulation.acts import timestamp
from device_ledger.simulation.traffic import Call

OWN_COLUMNS: Final = ("number", "caller", "command", "customerId", "deviceId", "phrase")
RBA_COLUMNS: Final = (
    *("Login Timestamp", "User ID", "Round-Trip Time [ms]", "IP Address", "Country", "Region"),
    *("City", "ASN", "User Agent String", "Browser Name and Version", "OS Name and Version"),
    *("Device Type", "Login Successful", "Is Attack IP", "Is Account Takeover"),
)


@contextmanager
def writer(file: Path) -> Iterator[Callable[[Call], None]]:
    """A function that writes a call to ``file``: as CSV where it is named so, else as NDJSON.

    Raises:
        OSError: the file can't be written.
    """
    with file.open("w", encoding="utf-8", newline="") as out:
        yield _csv_writer(out) if file.suffix == ".csv" else _ndjson_writer(out)


def rba_row(call: Call) -> dict[str, Any]:
    """A login in the columns of the RBA data set; nothing for any other call."""
    login = call.login
    if login is None:
        return {}
    values = (
        *(call.body["seenAt"], call.body["customerId"], login.round_trip_ms),
        *(call.body["ipAddress"], login.place.country, login.place.region, login.place.city),
        *(login.place.asn, call.body["userAgent"], login.client.browser, login.client.system),
        *(login.client.device_type, True, login.is_attack, login.is_attack),
    )
    return dict(zip(RBA_COLUMNS, values, strict=True))


def _ndjson_writer(out: TextIO) -> Callable[[Call], None]:
    def write(call: Call) -> None:
        line = {
            "number": call.number,
            "at": timestamp(call.at),
            "caller": call.caller,
            "command": call.verb,
            "body": call.body,
            "login": rba_row(call) or None,
        }
        out.write(json.dumps(line, ensure_ascii=False) + "\n")

    return write


def _csv_writer(out: TextIO) -> Callable[[Call], None]:
    table = csv.DictWriter(out, (*OWN_COLUMNS, *RBA_COLUMNS), extrasaction="ignore")
    table.writeheader()

    def write(call: Call) -> None:
        own = {"number": call.number, "caller": call.caller, "command": call.verb}
        table.writerow({**own, **call.body, **rba_row(call)})

    return write
