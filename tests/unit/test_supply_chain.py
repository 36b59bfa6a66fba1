"""Licences and advisories of the locked packages, and their bill of materials."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.supply_chain import (
    EXCEPTIONS,
    LOCK,
    judge,
    licence,
    licence_findings,
    packages,
    report_of,
)


def test_every_licence_is_allowed_or_an_exception_with_its_reason() -> None:
    assert licence_findings({name: licence(name) for name in packages()}, EXCEPTIONS) == []
    assert all(EXCEPTIONS.values())


@pytest.mark.parametrize(
    "told",
    [
        "GPL-3.0-or-later",
        "AGPL-3.0",
        "License :: OSI Approved :: GNU General Public License v2 (GPLv2)",
        "LGPL-3.0-only",
        "MPL-2.0",
        "",
    ],
)
def test_a_licence_that_asks_for_more_or_is_not_told_is_found(told: str) -> None:
    assert len(licence_findings({"package": told}, [])) == 1
    assert licence_findings({"package": told}, ["package"]) == []


def test_licences_that_ask_for_their_notice_and_packages_of_other_platforms_are_none() -> None:
    told = {"a": "MIT", "b": "BSD-3-Clause AND Apache-2.0", "c": "ISC", "d": None}
    assert licence_findings(told, []) == []


def test_an_exception_for_a_package_that_is_not_there_is_found() -> None:
    assert licence_findings({"a": "MIT"}, ["b"]) == ["b: an exception that is not needed"]


KNOWN: dict[str, Any] = {
    "name": "bad",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1", "2.0"], "aliases": ["CVE-1"]}],
}
GOOD: dict[str, Any] = {"name": "good", "version": "1.0", "vulns": []}
SKIPPED = {"name": "skipped", "skip_reason": "not found"}


def report(*dependencies: object) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_an_advisory_is_a_finding_unless_it_is_accepted() -> None:
    assert judge(report(GOOD, KNOWN)).findings == ["bad 1.0: PYSEC-1, mended in 1.1, 2.0"]
    assert judge(report(GOOD, KNOWN), ["CVE-1"]).findings == []


def test_what_was_not_audited_is_said() -> None:
    assert judge(report(GOOD, SKIPPED)).told == "1 packages audited; not known there: skipped"
    for nothing in (report(SKIPPED), report(), "", "Traceback: no network"):
        audit = judge(nothing)
        assert audit.told == "NOT AUDITED: the package index tells no advisories here"
        assert audit.findings == []


def test_an_index_that_is_not_reached_is_said_and_fails_nothing(tmp_path: Path) -> None:
    lock = tmp_path / "one.lock"
    one = re.search(r"^six==(?:.*\\\n)+.*\n", LOCK.read_text(), re.MULTILINE)
    assert one is not None
    lock.write_text(one[0])
    nowhere = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}
    assert judge(report_of(lock, nowhere)).told.startswith("NOT AUDITED")


def test_the_bill_of_materials_names_every_locked_package_with_its_hashes(tmp_path: Path) -> None:
    makefile = (LOCK.parent / "Makefile").read_text()
    words = re.search(r"cyclonedx-py (requirements .*) -o (\S+)$", makefile, re.MULTILINE)
    assert words is not None
    bill = tmp_path / "sbom.json"
    subprocess.run(
        [sys.executable, "-m", "cyclonedx_py", *words[1].split(), "-o", str(bill)],
        cwd=LOCK.parent,
        capture_output=True,
        check=True,
    )
    told = json.loads(bill.read_bytes())
    assert told["bomFormat"] == "CycloneDX"
    assert told["metadata"]["component"]["name"] == "device-ledger"
    assert sorted(one["name"] for one in told["components"]) == sorted(packages())
    for one in told["components"]:
        hashes = [it for ref in one["externalReferences"] for it in ref.get("hashes", [])]
        assert one["purl"].startswith(f"pkg:pypi/{one['name']}@")
        assert {it["alg"] for it in hashes} == {"SHA-256"}
