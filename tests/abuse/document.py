"""The OpenAPI document tried by schemathesis, as one kind of caller after the other."""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from tests.support.system import PATIENCE, System

CONFIG: Final = Path(__file__).parent / "schemathesis.toml"
OWN: Final[Mapping[str, str]] = {
    "bank": "^/v1/bank/",
    "merchant": "^/v1/customer/",
    "user": "^/(settings|a)/",
    "admin": "^/a/",
    "security": "^/v1/security/",
    "lead": "^/v1/security/",
    "bank's lead": "^/v1/security/",
    "operations": "^/(healthz|readyz|metrics)",
}
"""The kinds of callers, and the paths that are theirs; operations call without a token."""

_CASES: Final = re.compile(r"(\d+) generated(?:, (\d+) found \d+ unique failures)?")


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one run: how many requests were made up, and what the tool tells."""

    cases: int
    exit_code: int
    told: str


class Document:
    """The document of a running system, with some devices for callers to hit upon."""

    def __init__(self, system: System, folder: Path) -> None:
        self._system = system
        self._folder = folder
        self._config = folder / "schemathesis.toml"

    def prepare(self) -> None:
        """Link devices; what was answered is what a position and a user may be."""
        with httpx.Client(base_url=self._system.url(), timeout=PATIENCE) as client:
            for number in (1, 2, 3):
                seen = self._device(client, number)
        user = seen.json()["data"]["userId"]
        self._config.write_text(
            f"{CONFIG.read_text()}\n"
            f'[dictionaries.users]\nvalues = ["{user}"]\n'
            f'[dictionaries.positions]\nvalues = ["{seen.headers["Ledger-Position"]}"]\n'
        )

    def _device(self, client: httpx.Client, number: int) -> httpx.Response:
        customer = {"customerId": f"customer-{number}"}
        device = customer | {"deviceId": f"device-{number}"}
        for name, body in (
            ("link", device | {"phrase": f"Blue heron {number}"}),
            ("login-seen", device),
        ):
            answer = client.post(
                f"/v1/bank/customer/device/{name}", json=body, headers=self._system.bank()
            )
            assert answer.status_code == 200, answer.text
        return answer

    def try_as(self, kind: str, *words: str) -> Tried:
        """Run schemathesis with the token of a kind of caller."""
        header = self._header(kind)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(self._config)),
                *("run", f"{self._system.url()}/openapi.json", "--no-color", *words),
                *(word for name, value in header.items() for word in ("-H", f"{name}: {value}")),
            ],
            capture_output=True,
            cwd=self._folder,
            check=False,
        )
        told = (done.stdout + done.stderr).decode()
        found = _CASES.search(told)
        return Tried(int(found[1]) if found else 0, done.returncode, told)

    def _header(self, kind: str) -> dict[str, str]:
        system = self._system
        made: Mapping[str, Callable[[], dict[str, str]]] = {
            "bank": system.bank,
            "merchant": system.merchant,
            "user": partial(system.user, "customer-3"),
            "admin": partial(system.token, "admin", bank_id="bank-1"),
            "security": partial(system.token, "security"),
            "lead": partial(system.token, "lead"),
            "bank's lead": partial(system.token, "lead", bank_id="bank-1"),
            "operations": dict,
        }
        return made[kind]()
