"""Rules are replayed over the history: started, watched, listed and cancelled."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from api.security import rule_files
from api.security.replays import WAITING_MAX
from device_ledger.wire import access
from tests.support.access_log import spooled
from tests.support.installation import Installation
from tests.support.replaying import DAY, PATH, answer_at_once, look, start, until

NOBODY = "7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42"
RULE = """\
title: A refused command
id: 6e0a7c1e-1111-4a39-9d5b-2f9f6f5c7a42
status: test
description: Any refusal.
logsource: {product: device-ledger}
detection: {selection: {outcome: refused}, condition: selection}
level: low
"""
FARM = Path("rules/device-farm.yml").read_text()
RULE_FILE = {"name": "any-refusal", "text": RULE}


@pytest.fixture
def waits() -> bool:
    """Whether a child waits to be stopped; a test overrides it by ``parametrize``."""
    return False


@pytest.fixture
def _children(monkeypatch: pytest.MonkeyPatch, waits: bool) -> None:
    answer_at_once(monkeypatch, waits=waits, asked=True)


QUICK = pytest.mark.usefixtures("_children")
WAITING = pytest.mark.parametrize("waits", [True])


@QUICK
async def test_a_replay_is_started_and_tells_what_came_of_it(api: Installation) -> None:
    response = await start(api, rules=["device-farm"])
    replay = response.json()["id"]
    assert (response.status_code, response.headers["Location"]) == (202, f"{PATH}/{replay}")
    told = await until(api, replay, "done")
    folder = api.settings.home / "replays" / replay
    assert (told["progress"], told["reason"], told["by"]) == (
        {"entriesRead": 3, "total": 9, "perSecond": 1.5, "secondsLeft": 4.0, "rule": "r"},
        None,
        "dev-security",
    )
    assert told["result"]["asked"] == {
        "--from": "2026-01-30T00:00:00.000Z",
        "--to": "2026-01-31T00:00:00.000Z",
        "--rules": str(folder / "rules"),
        "--json": str(folder / "run-1" / "result.json"),
        "--progress-file": str(folder / "run-1" / "progress.json"),
    }
    [kept] = (folder / "rules").iterdir()
    assert (kept.name, kept.read_text()) == ("device-farm.yml", FARM)


@QUICK
async def test_a_bank_in_the_token_narrows_the_replay_and_who_sees_it(api: Installation) -> None:
    own, other = (api.token("security", bank_id=bank) for bank in ("bank-1", "bank-2"))
    replay = (await start(api, own)).json()["id"]
    everyones = (await start(api)).json()["id"]
    told = await until(api, replay, "done")
    assert (told["bankId"], told["result"]["asked"]["--bank"]) == ("bank-1", "bank-1")
    for officer, hidden in ((other, replay), (other, everyones), (own, everyones)):
        for method in ("GET", "DELETE"):
            refused = await api.client.request(method, f"{PATH}/{hidden}", headers=officer)
            assert (refused.status_code, refused.json()["code"]) == (404, "no-such-replay")
    lists = [
        [one["id"] for one in (await api.client.get(PATH, headers=who)).json()["replays"]]
        for who in (own, other, api.token("security"))
    ]
    assert lists == [[replay], [], [everyones, replay]]
    refused = await start(api, own, bankId="bank-2")
    assert (refused.status_code, refused.json()["code"]) == (403, "other-bank")


@WAITING
@QUICK
async def test_a_replay_can_be_cancelled_while_it_waits_and_while_it_runs(
    api: Installation,
) -> None:
    running, queued = [(await start(api)).json()["id"] for _ in range(2)]
    await until(api, running, "running")
    assert (await look(api, queued))["state"] == "queued"
    for replay in (queued, running):
        for _ in range(2):
            response = await api.client.delete(f"{PATH}/{replay}", headers=api.token("security"))
            assert (response.status_code, response.json()["state"]) == (200, "cancelled")
    # Their slots are free again.
    third = (await start(api)).json()["id"]
    await until(api, third, "running")
    assert [await look(api, one) for one in (running, queued)] == [
        {**await look(api, one), "state": "cancelled", "result": None} for one in (running, queued)
    ]


@WAITING
@QUICK
async def test_so_many_replays_of_a_bank_are_unfinished_at_once(api: Installation) -> None:
    for _ in range(WAITING_MAX):
        assert (await start(api)).status_code == 202
    refused = await start(api)
    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-replays")
    assert "Retry-After" in refused.headers
    assert (await start(api, api.token("security", bank_id="bank-1"))).status_code == 202


@QUICK
async def test_each_call_is_on_record_before_its_answer(api: Installation) -> None:
    officer = api.token("security", bank_id="bank-1")
    replay = (await start(api, officer)).json()["id"]
    await api.client.get(PATH, headers=officer)
    await api.client.get(f"{PATH}/{replay}", headers=officer)
    await api.client.delete(f"{PATH}/{replay}", headers=officer)
    await api.client.get(f"{PATH}/{NOBODY}", headers=officer)
    names = ("outcome", "bankId", "about")
    assert [
        (one.type, *(one.data.get(name) for name in names)) for one in spooled(api.settings.home)
    ] == [
        (access.REPLAY_STARTED, "done", "bank-1", replay),
        (access.REPLAY_READ, "done", "bank-1", None),
        (access.REPLAY_READ, "done", "bank-1", replay),
        (access.REPLAY_CANCELLED, "done", "bank-1", replay),
        (access.REPLAY_READ, "not-found", "bank-1", NOBODY),
    ]


@QUICK
async def test_a_rule_that_is_sent_is_replayed(api: Installation) -> None:
    response = await start(api, ruleFiles=[RULE_FILE])
    assert (response.status_code, response.json()["rules"]) == (202, ["any-refusal"])
    await until(api, response.json()["id"], "done")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title: [", "any-refusal.yml: no YAML:"),
        ("title: Nothing to find", "any-refusal.yml: "),
        (RULE.replace("outcome: refused", "colour: red"), "any-refusal.yml: "),
        (RULE.replace("outcome: refused", "actor|re: '('"), "any-refusal.yml: "),
        ("a: &a [1]\nb: *a\n", "any-refusal.yml: "),
        ("- " * 10_000, "any-refusal.yml: "),
        (RULE.replace("outcome: refused", f"actor{'|base64offset' * 8}: '{'a' * 100}'"), "any-r"),
    ],
)
async def test_a_text_that_is_no_rule_is_refused_and_the_place_named(
    api: Installation, text: str, words: str
) -> None:
    response = await start(api, ruleFiles=[{"name": "any-refusal", "text": text}])
    problem = response.json()
    assert (response.status_code, problem["code"], problem["field"]) == (
        400,
        "bad-rule",
        "ruleFiles",
    )
    assert problem["detail"].startswith(words)
    assert not (api.settings.home / "replays").exists()


@pytest.mark.parametrize(
    ("asked", "code", "field"),
    [
        ({"rules": ["no-such-rule"]}, "unknown-rule", "rules"),
        ({"rules": []}, "bad-input", "rules"),
        ({"rules": ["../../etc/passwd"]}, "bad-input", "rules"),
        ({"rules": ["device-farm", "device-farm"]}, "bad-input", None),
        ({"rules": ["device-farm"], "ruleFiles": [RULE_FILE]}, "bad-input", None),
        ({"ruleFiles": [RULE_FILE, RULE_FILE]}, "bad-input", None),
        ({"ruleFiles": [{"name": "a/b", "text": RULE}]}, "bad-input", "ruleFiles.name"),
        ({"ruleFiles": [RULE_FILE | {"text": "x" * 32_769}]}, "bad-input", "ruleFiles.text"),
        ({"from": "2099-01-01T00:00:00Z", "to": "2099-01-02T00:00:00Z"}, "bad-input", None),
        ({"from": DAY["to"], "to": DAY["from"]}, "bad-input", "to"),
        ({"to": "soon"}, "bad-input", None),
        ({"days": 3}, "bad-input", None),
    ],
)
async def test_a_bad_question_is_refused(
    api: Installation, asked: dict[str, Any], code: str, field: str | None
) -> None:
    response = await start(api, **asked)
    assert (response.status_code, response.json()["code"]) == (400, code)
    assert field in {None, response.json().get("field")}


async def test_only_so_many_rules_are_checked_at_once(
    api: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_files, "CHECKS_MAX", 2)
    answers = await asyncio.gather(
        *(start(api, ruleFiles=[RULE_FILE | {"text": "title: x"}]) for _ in range(4))
    )
    codes = [one.json()["code"] for one in answers]
    assert (codes.count("bad-rule"), codes.count("too-many-replays")) == (2, 2)
