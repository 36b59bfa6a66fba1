"""What the logs are called, and the key that signs their checkpoints."""

from typing import Final

from device_ledger.keyfile import create_key, key_path, load_key
from device_ledger.proofs import Checkpoint, CheckpointError, Signer
from device_ledger.settings import Settings
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG

LOGS: Final = (EVENTS_LOG, ACCESS_LOG)

_POSITION: Final = "position "
_DIGITS_MAX: Final = 19


def origin_of(ledger_id: str, log: str) -> str:
    """The log's name in its checkpoints, and the name of the key that signs them."""
    return f"device-ledger/{ledger_id}/{log}"


def log_of(origin: str) -> str:
    """The log that an origin names: the part that follows the ledger's ID."""
    return origin.rpartition("/")[2]


def position_line(position: int) -> str:
    """The line of a checkpoint that says how far the log is followed: the id of its last event,
    or for the access log the offset that comes next on its topic."""
    return f"{_POSITION}{position}"


def position_of(checkpoint: Checkpoint) -> int:
    """The position that a checkpoint tells.

    Raises:
        CheckpointError: it tells none.
    """
    for line in checkpoint.extensions:
        number = line.removeprefix(_POSITION)
        is_number = number.isascii() and number.isdigit() and len(number) <= _DIGITS_MAX
        if line.startswith(_POSITION) and is_number:
            return int(number)
    raise CheckpointError("the checkpoint has no line: position NUMBER")


def signer_of(settings: Settings, ledger_id: str, log: str) -> Signer | None:
    """The signer of a log by the key of the settings or of the home; ``None`` where there is none.

    Raises:
        KeyLoadingError: the key can't be used.
    """
    seed = load_key("log", settings.log_key, settings.log_key_file, settings.home)
    return None if seed is None else Signer(origin_of(ledger_id, log), seed)


def ensure_log_key(settings: Settings) -> None:
    """Make the logs' key below the home, where no setting names one and there is none.

    Raises:
        KeyLoadingError: it can't be made, or can't be used.
    """
    if not settings.log_key.get_secret_value() and settings.log_key_file is None:
        path = key_path(settings.home, "log")
        if not path.exists():
            create_key(path)
    load_key("log", settings.log_key, settings.log_key_file, settings.home)
