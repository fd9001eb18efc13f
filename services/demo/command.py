"""`millmark demo`: run the main job on real signals."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getpass
from pathlib import Path
from typing import Annotated, TextIO

import typer

from millmark.ledger.chain import find_profile
from millmark.ledger.errors import InputError
from millmark.ledger.keys import open_signer
from millmark.services.output import print_lines, warn
from millmark.services.products import Catalogue
from millmark.services.settings import check_environment

_OUT = Path("millmark-demo")
Output = Annotated[Path, typer.Option("--out", help="Folder of the demonstration.", file_okay=False)]


def register(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True, epilog="Example: millmark demo --orders 12 --json out.json")
    group.callback()(run)
    group.command("open", epilog="Example: millmark demo open")(run_open)
    app.add_typer(group, name="demo")


def run_open(output: Output = _OUT) -> None:
    """Start the chain and all gateways of a finished demonstration, and print a link for each role, until Ctrl-C."""
    from millmark.services.demo.opening import open_demo  # noqa: PLC0415 - a web framework, used here only
    from millmark.services.demo.processes import leaving_on_signals  # noqa: PLC0415 - used here only
    from millmark.services.demo.report import describe_links  # noqa: PLC0415 - numpy is optional

    check_environment()
    with leaving_on_signals(), open_demo(output, warn) as opened:
        print_lines(*describe_links(opened.finished), "", "open until Ctrl-C, which stops the chain and all gateways")
        sys.stdout.flush()
        opened.attend()
        warn("stopping the chain and all gateways ...")


def run(
    context: typer.Context,
    orders: int = typer.Option(24, min=1, max=500, help="Number of orders, each configured differently."),
    product: str = typer.Option(
        "crankshaft", help="What is made: crankshaft, implant, appliance, garment, or the file of a product."
    ),
    output: Output = _OUT,
    fast: bool = typer.Option(
        False, "--fast", help="In one process and one database, instead of a home and a gateway for each company."
    ),
    data: Path | None = typer.Option(
        None,
        help="Your own measured windows (CSV or TSV, label first in each row; default: FordA, downloaded once), or a "
        "folder with them, orders.csv and calendars.",
    ),
    report: Path | None = typer.Option(None, "--json", help="Also write everything to this file, as JSON."),
    chain_url: str | None = typer.Option(
        None, "--chain-url", help="JSON-RPC of a chain that runs already, instead of an embedded one."
    ),
    engine: str = typer.Option("besu-qbft", "--engine", help="Kind of that chain, see SETTINGS.md."),
    treasury: str | None = typer.Option(
        None, "--treasury", help="Key with funds there, if that chain takes fees: keystore:FILE or file:FILE."
    ),
    treasury_passphrase_file: Path | None = typer.Option(
        None, "--treasury-passphrase-file", help="File (mode 0600) with its passphrase.", dir_okay=False
    ),
) -> None:
    """Run the main job on real signals: orders, assignments, evidence, inspection, certificates, custody, trace.

    Then `millmark demo open` opens its pages.
    """
    if context.invoked_subcommand is not None:
        return
    from millmark.services.demo.given import ExistingChain  # noqa: PLC0415  # for a run alone
    from millmark.services.demo.home import read_finished  # noqa: PLC0415  # for a run alone
    from millmark.services.demo.processes import leaving_on_signals  # noqa: PLC0415  # for a run alone
    from millmark.services.demo.report import build_json, print_summary  # noqa: PLC0415 - numpy is optional
    from millmark.services.demo.run import run_demo, run_in_life  # noqa: PLC0415  # the import takes a second

    check_environment()  # its last step reads settings, after minutes of work
    made = Catalogue().find(product)
    payer = open_signer(treasury, passphrase_file=treasury_passphrase_file, prompt=getpass) if treasury else None
    existing = None if chain_url is None else ExistingChain(chain_url, find_profile(engine), payer)
    with leaving_on_signals(), _opened(report) as file:  # before the work, which takes a while
        result = (run_demo if fast else run_in_life)(output, orders, data, warn, made, existing)
        if file is not None:
            file.write(json.dumps(build_json(result), indent=2) + "\n")
    print_lines("")
    print_summary(result, read_finished(output), _program())


@contextmanager
def _opened(report: Path | None) -> Iterator[TextIO | None]:
    """Opens the report file before the work begins, so that a wrong path fails at once. Raises InputError."""
    if report is None:
        yield None
        return
    try:
        file = report.open("w")
    except OSError as error:
        raise InputError(f"{report} cannot be written: {error.strerror}", hint="name another file") from error
    with file:
        yield file


def _program() -> str:
    """The shortest way to call this program again from the current folder."""
    return min(sys.argv[0], os.path.relpath(sys.argv[0]), key=len)
