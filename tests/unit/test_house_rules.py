"""The house rules, with a ratchet: what breaks one is listed here with its reason, or fails."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house_rules import Finding, findings

ROOT = Path(__file__).parents[2]
ROOMS = ("src", "api", "projections", "streams")

# What may break a rule, and why. A list that may only shrink: whoever mends one deletes its line.
EXCEPTIONS: dict[Finding, str] = {
    Finding("commit", "projections/sqlite_reader.py"): "It ends a read transaction.",
}


def files() -> Iterator[Path]:
    """Every source file of ours."""
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))


def found() -> set[Finding]:
    """All findings in all files."""
    return {
        finding
        for file in files()
        for finding in findings(file.relative_to(ROOT).as_posix(), file.read_text())
    }


def test_the_rules_hold_but_for_the_exceptions_that_are_listed() -> None:
    assert sorted(found() - set(EXCEPTIONS)) == []


def test_no_exception_is_listed_that_is_mended() -> None:
    assert sorted(set(EXCEPTIONS) - found()) == []


def test_every_exception_has_its_reason() -> None:
    assert [where for where, reason in EXCEPTIONS.items() if not reason] == []


def broken(path: str, source: str) -> list[tuple[str, str]]:
    """The rules that a sample breaks, and where."""
    return [(finding.rule, finding.where) for finding in findings(path, source)]


def test_a_function_of_41_lines_is_found_and_one_of_40_is_not() -> None:
    assert broken("api/a.py", "async def f():\n" + "    x = 1\n" * 40) == [
        ("function length", "api/a.py::f")
    ]
    assert broken("api/a.py", "def f():\n" + "    x = 1\n" * 39) == []


def test_a_file_of_301_lines_is_found_and_one_of_300_is_not() -> None:
    assert broken("api/a.py", "x = 1\n" * 301) == [("file length", "api/a.py")]
    assert broken("api/a.py", "x = 1\n" * 300) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import random as r",
        "from time import monotonic",
        "from uuid import uuid4",
        "from secrets import token_hex",
        "at = datetime.now(UTC)",
        "def f():\n    return date.today()",
        "name = uuid.uuid4()",
    ],
)
@pytest.mark.parametrize(
    "path", ["src/device_ledger/domain/customer/link.py", "projections/lookup/apply.py"]
)
def test_a_clock_or_chance_is_found_where_none_may_be(path: str, source: str) -> None:
    assert [rule for rule, _ in broken(path, source)] == ["clock or chance"]
    assert broken("api/a.py", source) == []


@pytest.mark.parametrize("source", ["connection.commit()", 'run("commit;")', 'run(" COMMIT ")'])
def test_a_commit_is_found_but_for_those_who_may(source: str) -> None:
    assert broken("streams/lookup.py", source) == [("commit", "streams/lookup.py")]
    assert broken("projections/projector.py", source) == []


@pytest.mark.parametrize(
    "source",
    [
        "producer = AIOKafkaProducer()",
        "pool = psycopg_pool.ConnectionPool(url)",
        "if True:\n    session = aiohttp.ClientSession()",
        "class A:\n    db = sqlite3.connect('x')",
        "def f(db=sqlite3.connect('x')): ...",
        "@connect()\ndef f(): ...",
    ],
)
def test_a_client_that_is_made_on_import_is_found(source: str) -> None:
    assert [rule for rule, _ in broken("api/a.py", source)] == ["client on import"]


@pytest.mark.parametrize(
    "source", ["def f():\n    sqlite3.connect('x')", "make = lambda: sqlite3.connect('x')"]
)
def test_a_client_that_is_made_when_asked_for_is_not(source: str) -> None:
    assert broken("api/a.py", source) == []


AUDITED = """
import importlib, sys
seen = []
def hook(event, args):
    if event in {"socket.connect", "sqlite3.connect"}:
        seen.append(event)
sys.addaudithook(hook)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(seen)
"""


def test_importing_everything_opens_no_connection() -> None:
    modules = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removeprefix("src.")
        for file in files()
        if file.name not in {"__init__.py", "__main__.py"}
    ]
    told = subprocess.run(
        [sys.executable, "-c", AUDITED, *modules], capture_output=True, text=True, check=True
    )
    assert told.stdout == "[]\n"
    assert len(modules) > 100
