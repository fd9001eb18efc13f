"""Progress without a terminal: few lines, none of them late."""

from __future__ import annotations

import io

import pytest

from millmark.quality.progress import Lines, show_progress


class Watched:
    """Lines with a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.stream = io.StringIO()
        self.lines = Lines(self.stream, lambda: self.now)

    def report(self, after_s: float, name: str, done: int, planned: int, **figures: float) -> None:
        self.now += after_s
        self.lines.report(name, done, planned, figures)

    @property
    def written(self) -> list[str]:
        return self.stream.getvalue().splitlines()


def test_the_first_step_is_shown_when_it_begins() -> None:
    watched = Watched()
    watched.report(0.2, "small trees", 1, 300)
    assert watched.written == ["    0 s  small trees: 1 of 300"]


def test_a_long_step_is_shown_each_ten_seconds_and_when_it_is_over() -> None:
    watched = Watched()
    for done in range(1, 301):
        watched.report(0.1, "dense", done, 300, loss=1 / done)
    shown = [line.partition(" of ")[0] for line in watched.written]
    assert shown == ["    0 s  dense: 1", "   10 s  dense: 101", "   20 s  dense: 201", "   30 s  dense: 300"]
    assert watched.written[-1] == "   30 s  dense: 300 of 300, loss 0.003333"


def test_a_step_that_ends_early_is_shown_as_far_as_it_came() -> None:
    watched = Watched()
    for done in range(1, 8):
        watched.report(0.5, "dense", done, 300)
    watched.report(0.5, "wider", 1, 300)
    watched.lines.finish()
    assert watched.written == ["    0 s  dense: 1 of 300", "    4 s  dense: 7 of 300"]
    watched.report(2, "wider", 2, 300)
    watched.lines.finish()
    assert watched.written[2:] == ["    6 s  wider: 2 of 300"]


def test_quick_steps_do_not_flood_a_log() -> None:
    watched = Watched()
    for step in range(1000):
        watched.report(0.01, f"fold {step}", 1, 2)
        watched.report(0.01, f"fold {step}", 2, 2)
    assert len(watched.written) == 20
    assert all("2 of 2" in line for line in watched.written[1:])


def test_what_is_over_at_once_says_nothing() -> None:
    watched = Watched()
    watched.report(0.3, "evaluate", 4, 4)
    watched.lines.finish()
    assert watched.written == []


def test_lines_are_what_a_pipe_gets(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress() as report:
        report("small trees", 1, 300, {})
    assert capsys.readouterr().err.endswith(" s  small trees: 1 of 300\n")
