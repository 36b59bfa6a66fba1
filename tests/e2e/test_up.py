"""``device-ledger up``: one command, the whole circle, and nothing left behind."""

import fcntl
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.up import Up, environment_of, running

NAMES = ["broker", "api", "relay", "streams", "detector"]


def token(greeting: str, kind: str) -> str:
    found = re.search(rf"^{kind}_TOKEN=(\S+)$", greeting, re.MULTILINE)
    assert found is not None
    return found[1]


def walk(greeting: str) -> list[tuple[int, object]]:
    """Make the calls that the greeting prints."""
    found = re.search(r"http://127\.0\.0\.1:\d+", greeting)
    assert found is not None
    bank, merchant, user, security = (
        {"Authorization": f"Bearer {token(greeting, kind)}"}
        for kind in ("BANK", "MERCHANT", "USER", "SECURITY")
    )
    link = {"customerId": "customer-1", "phrase": "blue heron at dusk", "deviceId": "phone-1"}
    with httpx.Client(base_url=found[0], timeout=30) as client:
        linked = client.post("/v1/bank/customer/device/link", json=link, headers=bank)
        seen = {"Ledger-Min-Position": linked.headers["Ledger-Position"]}
        looked_up = client.post(
            "/v1/customer/device/lookup", json={"deviceId": "phone-1"}, headers=merchant | seen
        )
        listed = client.get("/settings/devices", headers=user | seen)
        searched = client.post(
            "/v1/security/audit/search",
            json={"bankId": "demo-bank", "types": ["device.linked.v1"]},
            headers=security | seen,
        )
    return [
        (linked.status_code, linked.json()["message"]),
        (looked_up.status_code, looked_up.json()["data"]["phrase"]),
        (listed.status_code, [device["deviceId"] for device in listed.json()]),
        (searched.status_code, [entry["customerId"] for entry in searched.json()["entries"]]),
    ]


WALKED = [
    (200, "Device linked successfully"),
    (200, "blue heron at dusk"),
    (200, ["phone-1"]),
    (200, ["customer-1"]),
]


def leftovers(home: Path) -> list[psutil.Process]:
    """Processes that still work on a home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DEVICE_LEDGER_HOME") == str(home):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.timeout(600)
def test_a_killed_child_comes_back_and_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        greeting = up.greeting()
        assert walk(greeting) == WALKED
        for name in ("relay", "broker"):
            killed = up.pid(name)
            psutil.Process(killed).kill()
            while up.pid(name) in {0, killed}:
                up.wait(0.1)
        assert walk(greeting) == WALKED
        assert up.interrupt() == 0
    assert leftovers(tmp_path) == []
    left = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert left == ["simulated-networks.csv", "up.lock"]


@pytest.mark.timeout(600)
def test_a_killed_up_takes_its_children_along_and_the_next_goes_on(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        assert walk(up.greeting()) == WALKED
        children = [psutil.Process(up.pid(name)) for name in NAMES]
        java = children[0].children()
        up.process.kill()
        up.process.communicate()
        with running(tmp_path) as another:
            greeting = another.greeting()
            assert psutil.wait_procs([*children, *java], timeout=0)[1] == []
            assert walk(greeting) == WALKED


def test_a_port_in_use_is_one_line_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for setting in ("DEVICE_LEDGER_PORT", "DEVICE_LEDGER_BROKER_PORT"):
            code, errors = Up(tmp_path, **{setting: str(port)}).failure()
            assert code == 2
            assert re.fullmatch(
                rf"device-ledger: port {port} of 127\.0\.0\.1 is taken: set {setting} .*\n", errors
            )
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_home_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    home = tmp_path / "file" / "home"
    assert Up(home).failure() == (
        2,
        f"device-ledger: {home} can't be written: Not a directory\n",
    )


def test_a_second_up_on_a_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / "up.lock").open("w") as lock:
        lock.write(str(os.getpid()))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert Up(tmp_path).failure() == (
            2,
            f"device-ledger: `up` runs on {tmp_path} already, as process {os.getpid()}\n",
        )


def test_a_machine_without_java_is_told_what_to_do(tmp_path: Path) -> None:
    # As on Linux for ARM, where the wheel has no Java.
    script = (
        "import device_ledger.java as java\n"
        "java.find_spec = lambda name: None\n"
        "from device_ledger.cli.main import app; app(['up'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment_of(tmp_path) | {"PATH": "", "JAVA_HOME": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        2,
        (
            "device-ledger: no Java 17 or newer: set JAVA_HOME to one, "
            "or KAFKA_BOOTSTRAP_SERVERS to a broker\n"
        ),
    )


def test_the_embedded_issuer_serves_no_other_address_than_loopback(tmp_path: Path) -> None:
    code, errors = Up(tmp_path, DEVICE_LEDGER_HOST="0.0.0.0").failure()
    assert (code, errors) == (
        2,
        (
            "device-ledger: without DEVICE_LEDGER_ISSUER the API binds to loopback only, "
            "not to 0.0.0.0\n"
        ),
    )
