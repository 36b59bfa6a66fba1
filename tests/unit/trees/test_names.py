"""The logs' names, what their checkpoints say beside the root, and the key that signs them."""

import base64
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from device_ledger.keyfile import KeyLoadingError
from device_ledger.proofs import Checkpoint, CheckpointError, Signer
from device_ledger.settings import Settings
from device_ledger.trees.names import (
    ensure_log_key,
    log_of,
    origin_of,
    position_line,
    position_of,
    signer_of,
)

SEED = bytes(range(32))
TEXT = SecretStr(base64.b64encode(SEED).decode())


def public(settings: Settings) -> bytes | None:
    signer = signer_of(settings, "ledger-1", "events")
    return signer.verifier.public if signer else None


def test_a_logs_name_is_of_one_ledger_and_tells_the_log() -> None:
    assert origin_of("ledger-1", "access") == "device-ledger/ledger-1/access"
    assert log_of(origin_of("ledger-1", "access")) == "access"


def test_a_checkpoint_tells_how_far_its_log_is_followed() -> None:
    lines = ("other", position_line(48213))
    assert position_of(Checkpoint("log", 1, bytes(32), lines)) == 48213


@pytest.mark.parametrize(
    "lines",
    [(), ("position",), ("position x",), ("position ²",), (f"position {'9' * 5000}",)],
    ids=range(5),
)
def test_a_checkpoint_without_a_position_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(CheckpointError):
        position_of(Checkpoint("log", 1, bytes(32), lines))


def test_the_key_of_a_new_home_is_private_and_stays(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert public(settings) is None
    ensure_log_key(settings)
    made = public(settings)
    ensure_log_key(settings)
    assert public(settings) == made is not None
    assert stat.S_IMODE((tmp_path / "keys" / "log.key").stat().st_mode) == 0o600


def test_a_key_of_the_settings_is_taken_and_none_is_made_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(TEXT.get_secret_value())
    expected = Signer("any", SEED).verifier.public
    for settings in (
        Settings(home=tmp_path, log_key=TEXT),
        Settings(home=tmp_path, log_key_file=file),
    ):
        ensure_log_key(settings)
        assert public(settings) == expected
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("given", [{"log_key": SecretStr("short")}, {"log_key_file": "nowhere"}])
def test_a_key_that_can_not_be_used_is_refused_at_once(
    tmp_path: Path, given: dict[str, object]
) -> None:
    with pytest.raises(KeyLoadingError):
        ensure_log_key(Settings(home=tmp_path, **given))  # type: ignore[arg-type]
