"""What the pages of docs say of the project's files is so."""

import re
from pathlib import Path

import pytest

from tests.support.supply_chain import COPYLEFT, licence, packages

ROOT = Path(__file__).parents[3]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
PARTS = ("**Context.**", "**Decision.**", "**Consequences.**", "**Rejected.**", "**Kept by**")


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_all_its_parts_and_fits_a_page(page: Path) -> None:
    text = page.read_text()
    assert [part for part in PARTS if part not in text] == []
    assert len(text.splitlines()) <= 50


def names_of_tests() -> set[str]:
    """The names of all tests."""
    tests = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    return set(re.findall(r"^ *(?:async )?def (test_\w+)\(", tests, re.MULTILINE))


def test_the_tests_that_keep_a_decision_are_there() -> None:
    there = names_of_tests()
    kept_by = {page.name: re.findall(r"`(test_\w+)`", page.read_text()) for page in DECISIONS}
    assert {name for name, keepers in kept_by.items() if not keepers} == set()
    assert {keeper for keepers in kept_by.values() for keeper in keepers} - there == set()


def test_each_claim_of_the_security_page_names_its_tests() -> None:
    sections = (ROOT / "docs" / "security.md").read_text().split("\n## ")[1:]
    claims = [
        claim for section in sections for claim in re.split(r"^- ", section, flags=re.MULTILINE)[1:]
    ]
    assert len(sections) == 7
    assert [claim for claim in claims if "`test_" not in claim.split("\n\n")[0]] == []
    assert all(len(section.splitlines()) <= 60 for section in sections)
    named = {name for claim in claims for name in re.findall(r"`(test_\w+)`", claim)}
    assert named - names_of_tests() == set()


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
    ) == (len(packages(ROOT / lock)))


def test_every_package_with_a_licence_that_asks_for_more_is_named() -> None:
    page = (ROOT / "docs" / "decisions" / "0010-libraries-and-licences.md").read_text()
    found = {name for name in packages() if COPYLEFT.search(licence(name) or "")}
    assert {name for name in found if f"`{name}`" not in page} == set()
    assert {"psycopg", "certifi"} <= found
