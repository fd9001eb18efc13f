"""Figures of a run that are to be seen though all is well: the fixture `tell` takes them, the summary shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

__all__ = ["FIGURE", "Tell", "read_figures"]

Tell = Callable[[str], None]
FIGURE = "figure"


def read_figures(reports: Iterable[object]) -> list[str]:
    """What the tests told, in the order in which they ended."""
    calls = [report for report in reports if isinstance(report, pytest.TestReport) and report.when == "call"]
    return [str(value) for report in calls for name, value in report.user_properties if name == FIGURE]
