"""Shows the progress of a long run: bars on a terminal, lines in a file, and curves for TensorBoard. Evaluating needs
neither rich nor tensorboardX, so each is imported at its first use."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from millmark.quality import errors, fitting

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_EVERY_S = 10.0
"""Seconds between the lines of one long step."""
_LEAST_S = 1.0
"""A step that ends sooner than this many seconds after the latest line gets no line, lest a log fill with them."""


@contextmanager
def show_progress() -> Iterator[fitting.Progress]:
    """A `Progress` that reports on stderr: one bar per step on a terminal, plain lines elsewhere."""
    bars = _import_bars() if sys.stderr.isatty() else None
    if bars is None:
        lines = Lines(sys.stderr)
        yield lines.report
        lines.finish()
        return
    with bars:
        tasks: dict[str, TaskID] = {}

        def report(name: str, done: int, planned: int, _figures: Mapping[str, float]) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=planned)
            bars.update(tasks[name], completed=done, total=planned)

        yield report


def _import_bars() -> Bars | None:
    try:
        from rich import console, progress  # noqa: PLC0415  an auditor has numpy only
    except ModuleNotFoundError:
        return None
    return progress.Progress(console=console.Console(stderr=True))


class Lines:
    """Progress as lines of text: one when the first step begins, one when a step ends, and one every ten seconds. A
    step that ends within a second of the previous line, or of the start, gets no line. A step may end before all that
    was planned is done, by early stopping for instance."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._begun = clock()
        self._shown: float | None = None
        """When the latest line was written, in seconds since the start; None before the first."""
        self._latest: tuple[str, str] | None = None
        """Step and text of the latest report; None once a line has shown it."""

    def report(self, name: str, done: int, planned: int, figures: Mapping[str, float]) -> None:
        """A `millmark.quality.fitting.Progress`."""
        # Steps run one after another: another name is the only sign that a step ended early.
        if self._latest is not None and self._latest[0] != name:
            self.finish()
        told = "".join(f", {figure} {value:.4g}" for figure, value in figures.items())
        self._latest = (name, f"{name}: {done} of {planned}{told}")
        now = self._clock() - self._begun
        if done >= planned:
            self.finish()
        elif self._shown is None or now - self._shown >= _EVERY_S:
            self._show(now)

    def finish(self) -> None:
        """Report that the latest step has ended; to be called at the end of the run."""
        now = self._clock() - self._begun
        if now - (self._shown or 0.0) >= _LEAST_S:
            self._show(now)
        self._latest = None

    def _show(self, now: float) -> None:
        if self._latest is not None:
            self._stream.write(f"{now:5.0f} s  {self._latest[1]}\n")
            self._stream.flush()
            self._shown, self._latest = now, None


@contextmanager
def log_to(folder: Path) -> Iterator[fitting.Progress]:
    """A `Progress` that writes every figure into `folder`, one curve per figure, for `tensorboard --logdir`. Raises
    InputError if tensorboardX is not installed or the folder cannot be written."""
    try:
        from tensorboardX import SummaryWriter  # noqa: PLC0415  only training needs it
    except ModuleNotFoundError as missing:
        raise errors.InputError(f"training needs {missing.name}", hint="install millmark[quality]") from missing
    try:
        writer = SummaryWriter(str(folder))
    except OSError as error:
        raise errors.InputError(f"{folder} cannot be written: {error.strerror}", hint="choose another --out") from error
    try:

        def report(name: str, done: int, _planned: int, figures: Mapping[str, float]) -> None:
            for figure, value in figures.items():
                writer.add_scalar(f"{name}/{figure}", value, done)

        yield report
    finally:
        writer.close()
