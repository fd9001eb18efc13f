"""What passing tests measured goes into the summary: sizes, counts, coverage, cells."""

from __future__ import annotations

import pytest

MEASURING = ("tests/contracts/", "tests/integration/")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = [
        line
        for report in terminalreporter.getreports("passed")
        if report.when == "call" and report.nodeid.startswith(MEASURING)
        for line in report.capstdout.splitlines()
    ]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)
