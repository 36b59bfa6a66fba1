"""The house's rules that no linter has: each gives its findings in one source file."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

FUNCTION_LINES_MAX = 40
FILE_LINES_MAX = 300

CLOCKS = frozenset(("time", "random", "secrets"))
CLOCK_CALLS = frozenset(
    ("now", "utcnow", "today", "monotonic", "perf_counter", "uuid1", "uuid4", "uuid7", "urandom")
)
CLIENTS = frozenset(
    (
        *("connect", "create_pool", "ConnectionPool", "AsyncConnectionPool", "AsyncClient"),
        *("AIOKafkaAdminClient", "AIOKafkaConsumer", "AIOKafkaProducer", "ClientSession"),
        *("App", "FastAPI", "Popen", "urlopen", "create_server", "create_connection"),
    )
)
COMMITTERS = (
    "src/device_ledger/ledger/",
    "src/device_ledger/vault/",
    "src/device_ledger/relay/lease.py",
    "src/device_ledger/trees/database.py",
    "projections/sqlite_store.py",
    "projections/postgres_store.py",
    "projections/projector.py",
    "projections/rebuild.py",
)


@dataclass(frozen=True, order=True)
class Finding:
    """What breaks which rule, and where; ``size`` counts lines, for rules of size.

    ``line`` helps to find it and is no part of what it is: other code moves it.
    """

    rule: str
    where: str
    size: int = 0
    line: int = field(default=0, compare=False)


def findings(path: str, source: str) -> Iterator[Finding]:
    """All findings in one file; ``path`` is the one in the checkout, with slashes."""
    tree = ast.parse(source)
    yield from _sizes(path, source, tree)
    if "/domain/" in path or PurePosixPath(path).name == "apply.py":
        yield from _clocks(path, tree)
    if not path.startswith(COMMITTERS):
        yield from _commits(path, tree)
    yield from _clients_on_import(path, tree)


def _sizes(path: str, source: str, tree: ast.Module) -> Iterator[Finding]:
    lines = len(source.splitlines())
    if lines > FILE_LINES_MAX:
        yield Finding("file length", path, lines)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield Finding("function length", f"{path}::{node.name}", length, node.lineno)


def _clocks(path: str, tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) if CLOCKS & {it.name.split(".")[0] for it in names}:
                yield Finding("clock or chance", path, line=node.lineno)
            case ast.ImportFrom(module=str(module), names=names) if module.split(".")[
                0
            ] in CLOCKS or CLOCK_CALLS & {it.name for it in names}:
                yield Finding("clock or chance", path, line=node.lineno)
            case ast.Call(func=ast.Attribute(attr=name)) if name in CLOCK_CALLS:
                yield Finding("clock or chance", path, line=node.lineno)


def _commits(path: str, tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="commit")):
                yield Finding("commit", path, line=node.lineno)
            case ast.Constant(value=str(text)) if text.strip().rstrip(";").upper() == "COMMIT":
                yield Finding("commit", path, line=node.lineno)


def _clients_on_import(path: str, tree: ast.Module) -> Iterator[Finding]:
    for node in _run_on_import(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in CLIENTS:
                yield Finding("client on import", path, line=node.lineno)


def _run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: not the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Lambda):
            continue
        yield child
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in (*child.decorator_list, child.args):
                yield part
                yield from _run_on_import(part)
        else:
            yield from _run_on_import(child)
