"""Figures of a run to be shown even if all tests pass: recorded with the fixture `tell`, printed in the summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

__all__ = ["FIGURE", "Tell", "read_figures"]

Tell = Callable[[str], None]
FIGURE = "figure"


def read_figures(reports: Iterable[object]) -> list[str]:
    """The recorded figures, in the order in which the tests ended."""
    calls = [report for report in reports if isinstance(report, pytest.TestReport) and report.when == "call"]
    return [str(value) for report in calls for name, value in report.user_properties if name == FIGURE]
