"""A population's rows are those that the live read model would have of the same events."""

from pathlib import Path

from bench.loading import load
from bench.plot import write_plot
from bench.populations import Rows, linked
from projections.links.apply import MODEL as LINKS
from projections.links.queries import Filter, Search, page
from projections.lookup.apply import MODEL as LOOKUP
from projections.readers import open_read_models
from tests.samples import events
from tests.support.projecting import PARTITIONS, Projecting

COUNT = 30


async def found(projecting: Projecting) -> list[object]:
    """All rows and the total of both read models, and what searches find."""
    models = await open_read_models(projecting.settings)
    rows: list[object] = [await projecting.rows(model) for model in (LOOKUP, LINKS)]
    for text in ("pixel 1", "google", "7", "8"):
        asked = Filter("bank-1", search=Search(text, "none", "none"))
        rows.append((await page(models, asked, limit=COUNT)).value)
    rows.append((await page(models, Filter("bank-1"), limit=COUNT)).value)
    await models.close()
    return rows


async def test_rows_loaded_at_once_are_those_that_events_make(projecting: Projecting) -> None:
    for model in (LOOKUP, LINKS):
        load(projecting.settings, model, Rows(model, linked(COUNT)))
    loaded = await found(projecting)
    for model in (LOOKUP, LINKS):
        projecting.store.point(model, None)
    records = events.on_partitions(linked(COUNT), PARTITIONS)
    projecting.topic.add(records)
    await projecting.apply([])
    assert loaded == await found(projecting)


def test_a_plot_has_a_line_and_a_name_for_each_series(tmp_path: Path) -> None:
    file = tmp_path / "plot.svg"
    write_plot(file, "Cost", "links", "µs", {"a & b": [(1e4, 100), (1e7, 120)], "c": [(1e4, 3)]})
    drawn = file.read_text()
    assert (drawn.count("<polyline"), drawn.count("<circle"), "a &amp; b" in drawn) == (2, 3, True)
