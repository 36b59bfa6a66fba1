"""The image: that what the Dockerfile copies is all that the processes need."""

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COPIED = re.findall(r"^COPY (?!--from)(\S+) \S+$", DOCKERFILE, re.MULTILINE)


def test_what_is_copied_is_in_the_checkout_and_let_through() -> None:
    rules = (ROOT / ".dockerignore").read_text().split()
    let_through = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    assert rules[1] == "*" or "*" in rules
    for name in COPIED:
        assert (ROOT / name).exists()
        assert any(fnmatch(name, rule) for rule in let_through)
    assert sorted(let_through) == sorted(COPIED)


def test_the_processes_start_from_what_is_copied_alone(tmp_path: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
            )
    paths = re.search(r"PYTHONPATH=(\S+)", DOCKERFILE)
    assert paths is not None
    environment = {
        **os.environ,
        "PYTHONPATH": paths[1].replace("/app", str(tmp_path)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    program = (
        "import api.app, streams.worker, device_ledger.relay.relay, device_ledger.cli.main, sys;"
        "rooms = ('api', 'projections', 'streams', 'device_ledger');"
        "print(*{sys.modules[room].__file__ for room in rooms}, sep='\\n')"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=tmp_path,
    )
    assert len(told.stdout.splitlines()) == 4
    assert all(line.startswith(str(tmp_path)) for line in told.stdout.splitlines())


def test_the_image_runs_as_nobody_special_from_hashed_packages() -> None:
    last_stage = DOCKERFILE.rpartition("FROM ")[2]
    assert re.search(r"^USER ledger$", last_stage, re.MULTILINE)
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
