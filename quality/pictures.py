"""Draws the confusion matrix and the reliability diagram of a model as SVG text, byte for byte the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

_INK, _FAINT, _FILL, _WRONG, _PAPER = "#1f2a37", "#8a94a3", "#1d6fa5", "#b4452c", "#ffffff"
_FONT = "font-family='Helvetica, Arial, sans-serif'"
_CELL = 64
_LABEL_LETTERS = 14


def _text(x: float, y: float, words: str, *, size: int = 13, colour: str = _INK, anchor: str = "middle") -> str:
    where = f"x='{x:.1f}' y='{y:.1f}' font-size='{size}' fill='{colour}' text-anchor='{anchor}'"
    return f"<text {where} {_FONT}>{escape(words)}</text>"


def _turned(x: float, y: float, words: str, *, size: int = 12) -> str:
    turn = f"transform='rotate(-90 {x:.1f} {y:.1f})'"
    return _text(x, y, words, size=size, colour=_FAINT).replace("<text ", f"<text {turn} ", 1)


def _frame(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    box = f"width='{width:.0f}' height='{height:.0f}' viewBox='0 0 {width:.0f} {height:.0f}'"
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' {box} role='img'>",
            f"<title>{escape(title)}</title>",
            f"<rect width='100%' height='100%' fill='{_PAPER}'/>",
            *parts,
            "</svg>\n",
        ]
    )


def _shorten(label: str) -> str:
    return label if len(label) <= _LABEL_LETTERS else label[: _LABEL_LETTERS - 1] + "…"


def draw_confusion(matrix: NDArray[np.int64], labels: Sequence[str], title: str) -> str:
    """Draw a confusion matrix (classes, classes): rows by true class, columns by predicted class.

    A cell is darker the larger its share of its row; the diagonal is blue, mistakes are red.
    """
    size, left, top = len(labels), 150, 92
    side = size * _CELL
    parts = [_text(20, 30, title, size=16, anchor="start")]
    parts.append(_text(left + side / 2, 58, "predicted class", size=12, colour=_FAINT))
    parts.append(_turned(24, top + side / 2, "true class"))
    totals = np.maximum(matrix.sum(axis=1), 1)
    for row, label in enumerate(labels):
        middle = top + row * _CELL + _CELL / 2
        parts.append(_text(left - 10, middle + 4, _shorten(label), anchor="end"))
        parts.append(_text(left + row * _CELL + _CELL / 2, top - 12, _shorten(label), size=13 if size < 8 else 10))
        for column in range(size):
            share = float(matrix[row, column] / totals[row])
            parts += _draw_cell(
                left + column * _CELL, top + row * _CELL, int(matrix[row, column]), share, row == column
            )
    return _frame(left + side + 30, top + side + 30, title, parts)


def _draw_cell(x: float, y: float, count: int, share: float, right: bool) -> list[str]:
    fill = _FILL if right else _WRONG
    strength = 0.06 + 0.9 * share if count else 0.03
    colour = _PAPER if strength > 0.5 else _INK
    box = f"x='{x + 1.5:.1f}' y='{y + 1.5:.1f}' width='{_CELL - 3}' height='{_CELL - 3}' rx='4'"
    parts = [f"<rect {box} fill='{fill}' fill-opacity='{strength:.3f}'/>"]
    parts.append(_text(x + _CELL / 2, y + _CELL / 2 + 1, str(count), size=15, colour=colour))
    parts.append(_text(x + _CELL / 2, y + _CELL / 2 + 18, f"{share:.1%}", size=10, colour=colour))
    return parts


def draw_reliability(bins: Sequence[tuple[int, float, float]], title: str) -> str:
    """Draw a reliability diagram of bins (rows, predicted probability of FAIL, observed share of FAIL).

    Bins of a well-calibrated model lie on the diagonal. A larger circle has more rows; bars are 95 % intervals by the
    normal approximation.
    """
    left, top, side = 70.0, 60.0, 320.0
    most = max((rows for rows, _, _ in bins), default=1)
    parts = [_text(20, 30, title, size=16, anchor="start")]
    for tick in range(6):
        at = tick / 5 * side
        parts.append(_line(left, top + at, left + side, top + at, "#e6e9ee"))
        parts.append(_line(left + at, top, left + at, top + side, "#e6e9ee"))
        parts.append(_text(left + at, top + side + 20, f"{tick * 20} %", size=11, colour=_FAINT))
        parts.append(_text(left - 8, top + side - at + 4, f"{tick * 20} %", size=11, colour=_FAINT, anchor="end"))
    parts.append(_line(left, top + side, left + side, top, _FAINT, dashed=True))
    for rows, predicted, observed in bins:
        x, y = left + predicted * side, top + (1 - observed) * side
        half = 1.96 * float(np.sqrt(observed * (1 - observed) / rows)) * side
        parts.append(_line(x, max(top, y - half), x, min(top + side, y + half), _FILL))
        radius = 3 + 9 * float(np.sqrt(rows / most))
        parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius:.1f}' fill='{_FILL}' fill-opacity='0.75'/>")
    parts.append(_text(left + side / 2, top + side + 42, "predicted probability of FAIL", size=12, colour=_FAINT))
    parts.append(_turned(22, top + side / 2, "observed share of FAIL"))
    return _frame(left + side + 30, top + side + 60, title, parts)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, dashed: bool = False) -> str:
    dash = " stroke-dasharray='5 4'" if dashed else ""
    ends = f"x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}'"
    return f"<line {ends} stroke='{colour}' stroke-width='1.2'{dash}/>"
