"""``device-ledger token`` and the refusals of ``device-ledger api``."""

import socket
from pathlib import Path

import jwt
import pytest
from typer.testing import CliRunner

from device_ledger.cli.main import app
from device_ledger.issuer import EmbeddedIssuer
from device_ledger.settings import DEV_ISSUER, Settings, settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEVICE_LEDGER_HOME", str(tmp_path))
    settings.cache_clear()
    return tmp_path


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.stdout, result.stderr


def test_a_token_is_printed_and_nothing_else(home: Path) -> None:
    code, out, err = run(
        "token", "user", "--bank-id", "b", "--user-id", "u", "--scope", "s t", "--expires", "60"
    )
    assert (code, err, out.count("\n")) == (0, "", 1)
    issuer = EmbeddedIssuer.open(Settings(home=home))
    claims = jwt.decode(
        out.strip(), issuer.public_key, ["EdDSA"], audience="device-ledger", issuer=DEV_ISSUER
    )
    assert (claims["bank_id"], claims["sub"], claims["scope"]) == ("b", "u", "s t")
    assert claims["exp"] - claims["iat"] == 60


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (["bank"], "a bank token needs --bank-id"),
        (["merchant"], "a merchant token needs --merchant-id"),
        (["user"], "a user token needs --bank-id and --user-id"),
        (["user", "--bank-id", "b"], "a user token needs --user-id"),
        (["admin"], "an admin token needs --bank-id"),
    ],
)
def test_what_a_kind_needs_is_said(words: list[str], missing: str) -> None:
    assert run("token", *words) == (2, "", f"device-ledger: {missing}\n")


@pytest.mark.parametrize("expires", ["0", "3601", "soon"])
def test_a_lifetime_beyond_an_hour_is_a_wrong_question(expires: str) -> None:
    assert run("token", "security", "--expires", expires)[0] == 2


@pytest.mark.parametrize("command", ["api", "lookup-node"])
def test_an_api_without_an_issuer_says_so_in_one_line(command: str) -> None:
    words = (
        "device-ledger: no issuer of callers' tokens: set DEVICE_LEDGER_ISSUER,"
        " or use `device-ledger up` to try things out\n"
    )
    assert run(command) == (2, "", words)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_the_embedded_issuer_is_for_loopback_only(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("DEVICE_LEDGER_EMBEDDED_ISSUER", "1")
    monkeypatch.setenv("DEVICE_LEDGER_HOST", host)
    code, _, err = run("api")
    assert (code, err.count("\n")) == (2, 1)
    assert "the embedded issuer serves on loopback only" in err


def test_two_issuers_are_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE_LEDGER_EMBEDDED_ISSUER", "1")
    monkeypatch.setenv("DEVICE_LEDGER_ISSUER", "https://id.example")
    code, _, err = run("api")
    assert (code, err.count("\n")) == (2, 1)
    assert "keep one" in err


def test_a_port_in_use_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("DEVICE_LEDGER_EMBEDDED_ISSUER", "1")
        monkeypatch.setenv("DEVICE_LEDGER_PORT", str(port))
        code, _, err = run("api")
    assert (code, err) == (
        1,
        f"device-ledger: cannot listen on 127.0.0.1:{port}: Address already in use\n",
    )
    assert list(home.iterdir()) == []
