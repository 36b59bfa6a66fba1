"""Whatever is sent that the OpenAPI document allows, or forbids, is answered as it says.

By default each kind of caller tries its own paths. With ``ABUSE_CASES=n``, as ``make abuse`` has
it, each tries all paths until at least so many requests were made up in all.
"""

import os
import sys
import time
from collections.abc import Iterator

import pytest

from tests.abuse.document import OWN, Document
from tests.support.system import System

CASES = int(os.environ.get("ABUSE_CASES", "0"))
SEED = int(os.environ.get("ABUSE_SEED", "1"))


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Document]:
    """The document of a system on a Kafka of its own."""
    with System(tmp_path_factory.mktemp("home")) as system:
        system.start_all()
        found = Document(system, tmp_path_factory.mktemp("tried"))
        found.prepare()
        yield found


def few(kind: str) -> tuple[str, ...]:
    """Words for a short run; where another kind tries the same paths, bounds are left to that."""
    bounds = "" if kind in {"admin", "security", "bank's lead"} else ",coverage"
    phases = f"examples,fuzzing{bounds}"
    return ("--include-path-regex", OWN[kind], "-n", "2", "--phases", phases)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", OWN)
def test_each_caller_is_answered_as_the_document_says(document: Document, kind: str) -> None:
    words = ("-n", "20") if CASES else few(kind)
    cases, seed, began = 0, SEED, time.monotonic()
    while cases <= CASES / len(OWN):
        tried = document.try_as(kind, *words, "--seed", str(seed))
        assert tried.exit_code == 0, f"ABUSE_SEED={seed}\n{tried.told}"
        assert tried.cases > 0, tried.told
        cases, seed = cases + tried.cases, seed + 1
    took = time.monotonic() - began
    sys.stdout.write(f"\n{kind}: {cases} cases, seeds {SEED} to {seed - 1}, {took:.0f} s\n")
