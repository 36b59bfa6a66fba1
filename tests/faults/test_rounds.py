"""A few rounds of `make faults`, others each time; the seed is told where one fails."""

from pathlib import Path

import pytest

from tests.faults.load import Load
from tests.faults.points import all_points
from tests.faults.rig import Rig
from tests.faults.rounds import EVERYWHERE, Card, Result, deal, play
from tests.support.seed import SEED

STORE = "sqlite"
ROUNDS = 3


def some_rounds(seed: int) -> list[Card]:
    """Rounds at points, and one that leads a worker by its way out of a transaction."""
    cards = [card for card in deal(seed, STORE) if card.points]
    foreign = Card("foreign records", "foreign records", EVERYWHERE["foreign records"])
    return [*cards[:ROUNDS], foreign]


@pytest.mark.parametrize("seed", [SEED], ids="seed={}".format)
async def test_nothing_is_lost_doubled_or_reordered_in_some_rounds_that_reach_all_points(
    tmp_path: Path, seed: int
) -> None:
    with Rig(tmp_path / "rig", STORE) as rig:
        async with rig.running():
            loads = [Load(rig, "api", str(seed))]
            for number, card in enumerate(some_rounds(seed), 1):
                result = Result(seed, number, STORE, card.sort, card.name, [*card.points])
                await play(rig, loads, card, result)
                assert (card.name, result.violations) == (card.name, [])
            # What runs only where a process ends in order has run once.
            await rig.restart("relay")
            await rig.restart("streams")
            await rig.until_ready()
        due = {point.name for point in all_points() if point.is_of(STORE)}
        assert due - rig.reached() == set()
