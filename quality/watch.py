"""What a long run shows meanwhile: bars on a terminal, and logs that TensorBoard draws.

Neither rich nor tensorboardX is needed to evaluate, so each is imported where it is first used.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from quality.errors import InputError
from quality.fitting import Progress, silent

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["log_to", "show_bars"]


@contextmanager
def show_bars() -> Iterator[Progress]:
    """One bar for everything that runs, on stderr; silent when that is no terminal."""
    if not sys.stderr.isatty():
        yield silent
        return
    try:
        from rich.console import Console  # noqa: PLC0415  an auditor has numpy only
        from rich.progress import Progress as Bars  # noqa: PLC0415  likewise
    except ModuleNotFoundError:
        yield silent
        return
    with Bars(console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def report(name: str, done: int, planned: int, _figures: Mapping[str, float]) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=planned)
            bars.update(tasks[name], completed=done, total=planned)

        yield report


@contextmanager
def log_to(folder: Path) -> Iterator[Progress]:
    """Writes every figure of a run into `folder`, a curve each, for `tensorboard --logdir`.

    Raises InputError when tensorboardX is not installed or the folder cannot be written.
    """
    try:
        from tensorboardX import SummaryWriter  # noqa: PLC0415  only training needs it
    except ModuleNotFoundError as missing:
        raise InputError(f"training needs {missing.name}", mend="install millmark[quality]") from missing
    try:
        writer = SummaryWriter(str(folder))
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}", mend="choose another --out") from error
    try:

        def report(name: str, done: int, _planned: int, figures: Mapping[str, float]) -> None:
            for figure, value in figures.items():
                writer.add_scalar(f"{name}/{figure}", value, done)

        yield report
    finally:
        writer.close()
