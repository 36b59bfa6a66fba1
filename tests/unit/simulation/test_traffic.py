"""The made-up population: the same for the same seed, and with everything that banks do."""

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from api.user_agent import describe
from device_ledger.domain import values
from device_ledger.simulation.population import Population
from device_ledger.simulation.table import RBA_COLUMNS, rba_row
from device_ledger.simulation.traffic import Call, Traffic

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
# Written once: whoever changes what a seed gives breaks every comparison with an earlier run.
GOLDEN = "0a080bb6daba4f0a2671813539750ecf03b649f764aea3eef9fdd4d74041fe7a"


def calls(seed: int = 1, commands: int = 3000, lookups: float = 0.2) -> list[Call]:
    """The calls of the standard population over a week."""
    return list(Traffic(Population(seed, 3, 400, 5), MONDAY, 7).calls(commands, lookups))


def fingerprint(some: list[Call]) -> str:
    """A hash over everything that is posted, in order."""
    told = [(call.number, call.caller, call.path, call.body, rba_row(call)) for call in some]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def test_the_same_seed_gives_exactly_the_same_calls() -> None:
    assert fingerprint(calls()) == GOLDEN


def test_another_seed_gives_other_calls() -> None:
    assert fingerprint(calls(seed=2)) != GOLDEN


def test_calls_are_numbered_and_in_order_of_time() -> None:
    made = calls()
    assert [call.number for call in made] == list(range(1, 3601))
    assert made == sorted(made, key=lambda call: call.at)
    assert made[0].at >= MONDAY
    assert made[-1].at < MONDAY + timedelta(days=7)


def test_every_kind_of_call_is_made_and_logins_are_most() -> None:
    verbs = Counter(call.verb for call in calls())
    assert set(verbs) == {"link", "unlink", "login-seen", "deactivate", "lookup"}
    assert verbs["lookup"] == 600
    assert verbs["login-seen"] > 1500


def test_some_commands_come_twice_word_for_word() -> None:
    commands = [json.dumps(call.body) for call in calls() if call.verb == "login-seen"]
    assert len(set(commands)) < len(commands)


def test_some_links_are_of_a_device_that_another_customer_linked_before() -> None:
    holders: dict[str, set[str]] = {}
    for call in calls():
        if call.verb == "link":
            holders.setdefault(call.body["deviceId"], set()).add(call.body["customerId"])
    assert any(len(customers) > 1 for customers in holders.values())


def test_some_links_are_under_a_second_phrase() -> None:
    phrases: dict[str, set[str]] = {}
    for call in calls():
        if call.verb == "link":
            phrases.setdefault(call.body["customerId"], set()).add(call.body["phrase"])
    assert any(len(known) > 1 for known in phrases.values())


def test_banks_have_their_own_customers() -> None:
    banks: dict[str, set[str]] = {}
    for call in calls():
        if call.verb != "lookup":
            banks.setdefault(call.body["customerId"], set()).add(call.caller)
    uuids = [customer for customer, of in banks.items() if of == {"bank-02"}]
    assert set(map(values.is_uuid, uuids)) == {True}


def test_every_value_keeps_the_ledgers_rules() -> None:
    for call in calls(lookups=0):
        values.device_id(call.body["deviceId"])
        values.customer_id(call.body["customerId"])
        if "phrase" in call.body:
            values.phrase(call.body["phrase"])


def test_people_sleep_at_night() -> None:
    hours = Counter(call.at.hour for call in calls())
    assert max(hours[hour] for hour in (1, 2, 3)) * 5 < min(hours[hour] for hour in (12, 18, 20))


@pytest.mark.parametrize("told", ["mobile", "tablet", "desktop"])
def test_user_agents_are_read_as_what_they_are(told: str) -> None:
    made = [call for call in calls() if call.login and call.login.client.device_type == told]
    assert {describe(call.body["userAgent"]).device_type for call in made} == {told.title()}


def test_a_login_fills_the_columns_of_the_rba_data_set() -> None:
    login = next(call for call in calls() if call.login)
    row = rba_row(login)
    assert tuple(row) == RBA_COLUMNS
    assert row["User ID"] == login.body["customerId"]
    assert row["IP Address"] == login.body["ipAddress"]
    assert None not in row.values()


def test_a_few_logins_are_attacks_from_a_device_never_seen_before() -> None:
    seen: set[str] = set()
    attacks = 0
    for call in calls():
        if call.login and call.login.is_attack and call.body["deviceId"] not in seen:
            attacks += 1
        seen.add(call.body["deviceId"])
    assert 0 < attacks < 30
