"""`python -m millmark.quality`: train, evaluate, export and audit models.

Results are JSON on stdout; an error is one line on stderr. Only the module of the requested command is imported, so a
command needs no more packages than it uses itself: `audit` runs on Python alone.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from millmark.quality.commands.options import Answer, Parser
from millmark.quality.errors import InputError, QualityError

_COMMANDS = {
    "train": "train a model and write it together with its card",
    "evaluate": "run a model on many windows and print one digest over all inferences",
    "export": "print a model as JSON, or write it again with another threshold",
    "audit": "re-execute one certified verdict; on a mismatch, name the first differing quantity and exit with code 1",
    "process": "model the state of a machine over time from its telemetry, and propose setpoints",
}
"""Command name, which is also its module's name in `millmark.quality.commands`, and its help text."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code: 0 success, 1 a failure, 2 unusable input. `arguments` defaults to
    `sys.argv[1:]`. A QualityError becomes one line on stderr; any other exception is a bug and keeps its traceback."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        options = _build_parser(given).parse_args(given)
        command: Callable[[argparse.Namespace], Answer] = options.command
        answer = command(options)
    except QualityError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def _build_parser(given: Sequence[str]) -> Parser:
    """Parser that knows all commands, but only the given command's options. Raises InputError if a package that this
    command needs is not installed."""
    parser = Parser(prog="python -m millmark.quality", description="Quality models that anybody can re-execute.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        # Adding a command's options imports its module, and with it numpy or torch.
        if given and given[0] == name:
            _load_command(name).add_options(command)
    return parser


def _load_command(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"millmark.quality.commands.{name}")
    except ModuleNotFoundError as missing:
        raise InputError(f"{name} needs {missing.name}", hint="install millmark[quality]") from missing


if __name__ == "__main__":
    sys.exit(main())
