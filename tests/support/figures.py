"""Figures of a run to be shown even if all tests pass: recorded with the fixture `tell`, printed in the summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import pytest

__all__ = ["EXPERIMENT", "FIGURE", "Judge", "Tell", "read_figures"]

Tell = Callable[[str], None]
FIGURE = "figure"
EXPERIMENT = "experiment"


class Judge(Protocol):
    """Records what an experiment observed and counted, for the table of tests.proofs.experiments."""

    def __call__(self, observed: str, **counts: int) -> None: ...


def read_figures(reports: Iterable[object]) -> list[str]:
    """The recorded figures, in the order in which the tests ended."""
    calls = [report for report in reports if isinstance(report, pytest.TestReport) and report.when == "call"]
    return [str(value) for report in calls for name, value in report.user_properties if name == FIGURE]
