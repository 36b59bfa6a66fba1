"""``device-ledger`` with fault points: ``python -m tests.faults.launcher WORDS``, for tests only.

What is to happen is in the file that ``FAULT_ORDERS`` names, JSON of `Orders`; it is read at the
start and again on SIGUSR1. Beside it this process notes that it takes the signal (``.pid``), each
point that it comes by (``.reached``), and each fault that it carries out (``.fired``), before it
does so. ``FAULT_MUTANT`` names a change
of the code, of `tests.faults.mutants`.
"""

import builtins
import datetime as dt
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, Final

from tests.faults.mutants import MUTANTS, Mutant
from tests.faults.points import HOOK, instrumented, watched

WITH_A_CLOCK: Final = (
    "device_ledger.ledger.ledger",
    "device_ledger.relay.relay",
    "api.bank.logins",
)
"""Modules whose ``datetime.now`` jumps; ``time.time`` does everywhere."""


class Faults:
    """What is to happen at which point of this process."""

    def __init__(self, orders: Path) -> None:
        self._orders = orders
        self._lock = threading.Lock()
        self._reached: set[str] = set()
        self._hits: Counter[str] = Counter()
        self._due: list[dict[str, Any]] = []
        self.clock = 0.0
        self.read()

    def read(self, *_: FrameType | int | None) -> None:
        """Read the orders anew; counting begins again."""
        try:
            orders = json.loads(self._orders.read_text())
        except FileNotFoundError:
            return
        self._hits.clear()
        self._due = orders["faults"]
        self.clock = orders["clock"]

    def at(self, name: str) -> None:
        """A point is reached: do what is due here."""
        if name not in self._reached:
            self._reached.add(name)
            self.note("reached", name)
        if not self._due:
            return
        with self._lock:
            self._hits[name] += 1
            due = [one for one in self._due if self._is_due(one, name)]
            self._due = [one for one in self._due if one not in due]
        for one in due:
            self.note("fired", name)
            for pid in one["pids"] or [os.getpid()]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.Signals[one["signal"]])

    def _is_due(self, one: dict[str, Any], name: str) -> bool:
        return bool(one["point"] == name and self._hits[name] >= one["hit"])

    def note(self, kind: str, name: str) -> None:
        """Write a line beside the orders, before anything else happens."""
        path = self._orders.with_suffix(f".{kind}")
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, f"{name}\n".encode())
        finally:
            os.close(file)


class Loader(SourceFileLoader):
    """Loads a module with its fault points, its mutation and its clock."""

    mutant: Mutant | None = None
    faults: Faults

    def get_code(self, fullname: str) -> CodeType:
        """Compile it anew: what lies in a cache has no fault points."""
        source = self.get_data(self.path).decode()
        if self.mutant and self.mutant.module == fullname:
            source = self.mutant.applied(source)
        code = instrumented(source, fullname) if fullname in watched() else source
        return compile(code, self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        """Run it, then let its clock jump."""
        super().exec_module(module)
        if module.__name__ in WITH_A_CLOCK:
            vars(module)["datetime"] = _jumping(self.faults)


class Finder(MetaPathFinder):
    """Finds the modules that are to be loaded so."""

    def __init__(self, faults: Faults, mutant: Mutant | None) -> None:
        changed = [mutant.module] if mutant else []
        self._names = {*watched(), *WITH_A_CLOCK, *changed}
        self._loader = type("Loading", (Loader,), {"mutant": mutant, "faults": faults})

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """The usual spec with our loader."""
        if name not in self._names:
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None
        spec.loader = self._loader(name, spec.origin)
        return spec


def _jumping(faults: Faults) -> type[dt.datetime]:
    class Jumping(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return dt.datetime.now(tz) + dt.timedelta(seconds=faults.clock)

    return Jumping


def main() -> None:
    """Run ``device-ledger`` so."""
    faults = Faults(Path(os.environ["FAULT_ORDERS"]))
    setattr(builtins, HOOK, faults.at)
    signal.signal(signal.SIGUSR1, faults.read)
    faults.note("pid", str(os.getpid()))
    mutant = MUTANTS.get(os.environ.get("FAULT_MUTANT", ""))
    sys.meta_path.insert(0, Finder(faults, mutant))
    seconds = time.time
    time.time = lambda: seconds() + faults.clock
    from device_ledger.cli.main import app

    app(prog_name="device-ledger")


if __name__ == "__main__":
    main()
