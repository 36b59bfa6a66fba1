"""Plots are SVG with a point a measure."""

from pathlib import Path
from xml.etree import ElementTree as ET

from bench import plot

SVG = "{http://www.w3.org/2000/svg}"


def test_a_plot_has_a_line_a_name_and_its_points_where_their_values_are(tmp_path: Path) -> None:
    lines = {"p50": [(10.0, 1.0), (100.0, 10.0), (1_000.0, 100.0)], "p99 <all>": [(10.0, 5.0)]}
    plot.write(tmp_path / "plot.svg", "Latency", "lookups/s", "ms", lines)
    root = ET.parse(tmp_path / "plot.svg").getroot()
    words = [one.text for one in root.iter(f"{SVG}text")]
    assert {"Latency", "lookups/s", "ms", "p50", "p99 <all>", "10", "1,000"} <= set(words)
    points = [
        (float(one.attrib["cx"]), float(one.attrib["cy"])) for one in root.iter(f"{SVG}circle")
    ]
    assert len(points) == 4
    first, middle, last = points[:3]
    assert middle == (sum(p[0] for p in (first, last)) / 2, sum(p[1] for p in (first, last)) / 2)
    assert first[0] < last[0]
    assert first[1] > last[1]
