"""The `millmark` command line.

A failure prints one line on stderr, the cause and a hint, and no traceback. Exit code 1: the command failed; 2: its
input is unusable; 3: its output cannot be written; 130: interrupted.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from typer.core import TyperGroup

from millmark.ledger.errors import MillmarkError, NotInstalledError
from millmark.ledger.terminal import write
from millmark.quality.errors import QualityError

if TYPE_CHECKING:
    app: typer.Typer

PANELS: Mapping[str, Mapping[str, str]] = {
    "Look": {
        "status": "millmark.services.commands.chain",
        "find": "millmark.services.commands.provenance",
        "trace": "millmark.services.commands.provenance",
        "recall": "millmark.services.commands.provenance",
        "footprint": "millmark.services.commands.interop",
        "participants": "millmark.services.commands.participants",
    },
    "Record": {
        "products": "millmark.services.commands.acts.products",
        "orders": "millmark.services.commands.acts.orders",
        "plan": "millmark.services.commands.plan",
        "assignments": "millmark.services.commands.acts.orders",
        "lots": "millmark.services.commands.acts.lots",
        "custody": "millmark.services.commands.acts.custody",
        "certificates": "millmark.services.commands.acts.custody",
        "machines": "millmark.services.commands.acts.machines",
        "streams": "millmark.services.commands.acts.machines",
        "models": "millmark.services.commands.acts.machines",
        "setpoints": "millmark.services.commands.acts.machines",
        "note": "millmark.services.commands.acts.custody",
        "documents": "millmark.services.commands.documents",
        "handovers": "millmark.services.commands.handovers",
        "import": "millmark.services.commands.handovers",
    },
    "Prove": {
        "bundle": "millmark.services.commands.bundle",
        "verify": "millmark.services.commands.verify",
        "checkpoint": "millmark.services.commands.bundle",
        "trust": "millmark.services.commands.bundle",
        "quality": "millmark.services.commands.quality",
        "digital-link": "millmark.services.commands.interop",
        "epcis": "millmark.services.commands.interop",
    },
    "Run": {
        "init": "millmark.services.commands.home",
        "join": "millmark.services.commands.home",
        "directory": "millmark.services.commands.participants",
        "deploy": "millmark.services.commands.chain",
        "rebuild": "millmark.services.commands.chain",
        "network": "millmark.services.commands.network",
        "gateway": "millmark.services.commands.gateway",
        "node": "millmark.services.commands.node",
        "login": "millmark.services.commands.login",
        "logout": "millmark.services.commands.login",
        "tls": "millmark.services.commands.home",
        "people": "millmark.services.commands.people",
        "apikeys": "millmark.services.commands.people",
        "webhooks": "millmark.services.commands.outbox",
        "audit": "millmark.services.commands.audit",
        "keys": "millmark.services.commands.keys",
        "council": "millmark.services.commands.council",
        "outbox": "millmark.services.commands.outbox",
        "relay": "millmark.services.commands.relay",
        "evidence": "millmark.services.commands.backup",
        "backup": "millmark.services.commands.backup",
        "restore": "millmark.services.commands.backup",
    },
    "Develop": {
        "demo": "millmark.services.demo.command",
        "devchain": "millmark.services.commands.chain",
    },
}
"""The module that registers each command, by what commands are for, as the help shows them. Running one command imports
only that module, which keeps start-up short and optional packages optional."""

_MODULE_OF = {name: module for commands in PANELS.values() for name, module in commands.items()}
COMMANDS: Mapping[str, Sequence[str]] = {
    module: [name for name, its in _MODULE_OF.items() if its == module] for module in _MODULE_OF.values()
}
"""The commands of each module."""

COMPLETING = "_MILLMARK_COMPLETE"
"""What shells set in the environment to have a line completed."""
_PANEL_OF = {name: panel for panel, commands in PANELS.items() for name in commands}
_ORDER = {name: place for place, name in enumerate(_PANEL_OF)}

EXTRAS: Mapping[str, str] = {
    "asyncua": "opcua",
    "lightgbm": "quality",
    "numpy": "quality",
    "ortools": "planning",
    "tensorboardX": "quality",
    "torch": "quality",
}
"""The extra that installs each optional package. Commands import these packages only when they need them."""


def build_app(modules: Iterable[str] = COMMANDS) -> typer.Typer:
    """Builds the typer application with the commands of `modules`."""
    app = typer.Typer(
        name="millmark",
        help="A permissioned traceability ledger for distributed, made-to-order manufacturing.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        cls=_Ordered,
    )
    app.callback()(choose_home)
    for module in modules:
        importlib.import_module(module).register(app)
    for command in app.registered_commands:
        command.rich_help_panel = _PANEL_OF[command.name or ""]
    for group in app.registered_groups:
        group.rich_help_panel = _PANEL_OF[group.name or ""]
    return app


class _Ordered(TyperGroup):
    """Lists the commands in the order in which they are declared above."""

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - typer's signature
        return sorted(self.commands, key=lambda name: _ORDER[name])


def _load_app(modules: Iterable[str]) -> typer.Typer:
    """Builds the application. What its imports create stays: looking for garbage among it would delay the start."""
    gc.disable()
    try:
        return build_app(modules)
    finally:
        gc.enable()


def _print_version(wanted: bool) -> None:
    if wanted:
        write(sys.stdout, f"millmark {version('millmark')}\n")
        raise typer.Exit


def choose_home(
    context: typer.Context,
    home: Path = typer.Option(
        Path(),
        "--home",
        envvar="MILLMARK_HOME",
        help="Folder of millmark.toml, the database and the deployment file.",
        file_okay=False,
    ),
    version: bool = typer.Option(  # noqa: ARG001 - its callback answers
        False, "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
    ),
) -> None:
    """Millmark records who ordered, made, inspected and holds a part, on a chain that the companies run together."""
    context.obj = home


def __getattr__(name: str) -> object:
    """PEP 562: `app`, with all commands, is built when it is read, so that importing this module loads no command."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return build_app()


