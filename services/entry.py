"""Entry point of the `millmark` console script.

`verify` needs the verifier's three packages only, and loads nothing else; all other commands need the base install.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec

from millmark.services.help import print_help

_USAGE = 2
_COMPLETING = "_MILLMARK_COMPLETE"
"""As in millmark.services.cli, which is not imported to print help."""


def main() -> None:
    """Runs the command in `sys.argv`, and exits with its code."""
    if find_spec("typer") is None:
        sys.exit(_run_alone(sys.argv[1:]))
    # Looking for pydantic's plugins reads the metadata of every installed package, and would run their code.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"millmark {version('millmark')}\n")
        sys.exit(0)
    # A shell that completes a line passes no arguments: it does not ask for help.
    if _COMPLETING not in os.environ and print_help(sys.argv[1:]):
        sys.exit(0 if sys.argv[1:] else _USAGE)
    if _COMPLETING not in os.environ and _without_home(sys.argv[1:])[:1] == ["verify"]:
        sys.exit(_run_alone(sys.argv[1:]))
    from millmark.services.cli import main as run_any  # noqa: PLC0415 - see the module's docstring

    run_any()


def _without_home(arguments: Sequence[str]) -> Sequence[str]:
    """`--home FOLDER` is accepted before every command, but `verify` uses no home folder."""
    return arguments[2:] if arguments[:1] == ["--home"] else arguments


def _run_alone(arguments: Sequence[str]) -> int:
    arguments = _without_home(arguments)
    if arguments[:1] != ["verify"]:
        sys.stderr.write("millmark: only `verify` works with the packages installed here; pip install millmark\n")
        return _USAGE
    from millmark.ledger.verify.__main__ import main as verify  # noqa: PLC0415 - the other commands need not load it

    try:
        return verify(list(arguments[1:]), program="millmark verify")
    except KeyboardInterrupt:
        sys.stderr.write("millmark: interrupted\n")
        return 130


if __name__ == "__main__":
    main()
