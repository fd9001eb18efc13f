"""Options and arguments that commands have in common."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn, TypeAlias

from quality.errors import InputError

__all__ = ["Answer", "Parser", "add_examples", "make_folder", "natural", "positive", "write"]

Answer: TypeAlias = dict[str, object]


class Parser(argparse.ArgumentParser):
    """argparse prints its usage before an error; here an error is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def add_examples(parser: Parser, examples: str) -> None:
    """Prints them, as they are, at the end of the command's help."""
    parser.epilog = f"examples:\n{examples}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def natural(text: str) -> int:
    """0..2^32 - 1."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not in 0..4294967295")
    return value


def positive(text: str) -> int:
    """1..2^20."""
    value = int(text)
    if not 1 <= value <= 2**20:
        raise argparse.ArgumentTypeError(f"{text} is not in 1..1048576")
    return value


def make_folder(folder: Path) -> None:
    """Raises InputError when it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror}", hint="choose another --out") from error


def write(path: Path, content: bytes) -> None:
    """Raises InputError when it cannot be written."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}", hint="choose another --out") from error
