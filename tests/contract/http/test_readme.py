"""The README's walk, call by call: what it prints is what a caller gets."""

import json
import re
import shlex
from pathlib import Path
from string import Template
from typing import Any

import typer

from device_ledger.cli.main import app
from tests.support.installation import Installation

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def calls() -> list[tuple[str, str]]:
    """Each curl command of the README's first walk, and the line that it prints."""
    walk, _, _ = README.partition("## For a bank's engineer")
    lines = walk.splitlines()
    return [
        (line.removeprefix("$ "), lines[number + 1])
        for number, line in enumerate(lines)
        if line.startswith("$ curl ")
    ]


def same(text: str) -> str:
    """A text without what differs from run to run: UUIDs and times."""
    return TIME.sub("TIME", UUID.sub("UUID", text))


async def made(api: Installation, command: str, names: dict[str, str]) -> Any:
    """Make the call that a curl command makes; what it prints, parsed."""
    words = shlex.split(Template(command).substitute(names))[1:]
    method, body, headers, shows_status = "", None, {}, False
    url = ""
    while words:
        word = words.pop(0)
        match word:
            case "-H":
                name, _, value = words.pop(0).partition(": ")
                headers[name] = value
            case "--json":
                method, body = method or "POST", json.loads(words.pop(0))
            case "-X":
                method = words.pop(0)
            case "-w":
                shows_status = words.pop(0) == "%{http_code}"
            case _:
                url = word
    answer = await api.client.request(method or "GET", url, headers=headers, json=body)
    return answer.status_code if shows_status else answer.json()


async def test_every_call_of_the_readme_answers_what_it_says(api: Installation) -> None:
    names = {
        "API": "",
        "BANK": f"Authorization: {api.bank('demo-bank')['Authorization']}",
        "MERCHANT": f"Authorization: {api.merchant('demo-shop')['Authorization']}",
        "CUSTOMER": f"Authorization: {api.user('customer-1', 'demo-bank')['Authorization']}",
        "ADMIN": f"Authorization: {api.token('admin', bank_id='demo-bank')['Authorization']}",
    }
    walk = [(command, printed) for command, printed in calls() if "readyz" not in command]
    assert len(walk) == len(calls()) - 1 == 14
    for command, printed in walk:
        told = await made(api, command, names)
        assert same(json.dumps(told)) == same(json.dumps(json.loads(printed))), command
        if "login-seen" in command:
            names["USER_ID"] = told["data"]["userId"]
        await api.project()


_COMMAND = r"device-ledger ([a-z]+(?:-[a-z]+)*)([^`\n|)]*)"


def test_every_command_that_the_pages_name_is_there() -> None:
    click = typer.main.get_command(app)
    known = set(click.commands)  # type: ignore[attr-defined]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = page.read_text()
        assert set(re.findall(r"device-ledger ([a-z]+(?:-[a-z]+)*)\b", text)) - known == set(), page
        assert set(re.findall(r"(?:`|\$ )make ([a-z-]+)", text)) - targets == set(), page


def test_every_link_of_the_pages_leads_somewhere() -> None:
    broken = [
        (page.name, target)
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_option_that_the_pages_name_is_there() -> None:
    click = typer.main.get_command(app)
    for page in PAGES:
        for name, rest in re.findall(_COMMAND, page.read_text()):
            command = click.commands[name]  # type: ignore[attr-defined]
            group = getattr(command, "commands", {}).values()
            params = [it for one in (command, *group) for it in one.params]
            known = {option for it in params for option in it.opts + it.secondary_opts}
            assert set(re.findall(r"--[a-z-]+", rest)) - known == set(), (page.name, name)
