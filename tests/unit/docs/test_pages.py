"""What the pages of docs say of the project's files is so."""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
PARTS = ("**Context.**", "**Decision.**", "**Consequences.**", "**Rejected.**", "**Kept by**")
COPYLEFT = re.compile(r"\b(?:A|L)?GPL|General Public|MPL|Mozilla", re.IGNORECASE)


def packages(lock: str) -> list[str]:
    """The names of the packages that a lock file has."""
    return re.findall(r"^([a-z0-9-]+)==", (ROOT / lock).read_text(), re.MULTILINE)


def licence(package: str) -> str:
    """All that a package says of its licence; nothing where it is not for this platform."""
    try:
        told = metadata(package)
    except PackageNotFoundError:
        return ""
    classifiers = [it for it in told.get_all("Classifier") or [] if it.startswith("License")]
    # Some put the whole text there: its first line is the name.
    names = [
        told[field].partition("\n")[0]
        for field in ("License-Expression", "License")
        if field in told
    ]
    return " ".join([*names, *classifiers])


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_all_its_parts_and_fits_a_page(page: Path) -> None:
    text = page.read_text()
    assert [part for part in PARTS if part not in text] == []
    assert len(text.splitlines()) <= 50


def test_the_tests_that_keep_a_decision_are_there() -> None:
    tests = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"^ *(?:async )?def (test_\w+)\(", tests, re.MULTILINE))
    kept_by = {page.name: re.findall(r"`(test_\w+)`", page.read_text()) for page in DECISIONS}
    assert {name for name, keepers in kept_by.items() if not keepers} == set()
    assert {keeper for keepers in kept_by.values() for keeper in keepers} - there == set()


def test_every_decision_is_listed() -> None:
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text()
    assert [page.name for page in DECISIONS if f"({page.name})" not in listed] == []


def test_the_files_that_the_pages_name_are_there() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    rooms = "src|api|projections|streams|tests|bench|deploy|docs"
    missing = [
        (page.name, path)
        for page in pages
        for path in re.findall(rf"`((?:{rooms})/[\w./-]+)`", page.read_text())
        if not (ROOT / path).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_the_locks_name_no_host_and_have_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert re.findall(r"https?://\S+", text) == []
    assert len(
        re.findall(r"^[a-z0-9-]+==\S+(?: ; [^\\]+)? \\\n    --hash=", text, re.MULTILINE)
    ) == (len(packages(lock)))


def test_every_package_with_a_licence_that_asks_for_more_is_named() -> None:
    page = (ROOT / "docs" / "decisions" / "0010-libraries-and-licences.md").read_text()
    found = {name for name in packages("requirements.lock") if COPYLEFT.search(licence(name))}
    assert {name for name in found if f"`{name}`" not in page} == set()
    assert {"psycopg", "certifi"} <= found
