"""Fault points are told from the code itself, and calling the hook changes nothing else."""

import builtins

import pytest

from tests.faults import points
from tests.faults.mutants import MUTANTS, Mutant
from tests.faults.points import HOOK, all_points, instrumented, source_file, watched
from tests.faults.rounds import STORES, rounds

SAMPLE = '''
class Door:
    def open(self, calls):
        """What it does."""
        unchanged = 1
        calls.append("before")
        try:
            with self:
                calls.append("in")
            if not calls:
                raise ValueError(str(calls))
        except OSError:
            calls.append("never")
        else:
            calls.append("after")
        return unchanged

    def __enter__(self): ...
    def __exit__(self, *_): ...
'''


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The points that were reached."""
    reached: list[str] = []
    monkeypatch.setattr(builtins, HOOK, reached.append, raising=False)
    monkeypatch.setattr(points, "PHASES", {"commit": {"sample": ("Door.open",)}})
    return reached


def test_the_hook_is_called_before_each_statement_that_does_something(called: list[str]) -> None:
    room: dict[str, type] = {}
    exec(compile(instrumented(SAMPLE, "sample"), "sample", "exec"), room)
    done: list[str] = []
    assert room["Door"]().open(done) == 1
    assert done == ["before", "in", "after"]
    # Two calls, one of them in a block, and the one after it.
    assert called == [f"sample:Door.open:{number}" for number in (1, 2, 3)]


def test_all_points_have_names_of_their_own_and_lines_that_are_there() -> None:
    found = all_points()
    assert len({point.name for point in found}) == len(found) > 100
    assert {point.phase for point in found} == {"commit", "relay", "apply", "offsets"}
    for point in found:
        assert source_file(point.module).read_text().splitlines()[point.line - 1].strip() == (
            point.text
        )


def test_every_watched_module_still_compiles() -> None:
    for module in watched():
        compile(instrumented(source_file(module).read_text(), module), module, "exec")


def test_a_seed_has_at_least_200_rounds_and_a_fault_at_every_point() -> None:
    dealt = rounds(7)
    assert len(dealt) >= 200
    assert {point for _, card in dealt for point in card.points} == {
        point.name for point in all_points()
    }
    assert {store for store, _ in dealt} == {*STORES}
    assert [card.name for _, card in rounds(7)] == [card.name for _, card in dealt]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_fits_todays_code(name: str) -> None:
    mutant = MUTANTS[name]
    source = source_file(mutant.module).read_text()
    changed = mutant.applied(source)
    assert changed != source
    compile(changed, mutant.module, "exec")


def test_a_mutant_that_fits_no_more_is_told() -> None:
    with pytest.raises(ValueError, match="0 times, not once"):
        Mutant("sample", (("not there", ""),)).applied(SAMPLE)
