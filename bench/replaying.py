"""``python -m bench.replaying ARCHIVE FROM TO ROUNDS RULE…``: replays in a process of their own.

Prints JSON: what each rule took, its alerts, and the most memory that the process had.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from projections.archive.tail import Tail
from projections.detection.engine import open_engine
from projections.detection.rules import Rule, load_rules
from projections.replay.replaying import Range, replay
from projections.replay.running import MEMORY

THREADS = 2


def measured(tail: Tail, rule: Rule, asked: Range, rounds: int) -> dict[str, Any]:
    """Replay one rule so many times."""
    seconds, cpu = [], []
    for _ in range(rounds):
        begun, used = time.perf_counter(), time.process_time()
        entries, found = replay(tail.trail, [rule], asked, lambda _: None)
        seconds.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - used)
    return {
        "rule": rule.name,
        "entries": entries,
        "seconds": seconds,
        "cpu": cpu,
        "alerts": [[alert.completed_by, *alert.evidence] for alert in found],
    }


def main(archive: str, start: str, end: str, rounds: str, *rules: str) -> None:
    """Replay, and tell."""
    folder = Path(archive)
    with (
        tempfile.TemporaryDirectory() as spill,
        open_engine([folder], memory=MEMORY, threads=THREADS, spill=Path(spill)) as engine,
    ):
        tail = Tail(engine, folder)
        asked = Range(start, end)
        told = [
            measured(tail, rule, asked, int(rounds)) for rule in load_rules(list(map(Path, rules)))
        ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mib": peak, "rules": told}))


if __name__ == "__main__":
    main(*sys.argv[1:])
