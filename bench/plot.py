"""Plots as SVG: lines over two logarithmic axes, readable on light and on dark pages."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 150, 50, 60
_LOOKS: Final = 'role="img" font-family="sans-serif" font-size="13" fill="#777"'
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Told apart also by those who see few colours (Okabe and Ito)."""

Points = Sequence[tuple[float, float]]


class _Axis:
    """A logarithmic axis from 1, 2 or 5 times a power of ten to another, over pixels."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        powers = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
        steps = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
        least = max((one for one in steps if one <= min(values)), default=steps[0])
        most = min((one for one in steps if one >= max(values) and one > least), default=steps[-1])
        self.ticks = [one for one in steps if least <= one <= most]
        self._least, self._most, self._start, self._end = least, most, start, end

    def at(self, value: float) -> float:
        """The pixel of a value."""
        share = math.log(value / self._least) / math.log(self._most / self._least)
        return self._start + share * (self._end - self._start)


def write(path: Path, title: str, x_label: str, y_label: str, lines: Mapping[str, Points]) -> None:
    """Write a plot of lines by name; all values are above 0."""
    points = [point for line in lines.values() for point in line]
    x = _Axis([point[0] for point in points], _LEFT, _WIDTH - _RIGHT)
    y = _Axis([point[1] for point in points], _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {_LOOKS}>',
        f"<title>{escape(title)}</title>",
        f'<text x="{_LEFT}" y="25" font-size="15">{escape(title)}</text>',
        *_grid(x, y),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 15, x_label),
        _text(20, (_TOP + _HEIGHT - _BOTTOM) / 2, y_label, turned=-90),
    ]
    for (name, line), colour in zip(lines.items(), _COLOURS, strict=False):
        parts += _line(x, y, name, line, colour)
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _grid(x: _Axis, y: _Axis) -> list[str]:
    top, bottom, left, right = _TOP, _HEIGHT - _BOTTOM, _LEFT, _WIDTH - _RIGHT
    parts = []
    for tick in x.ticks:
        parts.append(f'<path d="M{x.at(tick):.1f} {top}V{bottom}" stroke="#7774"/>')
        parts.append(_text(x.at(tick), bottom + 20, f"{tick:,g}"))
    for tick in y.ticks:
        parts.append(f'<path d="M{left} {y.at(tick):.1f}H{right}" stroke="#7774"/>')
        parts.append(_text(left - 8, y.at(tick) + 4, f"{tick:,g}", "end"))
    return parts


def _line(x: _Axis, y: _Axis, name: str, line: Points, colour: str) -> list[str]:
    places = [(x.at(one), y.at(other)) for one, other in line]
    path = "L".join(f"{across:.1f} {down:.1f}" for across, down in places)
    across, down = places[-1]
    return [
        f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *(f'<circle cx="{a:.1f}" cy="{d:.1f}" r="3" fill="{colour}"/>' for a, d in places),
        f'<text x="{across + 10:.1f}" y="{down + 4:.1f}" fill="{colour}">{escape(name)}</text>',
    ]


def _text(across: float, down: float, words: str, anchor: str = "middle", turned: int = 0) -> str:
    place = f"translate({across:.1f} {down:.1f}) rotate({turned})"
    return f'<text transform="{place}" text-anchor="{anchor}">{escape(words)}</text>'
