"""What serves doesn't stop answering to look through what it has had from its start."""

import subprocess
import sys

SERVING = """
import asyncio, gc, socket
from fastapi import FastAPI
from device_ledger.cli.api import server_of

def started():
    print(len(gc.get_objects()), gc.get_freeze_count())
    server.should_exit = True

app = FastAPI()
app.state.ending = asyncio.Event()
server = server_of(app, started)
server.run([socket.create_server(("127.0.0.1", 0))])
"""


def test_what_a_server_has_when_it_starts_is_never_looked_through() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVING], capture_output=True, text=True, timeout=60, check=True
    )
    looked_through, spared = map(int, done.stdout.split())
    assert spared > 10_000 > looked_through
