"""Any sequence of calls is answered as a model of the contract answers it, and then shown so.

``ABUSE_CASES=n`` tries about so many calls, as ``make abuse`` does.
"""

import asyncio
import itertools
import os
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from device_ledger.settings import Settings
from device_ledger.trees.names import ensure_log_key
from tests.support.contract_model import OK, Contract, Customer
from tests.support.installation import BANNO, Installation, serving

MAX_ACTIVE = 3
STEPS = 40
CASES = int(os.environ.get("ABUSE_CASES", "0"))
EXAMPLES = max(CASES // STEPS, 10)
NOBODY = "7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42"
WHO = st.tuples(st.sampled_from(["bank-1", "bank-2"]), st.sampled_from(["ann", "Bob Ö."]))
DEVICE = st.sampled_from(["device-1", "device-2", "d/3+x=", "~" * 127 + "a"])
PHRASE = st.sampled_from(["Blue heron", "BLUE\u3000 heron", "Straße 7", "STRASSE 7", "🦓"])
NAME = st.sampled_from([None, "Ann's phone", "\u202eenohp"])


class Served:
    """One installation for all sequences, each with banks and devices of its own."""

    def __init__(self, home: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        made = Settings(home=home, embedded_issuer=True, max_active_devices=MAX_ACTIVE)
        ensure_log_key(made)
        self.api: Installation = self.run(self.stack.enter_async_context(serving(made)))
        self.numbers = itertools.count()

    def run(self, doing: Coroutine[Any, Any, Any]) -> Any:
        """Wait for it."""
        return self.loop.run_until_complete(doing)

    def close(self) -> None:
        """End it."""
        self.run(self.stack.aclose())
        self.loop.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """An installation that outlives a sequence of calls."""
    one = Served(tmp_path)
    try:
        yield one
    finally:
        one.close()


class Calls(RuleBasedStateMachine):
    """Calls in any order, and the model that tells what each must answer."""

    served: ClassVar[Served]

    def __init__(self) -> None:
        super().__init__()
        self.model = Contract(MAX_ACTIVE)
        self.run_number = next(self.served.numbers)
        self.kept: list[tuple[str, Customer, dict[str, Any], str, httpx.Response]] = []
        self.registrations: dict[tuple[Customer, str], str] = {}

    @property
    def api(self) -> Installation:
        return self.served.api

    def bank(self, who: Customer) -> str:
        return f"{who[0]}-{self.run_number}"

    def device(self, device: str) -> str:
        return f"{self.run_number}/{device}"[:128]

    def user(self, who: Customer) -> dict[str, str]:
        return self.api.user(who[1], self.bank(who))

    def post(self, name: str, who: Customer, body: dict[str, Any]) -> httpx.Response:
        """Post a command with a key, so that it can be repeated."""
        key = f"{self.run_number}-{len(self.kept)}"
        answer = self._post(name, who, body, key)
        self.kept.append((name, who, body, key, answer))
        return answer

    def _post(self, name: str, who: Customer, body: dict[str, Any], key: str) -> httpx.Response:
        headers = self.api.bank(self.bank(who)) | {"Idempotency-Key": key}
        found: httpx.Response = self.served.run(self.api.command(name, body, headers))
        return found

    def ask(self, method: str, path: str, headers: dict[str, str], **more: Any) -> httpx.Response:
        """Any other call."""
        calling = self.api.client.request(method, path, headers=headers, **more)
        found: httpx.Response = self.served.run(calling)
        return found

    def check(self, answer: httpx.Response, expected: tuple[int, str]) -> None:
        """Compare an answer of the Peere family with the model's."""
        status, message = expected
        assert answer.status_code == status, (answer.text, expected)
        assert not message or answer.json()["message"] == message

    @rule(who=WHO, phrase=PHRASE, device=DEVICE)
    def link(self, who: Customer, phrase: str, device: str) -> None:
        body = {"customerId": who[1], "phrase": phrase, "deviceId": self.device(device)}
        self.check(self.post("link", who, body), self.model.link(who, phrase, device))

    @rule(who=WHO, phrase=PHRASE, device=DEVICE)
    def unlink(self, who: Customer, phrase: str, device: str) -> None:
        body = {"customerId": who[1], "phrase": phrase, "deviceId": self.device(device)}
        self.check(self.post("unlink", who, body), self.model.unlink(who, phrase, device))

    @precondition(lambda self: self.model.phrases)
    @rule(data=st.data(), device=DEVICE)
    def link_another(self, data: st.DataObject, device: str) -> None:
        """A customer who has a phrase links under it."""
        who = data.draw(st.sampled_from(sorted(self.model.phrases)))
        self.link(who, self.model.phrases[who], device)

    @precondition(lambda self: self.model.phrases)
    @rule(data=st.data(), other=WHO)
    def free(self, data: st.DataObject, other: Customer) -> None:
        """A link ends, and another customer wants its phrase and its device."""
        who = data.draw(st.sampled_from(sorted(self.model.phrases)))
        phrase = self.model.phrases[who]
        device = data.draw(st.sampled_from(sorted(self.model.linked_of(who))))
        self.unlink(who, phrase, device)
        self.link(other, phrase, device)

    @rule(who=WHO, device=DEVICE, name=NAME)
    def see(self, who: Customer, device: str, name: str | None) -> None:
        if name == "\u202eenohp":
            body = {"customerId": who[1], "deviceId": self.device(device), "deviceName": name}
            assert self.post("login-seen", who, body).status_code == 400
            self.kept.pop()
            return
        body = {"customerId": who[1], "deviceId": self.device(device)}
        answer = self.post("login-seen", who, body | ({"deviceName": name} if name else {}))
        self.check(answer, expected := self.model.see(who, device, name))
        if expected == OK:
            found = answer.json()["data"]["registrationId"]
            assert self.registrations.setdefault((who, device), found) == found

    @rule(who=WHO, device=DEVICE)
    def deactivate(self, who: Customer, device: str) -> None:
        body = {"customerId": who[1], "deviceId": self.device(device)}
        self.check(self.post("deactivate", who, body), self.model.deactivate(who, device))

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """The same key and body: the first answer again. Another body: 422."""
        name, who, body, key, first = data.draw(st.sampled_from(self.kept))
        again = self._post(name, who, body, key)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert self._post(name, who, body | {"customerId": "other"}, key).status_code == 422

    @rule(who=WHO, device=DEVICE)
    def remove(self, who: Customer, device: str) -> None:
        """As the settings page of a user does."""
        path = f"/settings/devices/{quote(self.device(device), safe='')}"
        answer = self.ask("DELETE", path, self.user(who))
        assert answer.status_code == self.model.deactivate(who, device)[0]

    @rule(who=WHO, device=DEVICE, own=st.booleans())
    def remove_registration(self, who: Customer, device: str, own: bool) -> None:
        """As the user, or an admin of the bank; also what is not there is gone then."""
        registration = self.registrations.get((who, device))
        admin = self.api.token("admin", bank_id=self.bank(who))
        path = f"{self.registered(who)}/{registration or NOBODY}"
        answer = self.ask("DELETE", path, self.user(who) if own else admin)
        assert answer.status_code == 204
        if registration:
            self.model.deactivate(who, device)

    @precondition(lambda self: self.model.known)
    @rule()
    def remove_all(self) -> None:
        """As whoever has the most devices."""
        who = max(sorted(self.model.known), key=lambda one: len(self.model.active(one)))
        assert self.ask("DELETE", self.registered(who), self.user(who)).status_code == 204
        for device in self.model.all_of(who):
            self.model.deactivate(who, device)

    @rule(who=WHO)
    def erase(self, who: Customer) -> None:
        lead = self.api.token("lead", bank_id=self.bank(who))
        body = {"customerId": who[1], "reason": "asked for"}
        answer = self.ask("POST", "/v1/security/customers/erase", lead, json=body)
        assert answer.status_code == self.model.erase(who)
        for known in [one for one in self.registrations if one[0] == who]:
            del self.registrations[known]

    @rule()
    def look(self) -> None:
        """All that is read shows what the model has."""
        self.served.run(self.api.project())
        devices = [f"device-{number}" for number in (1, 2)] + ["d/3+x=", "~" * 127 + "a"]
        for device in devices:
            self._look_up(device)
        for who in {*self.model.known}:
            self._look_at(who)
        for bank in ("bank-1", "bank-2"):
            self._list(bank)

    def _look_up(self, device: str) -> None:
        body = {"deviceId": self.device(device)}
        answer = self.ask("POST", "/v1/customer/device/lookup", self.api.merchant(), json=body)
        holder = self.model.holder(device)
        shown = answer.json().get("data")
        assert shown == (
            holder
            and {
                "deviceId": self.device(device),
                "phrase": self.model.phrases[holder],
                "customerId": holder[1],
                "bankId": self.bank(holder),
            }
        )

    def _look_at(self, who: Customer) -> None:
        shown = self.ask("GET", "/settings/devices", self.user(who)).json()
        assert {one["deviceId"]: one["deviceName"] for one in shown} == {
            self.device(device): one.name or "Unknown device"
            for device, one in self.model.active(who).items()
        }
        asked = {"onlyActive": "false"}
        kept = self.ask("GET", self.registered(who), self.user(who), params=asked).json()
        assert {one["deviceId"]: "deletedAt" in one for one in kept["registrations"]} == {
            self.device(device): one.has_ended for device, one in self.model.all_of(who).items()
        }

    def _list(self, bank: str) -> None:
        headers = self.api.bank(f"{bank}-{self.run_number}")
        data = self.ask("GET", "/v1/bank/devices/list", headers).json()["data"]
        shown = {(one["deviceId"], one["customerId"], one["phrase"]) for one in data["devices"]}
        expected = {
            (self.device(device), customer, phrase)
            for device, customer, phrase in self.model.linked(bank)
        }
        assert (shown, data["total"]) == (expected, len(expected))

    def registered(self, who: Customer) -> str:
        """The address of a user's registrations."""
        return f"{BANNO}/users/{self.api.services.tokens.user_id(self.bank(who), who[1])}/devices"

    def teardown(self) -> None:
        """However a sequence ends, what is read is right."""
        self.look()


def test_any_sequence_of_calls_is_answered_as_the_contract_says(served: Served) -> None:
    class OfThisInstallation(Calls):
        pass

    OfThisInstallation.served = served
    run_state_machine_as_test(
        OfThisInstallation,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            # A sequence is told as it was found: to shorten it takes minutes.
            phases=(Phase.generate,),
            derandomize=not CASES,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
