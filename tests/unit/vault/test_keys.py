import base64
import stat
from pathlib import Path

import pytest

from device_ledger.keyfile import KeyLoadingError
from device_ledger.settings import Settings
from device_ledger.vault.keys import (
    MasterKey,
    load_keys,
    load_or_create_keys,
)

KEY = bytes(range(32))
TEXT = base64.b64encode(KEY).decode()
OTHER_TEXT = base64.b64encode(bytes(32)).decode()


@pytest.fixture(autouse=True)
def _no_keys_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_KEY", "MASTER_KEY_FILE", "TOKEN_KEY", "TOKEN_KEY_FILE"):
        monkeypatch.delenv(f"DEVICE_LEDGER_{name}", raising=False)


def settings_of(home: Path, **values: object) -> Settings:
    return Settings.model_validate({"home": home, **values})


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_come_from_the_settings(tmp_path: Path) -> None:
    keys = load_keys(settings_of(tmp_path, master_key=TEXT, token_key=OTHER_TEXT))
    other = load_keys(settings_of(tmp_path, master_key=OTHER_TEXT, token_key=TEXT))
    assert keys.masters.ids != other.masters.ids
    assert keys.token.device("d") != other.token.device("d")


def test_keys_come_from_files(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(TEXT + "\n")
    keys = load_keys(settings_of(tmp_path, master_key_file=file, token_key_file=file))
    assert keys.masters.ids == [MasterKey(KEY).id]


def test_keys_made_for_a_new_home_are_private_and_stay(tmp_path: Path) -> None:
    made = load_or_create_keys(tmp_path)
    again, loaded = load_or_create_keys(tmp_path), load_keys(settings_of(tmp_path))
    assert made.masters.ids == again.masters.ids == loaded.masters.ids
    assert made.token.id == again.token.id == loaded.token.id
    assert made.token.id != load_or_create_keys(tmp_path / "another").token.id
    folder = tmp_path / "keys"
    assert {path.name for path in folder.iterdir()} == {"master.key", "token.key"}
    assert {mode_of(path) for path in folder.iterdir()} == {0o600}
    assert mode_of(folder) == 0o700


@pytest.mark.parametrize("room", ["ledger", "vault"])
@pytest.mark.parametrize("lost", ["token", "master"])
def test_a_lost_key_is_not_made_anew_where_data_needs_it(
    tmp_path: Path, room: str, lost: str
) -> None:
    load_or_create_keys(tmp_path)
    (tmp_path / room).mkdir()
    (tmp_path / room / "some.db").touch()
    (tmp_path / "keys" / f"{lost}.key").unlink()
    with pytest.raises(KeyLoadingError, match=rf"{lost}.key is missing.*restore it"):
        load_or_create_keys(tmp_path)
    assert not (tmp_path / "keys" / f"{lost}.key").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "no master key: set DEVICE_LEDGER_MASTER_KEY or DEVICE_LEDGER_MASTER_KEY_FILE"),
        ({"master_key": TEXT}, "no token key: set DEVICE_LEDGER_TOKEN_KEY"),
        ({"master_key": "c2VjcmV0"}, "DEVICE_LEDGER_MASTER_KEY is not the base64 of 32 bytes"),
        ({"master_key": "*secret*"}, "DEVICE_LEDGER_MASTER_KEY is not the base64 of 32 bytes"),
        ({"master_key": TEXT, "master_key_file": "f"}, "are both set"),
        ({"master_key_file": "absent"}, "cannot read the master key absent: No such file"),
    ],
)
def test_a_missing_or_bad_key_is_one_clear_line(
    tmp_path: Path, values: dict[str, str], message: str
) -> None:
    with pytest.raises(KeyLoadingError, match=message) as raised:
        load_keys(settings_of(tmp_path, **values))
    line = str(raised.value)
    assert "\n" not in line
    assert not any(secret in line for secret in ("secret", "c2VjcmV0", TEXT))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "master.key").write_bytes(bytes(range(128, 160)))
    with pytest.raises(KeyLoadingError, match="is not the base64 of 32 bytes"):
        load_keys(settings_of(tmp_path))


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "keys").touch()
    with pytest.raises(KeyLoadingError, match="cannot write the key"):
        load_or_create_keys(tmp_path)


def test_a_wrapped_key_opens_for_its_customer_and_generation_only() -> None:
    master = MasterKey(KEY)
    wrapped = master.wrap(b"k" * 32, "bank-a", "user-1", 1)
    assert master.unwrap(wrapped, "bank-a", "user-1", 1) == b"k" * 32
    assert master.wrap(b"k" * 32, "bank-a", "user-1", 1) != wrapped
    for place in [("bank-b", "user-1", 1), ("bank-a", "user-2", 1), ("bank-a", "user-1", 2)]:
        with pytest.raises(ValueError, match="does not open"):
            master.unwrap(wrapped, *place)
    with pytest.raises(ValueError, match="does not open"):
        MasterKey(bytes(32)).unwrap(wrapped, "bank-a", "user-1", 1)


def test_a_master_key_shows_its_id_only() -> None:
    shown = f"{MasterKey(KEY)!r} {MasterKey(KEY)}"
    assert shown == f"MasterKey({MasterKey(KEY).id}) MasterKey({MasterKey(KEY).id})"
    assert KEY.hex() not in shown
