"""``python -m bench.rebuilding BROKERS PROCESSES HOME``: one rebuild of the lookup.

A process of its own, as ``device-ledger rebuild`` is; the store is the environment's. Prints JSON:
wall and CPU seconds from the call until the new generation is live, those of all its processes, and
the linked devices in it.
"""

import asyncio
import json
import os
import resource
import sqlite3
import sys
import time
from pathlib import Path

import psycopg

from device_ledger.collecting import collect_seldom
from device_ledger.settings import Settings
from projections.lookup.apply import MODEL
from projections.rebuild import rebuild_one
from projections.store import open_store


def linked(settings: Settings) -> int:
    """The rows of the live generation."""
    name, url = open_store(settings).live(MODEL), settings.read_models_url.get_secret_value()
    count = f"SELECT count(*) FROM {f'{name}.' if url else ''}lookup"
    file = settings.home / "read-models" / MODEL.name / f"{name}.db"
    with psycopg.connect(url) if url else sqlite3.connect(file) as connection:
        [found] = connection.execute(count).fetchone() or [0]
    return int(found)


def cpu() -> float:
    """CPU seconds of this process and of those that it started and that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main(brokers: str, processes: str, home: str) -> None:
    """Rebuild, and tell."""
    settings = Settings(home=Path(home), KAFKA_BOOTSTRAP_SERVERS=brokers)
    collect_seldom()
    totals = [0]
    begun, used = time.perf_counter(), cpu()
    asyncio.run(rebuild_one(settings, MODEL, lambda _, total: totals.append(total), int(processes)))
    told = {"seconds": time.perf_counter() - begun, "cpu": cpu() - used, "events": max(totals)}
    print(json.dumps(told | {"linked": linked(settings)}), flush=True)


if __name__ == "__main__":
    os.environ.pop("KAFKA_BOOTSTRAP_SERVERS", None)
    main(*sys.argv[1:])
