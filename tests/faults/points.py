"""The steps at which a process can be made to fail, told from the code itself.

A fault point lies before each statement that does something (calls, awaits, gives its turn away)
in the functions named here, but for those that only follow an error. A process that is started by
`tests.faults.launcher` stops at each for as long as it takes to ask what is to happen there.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

HOOK: Final = "__fault_point__"
"""The builtin that an instrumented step calls with its name."""

_COMMIT: Final = {
    "device_ledger.ledger.group_commit": ("GroupCommit._try",),
    "device_ledger.ledger.attempt": ("Attempt.decide", "Attempt.append"),
    "device_ledger.ledger.sqlite_store": (
        "DurableConnection.transaction",
        "SQLiteLedgerRecorder.append",
        "SQLiteLedgerRecorder._write",
    ),
    "device_ledger.ledger.postgres_store": (
        "PostgresLedgerRecorder.append",
        "PostgresLedgerRecorder._write_events",
        "PostgresLedgerRecorder._write_receipts",
    ),
}
_RELAY: Final = {
    "device_ledger.relay.tails": ("open_reader", "read_tails"),
    "device_ledger.relay.relay": (
        "_session",
        "_throw_away",
        "Session.run",
        "Session._produce",
        "Session._check_topic",
    ),
}
_APPLY: Final = {
    "projections.projector": (
        "Projector._transact",
        "Projector._fold",
        "Projector._append",
    ),
    "projections.catching_up": ("CatchUp._take",),
    "projections.sqlite_store": (
        "SqliteGeneration.transaction",
        "SqliteTransaction.move",
    ),
    "projections.postgres_store": (
        "PostgresGeneration.transaction",
        "PostgresTransaction.move",
    ),
}
_OFFSETS: Final[dict[str, tuple[str, ...]]] = {
    "streams.feed": ("feed", "_apply"),
    "streams.worker": ("Worker._begin", "Worker._commit_standings"),
}
PHASES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "commit": _COMMIT,
    "relay": _RELAY,
    "apply": _APPLY,
    "offsets": _OFFSETS,
}
"""The functions whose steps are fault points, by module, for each phase of an event's way."""

PROCESS_OF: Final = {"commit": "api", "relay": "relay", "apply": "streams", "offsets": "streams"}

AT_RESTART: Final = frozenset(
    (
        *("open_reader", "read_tails", "_session", "_throw_away"),
        *("Worker._begin", "Worker._commit_standings", "feed"),
    )
)
"""Functions that run where a process begins or ends."""


@dataclass(frozen=True, order=True)
class Point:
    """A step: the ``number``-th of a function, from 1, and the line that follows it."""

    phase: str
    module: str
    function: str
    number: int
    line: int
    text: str

    @property
    def name(self) -> str:
        """What it is called in files and on the screen."""
        return f"{self.module}:{self.function}:{self.number}"

    @property
    def process(self) -> str:
        """The kind of process that comes by."""
        return PROCESS_OF[self.phase]

    @property
    def at_restart(self) -> bool:
        """Whether a process only comes by where it begins or ends."""
        return self.function in AT_RESTART

    def is_of(self, store: str) -> bool:
        """Whether a system whose stores are ``sqlite`` or ``postgresql`` comes by."""
        other = {"sqlite": "postgres", "postgresql": "sqlite"}[store]
        return f"{other}_store" not in self.module


def all_points() -> list[Point]:
    """Every fault point, in the order of an event's way."""
    return [
        point
        for module in watched()
        for point in points_in(module, source_file(module).read_text())
    ]


def watched() -> dict[str, tuple[str, ...]]:
    """The functions that have fault points, by module."""
    return {module: names for modules in PHASES.values() for module, names in modules.items()}


def source_file(module: str) -> Path:
    """Where a module's source is."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


def instrumented(source: str, module: str) -> ast.Module:
    """A module's code in which each step first calls the hook."""
    tree = ast.parse(source)
    for function in watched()[module]:
        for number, (body, at) in enumerate(_steps(_function(tree, function)), 1):
            call = ast.parse(f"{HOOK}({f'{module}:{function}:{number}'!r})").body[0]
            body.insert(body.index(at), ast.copy_location(call, at))
    return ast.fix_missing_locations(tree)


def points_in(module: str, source: str) -> Iterator[Point]:
    """The points of a module, were this its source."""
    tree, lines = ast.parse(source), source.splitlines()
    phase = next(phase for phase, modules in PHASES.items() if module in modules)
    for function in watched()[module]:
        for number, (_, at) in enumerate(_steps(_function(tree, function)), 1):
            yield Point(phase, module, function, number, at.lineno, lines[at.lineno - 1].strip())


def _function(tree: ast.Module, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    found: ast.AST = tree
    for part in name.split("."):
        [found] = [
            node
            for node in ast.iter_child_nodes(found)
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name == part
        ]
    assert isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef)
    return found


def _steps(node: ast.stmt) -> list[tuple[list[ast.stmt], ast.stmt]]:
    """The statements that do something, in order, each with the block that it stands in."""
    found = []
    for field in ("body", "orelse", "finalbody"):
        block: list[ast.stmt] = getattr(node, field, [])
        for statement in block:
            if _does_something(statement):
                found.append((block, statement))
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found += _steps(statement)
    return found


def _does_something(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    blocks = {"body", "orelse", "finalbody", "handlers"}
    own = [value for field, value in ast.iter_fields(statement) if field not in blocks]
    nodes = [it for value in own for it in (value if isinstance(value, list) else [value])]
    return any(
        isinstance(inner, ast.Call | ast.Await | ast.Yield)
        for node in nodes
        if isinstance(node, ast.AST)
        for inner in ast.walk(node)
    )
