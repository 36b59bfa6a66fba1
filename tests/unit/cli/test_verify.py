"""``device-ledger verify`` and ``log``: what is asked wrongly, and what a file must hold."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from device_ledger.cli.main import app
from device_ledger.proofs import Checkpoint, Signer, leaf_hash, root, sign_checkpoint
from device_ledger.settings import settings
from device_ledger.trees.store import Leaf, Standing, TreeStore
from device_ledger.wire.trail import EVENTS_LOG
from projections.archive.make import write_archive
from tests.samples.events import linked, value_of

EVENTS = Signer("device-ledger/x/events", bytes(range(32)))
ACCESS = Signer("device-ledger/x/access", bytes(range(32)))
KEY = str(EVENTS.verifier)
EXACT = [value_of(linked(number)) for number in (3, 4, 9)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an archive of three events, and nothing else."""
    monkeypatch.setenv("DEVICE_LEDGER_HOME", str(tmp_path))
    settings.cache_clear()
    write_archive(tmp_path / "archive", EXACT)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def notes(*sizes: int) -> str:
    """Checkpoints of the events, after one of the access log."""
    other = sign_checkpoint(Checkpoint(ACCESS.verifier.name, 7, bytes(32)), [ACCESS])
    return "".join([other, *map(signed, sizes)])


def signed(size: int) -> str:
    """The checkpoint of the first events."""
    hashes = [leaf_hash(value) for value in EXACT]
    return sign_checkpoint(Checkpoint(EVENTS.verifier.name, size, root(hashes[:size])), [EVENTS])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--source", "store", "--log", "access"), "the event store keeps no access records"),
        (("--source", "topic", "--archive", "x"), "--archive goes with --source archive"),
        ((), "no log is kept here: give --checkpoint FILE and --key KEY"),
        (("--key", KEY), "no log is kept here: give --checkpoint FILE"),
        (("--key", "key", "--checkpoint", "x"), "--key: not a verifier key of Ed25519"),
        (("--key", KEY, "--checkpoint", "nowhere"), "cannot read nowhere: No such file"),
    ],
)
def test_what_is_asked_wrongly_is_told_in_one_line(words: tuple[str, ...], told: str) -> None:
    result = run("verify", *words)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert told in result.stderr


def test_a_file_of_many_checkpoints_of_both_logs_verifies_the_log_that_is_asked_for(
    home: Path,
) -> None:
    kept = home / "kept.txt"
    kept.write_text(notes(3, 1, 2))
    result = run("verify", "--checkpoint", str(kept), "--key", KEY)
    assert (result.exit_code, result.stdout.partition(",")[0]) == (0, "Whole: 3 records")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (notes(), "holds no checkpoint of the events log"),
        ("", "holds no checkpoint of the events log"),
        ("no note\n", "not a signed note"),
        (notes(2).replace("\n2\n", "\n3\n"), "the checkpoint of 3 leaves doesn't hold"),
        (
            sign_checkpoint(Checkpoint(EVENTS.verifier.name, 4, bytes(32)), [EVENTS]),
            "1 of the records that were signed are missing at the end",
        ),
        (
            sign_checkpoint(Checkpoint(EVENTS.verifier.name, 2, bytes(32)), [EVENTS]),
            "the log is not the one that was signed: from the first one up to event",
        ),
    ],
)
def test_a_file_that_does_not_hold_is_told_in_one_line(home: Path, content: str, told: str) -> None:
    kept = home / "kept.txt"
    kept.write_text(content)
    result = run("verify", "--checkpoint", str(kept), "--key", KEY)
    assert result.exit_code == 1
    assert told in result.stderr.splitlines()[-1]


def test_an_event_that_the_archive_lacks_may_be_on_its_way_where_it_is_written(home: Path) -> None:
    trees = TreeStore.open(settings())
    trees.prepare()
    trees.set_verifier(EVENTS_LOG, KEY)
    leaves = [Leaf(leaf_hash(value), str(n)) for n, value in zip((3, 4, 9), EXACT, strict=True)]
    trees.append(EVENTS_LOG, Standing(), leaves, 9, lambda _: signed(3))
    trees.close()
    write_archive(home / "archive", [EXACT[0], EXACT[2]])
    kept = home / "kept.txt"
    kept.write_text(notes(3))
    told = [
        run("verify", *words).stderr.splitlines()[-1]
        for words in ((), ("--checkpoint", str(kept), "--key", KEY))
    ]
    assert told == [
        "device-ledger: event 4 is missing, or is not in the archive yet: verify again in a minute",
        "device-ledger: event 4 is missing",
    ]


def test_an_archive_that_is_not_there_is_told(home: Path) -> None:
    kept = home / "kept.txt"
    kept.write_text(notes(1))
    given = ("--checkpoint", str(kept), "--key", KEY, "--archive", str(home / "nowhere"))
    result = run("verify", *given)
    assert result.exit_code == 1
    assert "there is no archive of the events log in" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("words", [("log", "key"), ("log", "checkpoints", "access", "--all")])
def test_where_no_log_is_kept_there_is_nothing_to_print(words: tuple[str, ...]) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no log is kept here" in result.stderr
