"""`python -m quality`: train a model, evaluate it, measure. Answers are JSON on stdout, errors one line on stderr.

Only the command that is asked for is imported, so that none needs what another does.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from quality.commands.options import Answer, Parser
from quality.errors import InputError, QualityError

_COMMANDS = {
    "train": "train a model and write it with its card",
    "evaluate": "run a model on many windows and print the digest of all inferences",
    "export": "print a model as JSON, or write it again with another threshold",
    "audit": "re-execute one certified verdict; exit code 1 names the first quantity that differs",
    "bench": "measure accuracy, speed, or that there is one digest; exit code 1 when a bar is missed",
}
"""Name, which is also that of a module in `quality.commands`, and what it does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code of a command line: 0, 1 for a failure or a missed bar, 2 for unusable input."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        options = _build_parser(given).parse_args(given)
        command: Callable[[argparse.Namespace], Answer] = options.command
        answer = command(options)
    except QualityError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0 if answer.get("passed", True) else 1


def _build_parser(given: Sequence[str]) -> Parser:
    """Parser with the options of the command that is given. Raises InputError when it lacks a package."""
    parser = Parser(prog="python -m quality", description="Quality models that anybody can re-execute.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if given and given[0] == name:
            _load_command(name).add_options(command)
    return parser


def _load_command(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"quality.commands.{name}")
    except ModuleNotFoundError as missing:
        raise InputError(f"{name} needs {missing.name}", hint="install millmark[quality]") from missing


if __name__ == "__main__":
    sys.exit(main())
