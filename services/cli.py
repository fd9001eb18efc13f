"""The `millmark` command.

Failures are one line on stderr, the cause and the mend; exit code 1 when something did not work, 2 when what was given
is unusable.
"""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from ledger.errors import MillmarkError
from quality.errors import QualityError
from services.commands import (
    apikeys,
    bench,
    bundle,
    chain,
    demo,
    faults,
    interop,
    keys,
    node,
    outbox,
    participants,
    provenance,
    quality,
    trust,
    verify,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="millmark",
    help="A permissioned traceability ledger for distributed, made-to-order manufacturing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)


@app.callback()
def choose_home(
    context: typer.Context,
    home: Path = typer.Option(
        Path(),
        "--home",
        envvar="MILLMARK_HOME",
        help="Folder of millmark.toml, the database and the deployment file.",
        file_okay=False,
    ),
) -> None:
    """Millmark records who ordered, made, inspected and holds a part, on a chain that the companies run together."""
    context.obj = home


demo.register(app)
chain.register(app)
participants.register(app)
keys.register(app)
apikeys.register(app)
provenance.register(app)
bundle.register(app)
trust.register(app)
verify.register(app)
quality.register(app)
interop.register(app)
bench.register(app)
faults.register(app)
outbox.register(app)
node.register(app)


def main() -> None:
    """Entry point of the console script."""
    try:
        code = app(standalone_mode=False)  # hands us the command line's own refusals
    except typer.TyperException as error:
        sys.stderr.write(_explain(error))
        sys.exit(error.exit_code)
    except (MillmarkError, QualityError) as error:
        sys.stderr.write(f"millmark: {error}\n")
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("millmark: interrupted\n")
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _explain(error: typer.TyperException) -> str:
    """One line: the cause, and which help to read. Nothing where the help itself was the answer."""
    cause = " ".join(error.format_message().split()).rstrip(".")
    command = getattr(getattr(error, "ctx", None), "command_path", "millmark")
    return f"millmark: {cause[:1].lower()}{cause[1:]}; see {command} --help\n" if cause else ""


if __name__ == "__main__":
    main()