def _completing_app() -> typer.Typer:
    """The application that answers a shell which completes a line: with the module of the command on the line, or with
    the names of all commands while the command itself is being written. Loading all of them would take seconds."""
    words = (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")).split()[1:]
    words = words[2:] if words[:1] == ["--home"] else words
    is_written = len(words) > 1 or os.environ.get("_TYPER_COMPLETE_ARGS", "").endswith(" ")
    if words and is_written and words[0] in _PANEL_OF:
        return _load_app(_needed(words))
    app = build_app(())
    for name in _PANEL_OF:
        app.command(name)(_do_nothing)
    return app


def _do_nothing() -> None:
    """Stands for a command of which only the name is asked."""


def _needed(arguments: Sequence[str]) -> Iterable[str]:
    """The module of the command being called, or all modules when the arguments do not tell which."""
    # Only `--home FOLDER` is expected before the command. Anything else loads all modules, which is slower but right.
    called = arguments[2] if len(arguments) > 2 and arguments[0] == "--home" else next(iter(arguments), "")
    if called in ("--install-completion", "--show-completion"):
        return ()
    found = [module for module, commands in COMMANDS.items() if called in commands]
    return found or COMMANDS


def main() -> None:
    """Runs the command in `sys.argv`, and exits with its code."""
    _forbid_core_files()
    try:
        app = _completing_app() if COMPLETING in os.environ else _load_app(_needed(sys.argv[1:]))
        code = app(prog_name="millmark", standalone_mode=False)  # usage errors are raised, not printed
    except typer.TyperException as error:
        write(sys.stderr, _explain(error))
        sys.exit(error.exit_code)
    except (MillmarkError, QualityError) as error:
        write(sys.stderr, f"millmark: {error}\n")
        sys.exit(error.exit_code)
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        write(sys.stderr, f"millmark: {NotInstalledError('this command', package, EXTRAS[package])}\n")
        sys.exit(NotInstalledError.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        write(sys.stderr, "millmark: interrupted\n")
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _forbid_core_files() -> None:
    """Disables core dumps: a dump of this process could contain private keys."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - POSIX only

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _explain(error: typer.TyperException) -> str:
    """One line with the cause and the help to read; empty when the help text itself was the answer."""
    cause = " ".join(error.format_message().split()).rstrip(".")
    command = getattr(getattr(error, "ctx", None), "command_path", "millmark")
    return f"millmark: {cause[:1].lower()}{cause[1:]}; see {command} --help\n" if cause else ""


if __name__ == "__main__":
    import runpy  # the way in that the console script has stands above this module: help from texts

    runpy.run_module("millmark.services.entry", run_name="__main__")
