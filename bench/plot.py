"""Plots of measured costs as SVG, which the docs show as they are."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from pathlib import Path
from typing import Final

WIDTH: Final = 760
HEIGHT: Final = 420
_SVG = "http://www.w3.org/2000/svg"
_FONT = 'font-family="sans-serif" font-size="12"'
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 250, 40, 50
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f")

Points = Sequence[tuple[float, float]]


def write_plot(
    path: Path, title: str, x_label: str, y_label: str, lines: Mapping[str, Points]
) -> None:
    """Draw lines of points above zero on two logarithmic scales, each with its name beside it.

    The first half of the lines is drawn through, the other half dashed.
    """
    points = [point for line in lines.values() for point in line]
    across, up = (_Scale([point[axis] for point in points]) for axis in (0, 1))
    parts = [
        f'<svg xmlns="{_SVG}" viewBox="0 0 {WIDTH} {HEIGHT}" {_FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="22" font-size="15">{escape(title)}</text>',
        f'<text x="{_LEFT}" y="{HEIGHT - 10}">{escape(x_label)}</text>',
        f'<text transform="translate(16 {HEIGHT - _BOTTOM}) rotate(-90)">{escape(y_label)}</text>',
    ]
    parts += _grid(across, up)
    for number, (name, line) in enumerate(lines.items()):
        parts += _line(name, [(_x(across, x), _y(up, y)) for x, y in line], number, len(lines))
    path.write_text("\n".join([*parts, "</svg>", ""]))


class _Scale:
    """Whole powers of ten around values; a value's place on it is 0 to 1."""

    def __init__(self, values: Sequence[float]) -> None:
        self.first = floor(log10(min(values)))
        self.last = max(ceil(log10(max(values))), self.first + 1)

    def place(self, value: float) -> float:
        return (log10(value) - self.first) / (self.last - self.first)


def _x(scale: _Scale, value: float) -> float:
    return _LEFT + scale.place(value) * (WIDTH - _LEFT - _RIGHT)


def _y(scale: _Scale, value: float) -> float:
    return HEIGHT - _BOTTOM - scale.place(value) * (HEIGHT - _TOP - _BOTTOM)


def _grid(across: _Scale, up: _Scale) -> list[str]:
    parts = []
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    for power in range(across.first, across.last + 1):
        x = _x(across, 10.0**power)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{bottom}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_ten(power)}</text>'
        )
    for power in range(up.first, up.last + 1):
        y = _y(up, 10.0**power)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_ten(power)}</text>'
        )
    return parts


def _ten(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"{10.0**power:g}"


def _line(name: str, points: Points, number: int, count: int) -> list[str]:
    colour = _COLOURS[number % len(_COLOURS)]
    dashes = ' stroke-dasharray="5 4"' if number >= (count + 1) // 2 else ""
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    y = _TOP + 8 + 22 * number
    x = WIDTH - _RIGHT + 16
    stroke = f'stroke="{colour}" stroke-width="2"{dashes}'
    return [
        f'<polyline points="{drawn}" fill="none" {stroke}/>',
        *(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in points),
        f'<path d="M{x} {y - 4}h24" {stroke}/>',
        f'<text x="{x + 30}" y="{y}">{escape(name)}</text>',
    ]
