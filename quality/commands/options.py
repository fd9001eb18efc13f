"""Argument types and helpers that the commands share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NoReturn, TypeAlias

from millmark.quality.errors import InputError

Answer: TypeAlias = dict[str, object]


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line; argparse would print its usage before them."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def add_examples(parser: Parser, examples: str) -> None:
    """Print the examples, verbatim, at the end of the command's help."""
    parser.epilog = f"examples:\n{examples}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def add_windows(parser: Parser) -> None:
    """Add the options that say which windows to read."""
    parser.add_argument("--data", choices=["forda"], default="forda", help="public data, used if --inputs is omitted")
    parser.add_argument("--inputs", type=Path, metavar="FILE", help=".npy, .csv or .tsv with one window per row")


def natural(text: str) -> int:
    """Parse an argument that must be an integer in 0..2^32 - 1."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not in 0..4294967295")
    return value


def positive(text: str) -> int:
    """Parse an argument that must be an integer in 1..2^20."""
    value = int(text)
    if not 1 <= value <= 2**20:
        raise argparse.ArgumentTypeError(f"{text} is not in 1..1048576")
    return value


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, unless it exists. Raises InputError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be created: {error.strerror}", hint="choose another --out") from error


def write(path: Path, content: bytes) -> None:
    """Write a file. Raises InputError if that fails."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}", hint="choose another --out") from error


# How torch's threads wait for each other.

PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Makes waiting threads sleep. By default they spin: on a busy machine, two threads at small pieces of work then take
many times as much processor time as one thread, and nothing is done sooner."""


def let_idle_threads_sleep() -> None:
    """Makes idle threads of torch sleep, unless the environment says otherwise. Call it before torch is imported: later
    it has no effect. It changes no computed figure."""
    for name, value in PATIENT.items():
        os.environ.setdefault(name, value)
