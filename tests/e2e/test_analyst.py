"""The README's walk for a security team, typed into a shell as it stands there."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from device_ledger.issuer import EmbeddedIssuer
from device_ledger.settings import Settings
from tests.support.up import Up, running

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"^## For a security team$(.*?)^## ", re.MULTILINE | re.DOTALL)
END = "@@ end of"
PATIENCE = 120.0


def commands() -> list[str]:
    """The commands of the section, in order."""
    found = SECTION.search((ROOT / "README.md").read_text())
    assert found is not None
    return [line.removeprefix("$ ") for line in found[1].splitlines() if line.startswith("$ ")]


class Shell:
    """A bash that keeps its variables from command to command."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._errors = (folder / "stderr").open("w+")
        self._process = subprocess.Popen(
            ["bash", "-o", "pipefail"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def type(self, command: str) -> str:
        """Type a command; what it prints, once it has ended well."""
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        into.write(f"{command}\nended=$?; echo; echo {END} $ended\n")
        into.flush()
        printed: list[str] = []
        for line in out:
            if line.startswith(END):
                self._errors.seek(0)
                assert line == f"{END} 0\n", (command, printed, self._errors.read())
                return "".join(printed)
            printed.append(line)
        raise AssertionError(f"the shell ended in {command}")

    def close(self) -> None:
        """End it."""
        self._process.communicate()
        self._errors.close()


class Followed:
    """The alerts that the event stream has told so far; where it ends it is gone on with."""

    def __init__(self, url: str, authorization: str) -> None:
        self._told = threading.Condition()
        self._rules: set[str] = set()
        self._last = ""
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": authorization}, timeout=PATIENCE
        )
        threading.Thread(target=self._follow, daemon=True).start()
        with self._told:
            assert self._told.wait_for(lambda: self._last, PATIENCE)

    def wait_for(self, rules: set[str]) -> None:
        """Return once each of these rules has alerted."""
        with self._told:
            told = self._told.wait_for(lambda: rules <= self._rules, PATIENCE)
            assert told, f"no alert of {sorted(rules - self._rules)}"

    def _follow(self) -> None:
        # Until the API is gone, or the process of the test.
        with suppress(httpx.TransportError):
            while True:
                after = {"Last-Event-ID": self._last} if self._last else {}
                with self._client.stream("GET", "/v1/security/alerts/stream", headers=after) as it:
                    assert it.status_code == 200
                    self._take(it.iter_lines())

    def _take(self, lines: Iterator[str]) -> None:
        for line in lines:
            with self._told:
                if line.startswith("id: "):
                    self._last = line.removeprefix("id: ")
                elif line.startswith("data: {") and "rule" in (alert := json.loads(line[6:])):
                    self._rules.add(alert["rule"])
                self._told.notify_all()


@contextmanager
def desk(folder: Path, up: Up) -> Iterator[Shell]:
    """A shell in a folder that has the checkout's programs and rules."""
    folder.mkdir()
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "rules").symlink_to(ROOT / "rules")
    shell = Shell(folder, up.environment)
    try:
        yield shell
    finally:
        shell.close()


def address_of(greeting: str) -> str:
    """Where the API is."""
    found = re.search(r"http://127\.0\.0\.1:\d+", greeting)
    assert found is not None
    return found[0]


def labelled(file: Path) -> set[str]:
    """The rules that the attacks of a labels file must set off."""
    labels = [json.loads(line) for line in file.read_text().splitlines()]
    return {label["rule"] for label in labels if label["attack"]}


@contextmanager
def said_by(up: Up, process: str) -> Iterator[None]:
    """Where something fails, tell what a process has logged."""
    try:
        yield
    except AssertionError as error:
        error.add_note((up.home / "logs" / f"{process}.log").read_text())
        raise


@pytest.mark.timeout(600)
def test_an_analyst_walks_from_an_alert_to_the_proof(tmp_path: Path) -> None:
    walk = commands()
    printed: dict[str, str] = {}
    with running(tmp_path / "home") as up, desk(tmp_path / "desk", up) as shell:
        url = address_of(up.greeting())
        officer = EmbeddedIssuer.open(Settings(home=up.home, embedded_issuer=True))
        followed = Followed(url, f"Bearer {officer.mint('security')}")
        for command in walk:
            typed = f"API={url}" if command.startswith("API=") else command
            printed[command] = shell.type(typed)
            if "simulate" in command:
                with said_by(up, "detector"):
                    followed.wait_for(labelled(tmp_path / "desk" / "labels.ndjson"))
        _check_answers(list(printed.items()), tmp_path / "desk")


def _check_answers(walk: list[tuple[str, str]], folder: Path) -> None:
    def told(*words: str) -> list[str]:
        return [text for command, text in walk if all(word in command for word in words)]

    def answers(*words: str) -> list[Any]:
        return [json.loads(text) for text in told(*words)]

    [alerts] = answers("alerts?limit=100")
    attacks = labelled(folder / "labels.ndjson")
    assert len(attacks) >= 9
    assert attacks <= {one["rule"] for one in alerts["alerts"]}

    alert, acknowledged = answers("/alerts/$ALERT")
    assert alert["rule"] == "device-farm"
    assert {line["type"] for line in alert["entries"]} == {"device.linked.v1"}
    assert len(alert["entries"]) == alert["evidenceCount"] >= 5
    assert acknowledged["acknowledged"]["note"] == "exported as case 2026-114"

    [trail] = answers("audit/search")
    assert {line["deviceToken"] for line in trail["entries"]} == {alert["deviceToken"]}
    assert len(trail["entries"]) == 10
    began, tuesday, revealed = answers("devices/as-of")
    assert began["holder"]["linkedAt"] == alert["firstAt"]
    assert tuesday["holder"] is None
    assert revealed["holder"]["revealed"]["deviceId"]

    then, changed = told("replay --from")
    assert re.search(r"device-burst\W+([1-9]\d*)\W+0\W+0\W+\1\b", then), then
    assert re.search(r"device-burst\W+\d+\W+[1-9]\d*\W+[1-9]\d*\W+\d+\b", changed), changed
    case = [json.loads(line) for line in (folder / "case.ndjson").read_text().splitlines()]
    assert [one["class_uid"] for one in case] == [2004, *[3004] * alert["evidenceCount"]]
    decided, looked = told("device-ledger verify")
    assert re.match(r"Whole: [1-9][\d,]* records, up to event ", decided), decided
    assert re.match(r"Whole: [1-9][\d,]* records, up to access record ", looked), looked
