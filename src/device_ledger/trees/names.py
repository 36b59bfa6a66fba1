"""What the logs are called, and the key that signs their checkpoints."""

from typing import Final

from device_ledger.keyfile import create_key, key_path, load_keys
from device_ledger.proofs import Checkpoint, CheckpointError, Signer
from device_ledger.settings import Settings
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG

LOGS: Final = (EVENTS_LOG, ACCESS_LOG)

_POSITION: Final = "position "
_DIGITS_MAX: Final = 19


def origin_of(ledger_id: str, log: str, epoch: int = 1) -> str:
    """The log's name in its checkpoints, and the name of the key that signs them.

    Each epoch has an events log of its own, since it is not the one before, grown.
    """
    return f"device-ledger/{ledger_id}{f':{epoch}' if epoch > 1 else ''}/{log}"


def name_of_epoch(log: str, epoch: int) -> str:
    """The name that a tree is kept under once its epoch is over."""
    return f"{log}:{epoch}"


def epoch_of(origin: str) -> tuple[str, int]:
    """The ledger and the epoch that an origin names."""
    _, _, named = origin.rpartition("/")[0].rpartition("/")
    ledger_id, _, epoch = named.partition(":")
    is_number = epoch.isascii() and epoch.isdigit() and len(epoch) <= _DIGITS_MAX
    return ledger_id, int(epoch) if is_number else 1


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


def signers_of(settings: Settings, ledger_id: str, log: str, epoch: int = 1) -> list[Signer]:
    """The signers of a log by the keys of the settings or of the home, the newest last: none,
    one, or two while one key is exchanged for another.

    Raises:
        KeyLoadingError: a key can't be used.
    """
    seeds = load_keys("log", settings.log_key, settings.log_key_file, settings.home)
    return [Signer(origin_of(ledger_id, log, epoch), seed) for seed in seeds]


def signer_of(settings: Settings, ledger_id: str, log: str, epoch: int = 1) -> Signer | None:
    """The newest signer of a log; ``None`` where there is no key.

    Raises:
        KeyLoadingError: a key can't be used.
    """
    signers = signers_of(settings, ledger_id, log, epoch)
    return signers[-1] if signers else None


def ensure_log_key(settings: Settings) -> None:
    """Make the logs' key below the home, where no setting names one and there is none.

    Raises:
        KeyLoadingError: it can't be made, or can't be used.
    """
    if not settings.log_key.get_secret_value() and settings.log_key_file is None:
        path = key_path(settings.home, "log")
        if not path.exists():
            create_key(path)
    load_keys("log", settings.log_key, settings.log_key_file, settings.home)
