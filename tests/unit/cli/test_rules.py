"""``device-ledger rules`` as a user calls it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from device_ledger.cli.main import app
from device_ledger.settings import settings

RULES = Path(__file__).parents[3] / "rules"


@pytest.fixture(autouse=True)
def read_anew() -> Iterator[None]:
    """Settings are read once a process: here once a test."""
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with two of the rules."""
    for name in ("device-burst.yml", "tampering.yml"):
        shutil.copy(RULES / name, tmp_path / name)
    return tmp_path


def run(folder: Path, *words: str) -> Result:
    env = {"DEVICE_LEDGER_RULES": str(folder), "COLUMNS": "200"}
    return CliRunner().invoke(app, ["rules", *words], env=env)


def test_the_rules_of_the_setting_are_listed(folder: Path) -> None:
    result = run(folder, "list")
    lines = [line.split("│") for line in result.stdout.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in line[1:-1]] for line in lines] == [
        ["device-burst", "high", "events", "2 h", "Burst of devices at one customer"],
        ["tampering", "critical", "events and access", "-", "The history was tampered with"],
    ]


def test_all_tests_pass(folder: Path) -> None:
    result = run(folder, "test")
    assert (result.exit_code, result.stdout) == (0, "9 passed, 0 failed\n")


def test_a_failing_test_is_shown_and_the_exit_code_is_1(folder: Path) -> None:
    file = folder / "device-burst.yml"
    file.write_text(file.read_text().replace("gte: 6", "gte: 5"))
    result = run(folder, "test", str(file))
    assert result.exit_code == 1
    assert "missing: user_id user after 0:50:00 with 6" in result.stdout
    assert "unwanted: user_id user after 0:40:00 with 5" in result.stdout
    assert result.stdout.endswith("1 passed, 4 failed\n")


def test_a_rule_without_tests_fails(folder: Path) -> None:
    file = folder / "tampering.yml"
    file.write_text(file.read_text().partition("tests:")[0])
    result = run(folder, "test", str(file))
    assert (result.exit_code, "has no tests" in result.stdout) == (1, True)


def test_nothing_speaks_against_good_rules(folder: Path) -> None:
    result = run(folder, "lint")
    assert (result.exit_code, result.stdout) == (0, "0 remarks\n")


def test_what_speaks_against_a_rule_is_told_with_the_exit_code_1(folder: Path) -> None:
    file = folder / "tampering.yml"
    file.write_text(
        file.read_text().replace("condition: check", "condition: check\n  more: {type: a}")
    )
    result = run(folder, "lint")
    assert result.exit_code == 1
    assert "Rule defines detection that is not referenced from condition" in result.stdout


@pytest.mark.parametrize("command", ["list", "test", "lint"])
def test_a_file_that_is_no_rule_is_told_in_one_line(folder: Path, command: str) -> None:
    (folder / "broken.yml").write_text("title: [")
    result = run(folder, command)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"device-ledger: {folder}/broken.yml: no YAML: ")
    assert len(result.stderr.splitlines()) == 1


def test_an_empty_directory_and_one_that_is_not_there_are_told(tmp_path: Path) -> None:
    assert run(tmp_path, "test").stderr == f"device-ledger: {tmp_path}: no rule there (*.yml)\n"
    missing = tmp_path / "missing"
    assert run(tmp_path, "list", str(missing)).stderr == (
        f"device-ledger: {missing}: there is no such file or directory\n"
    )
