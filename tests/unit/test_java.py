"""The broker's Java is the wheel's; else the machine's, where it is new enough."""

import os
from pathlib import Path

import pytest

from device_ledger import java
from device_ledger.java import find_java, java_version
from device_ledger.kafka_jars import BrokerError


def java_that_says(folder: Path, version: str) -> Path:
    """A program that answers ``-version`` as a Java of that version does."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2021-09-14' >&2\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def without_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Linux for ARM, which the wheel has no Java for."""
    monkeypatch.setattr(java, "find_spec", lambda _name: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)


@pytest.mark.parametrize(("said", "major"), [("1.8.0_402", 8), ("17.0.15", 17), ("25", 25)])
def test_the_major_version_is_read_in_old_and_new_notation(
    tmp_path: Path, said: str, major: int
) -> None:
    assert java_version(java_that_says(tmp_path, said)) == major


def test_what_is_no_java_has_no_version(tmp_path: Path) -> None:
    assert java_version(tmp_path / "java") == 0


@pytest.mark.usefixtures("without_the_wheel")
def test_java_home_goes_before_path_but_only_where_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = java_that_says(tmp_path / "old", "11.0.2"), java_that_says(tmp_path / "new", "21")
    monkeypatch.setenv("PATH", f"{new.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("JAVA_HOME", str(old.parent.parent))
    assert find_java() == new


@pytest.mark.usefixtures("without_the_wheel")
def test_java_home_alone_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = java_that_says(tmp_path, "17.0.1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert find_java() == found


@pytest.mark.usefixtures("without_the_wheel")
def test_a_java_that_is_too_old_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = java_that_says(tmp_path, "16.0.2")
    monkeypatch.setattr("shutil.which", lambda _name: str(old))
    with pytest.raises(BrokerError, match="no Java 17 or newer: set JAVA_HOME"):
        find_java()
