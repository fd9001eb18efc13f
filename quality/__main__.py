"""`python -m quality`: train a model, evaluate it, measure. Answers are JSON on stdout, errors one line on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from quality.commands.bench import add_bench
from quality.commands.evaluate import add_evaluate
from quality.commands.options import Answer, Parser
from quality.commands.train import add_train
from quality.errors import QualityError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code of a command line: 0, 1 for a failure or a missed bar, 2 for unusable input."""
    options = _build_parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], Answer] = options.command
    try:
        answer = command(options)
    except QualityError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0 if answer.get("passed", True) else 1


def _build_parser() -> Parser:
    parser = Parser(prog="python -m quality", description="Quality models that anybody can re-execute.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_train(commands)
    add_evaluate(commands)
    add_bench(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
