"""The load that throughput is measured with: wrk, a compiled program outside what is measured."""

import itertools
import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.load import UnexpectedAnswerError
from bench.peers import MissingPeerError
from bench.report import note_version

SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_STEP: Final = 7_919
_PATIENCE: Final = "120s"


@dataclass(frozen=True)
class Sent:
    """What a load came to. ``sent`` counts also requests whose answer was not awaited."""

    answers: int
    seconds: float
    sent: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


class Load:
    """Requests in a file, sent in their order; each time from another one on."""

    def __init__(self, file: Path, requests: Sequence[bytes]) -> None:
        if shutil.which("wrk") is None:
            raise MissingPeerError(
                "wrk is not installed: apt-get install wrk, or as your system has it"
            )
        file.write_bytes(b"".join(b"%d\n%b\n" % (len(one), one) for one in requests))
        self._file = file
        self._starts = itertools.count(0, _STEP)
        told = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
        note_version("wrk", told.stdout.split()[1])

    def send(self, port: int, connections: int, seconds: int) -> Sent:
        """Send on kept connections, the next request on one after each answer, for that long.

        Raises:
            UnexpectedAnswerError: an answer was none of success, or there was none.
        """
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={_PATIENCE}"]
        command += [f"--script={SCRIPT}", f"http://127.0.0.1:{port}", "--"]
        command += [str(self._file), str(next(self._starts))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        told = json.loads(done.stdout.splitlines()[-1])
        if told["failed"] or not told["answers"]:
            raise UnexpectedAnswerError(
                f"{told['answers']} answers, {told['failed']} failed requests"
            )
        return Sent(told["answers"], told["microseconds"] / 1e6, told["sent"])
