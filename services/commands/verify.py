"""`millmark verify`: check a provenance file offline."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from millmark.ledger.ages import DAY_S, DEFAULT_MAX_AGE_S, MAX_ANCESTRY
from millmark.ledger.verify.files import fail, tell, verify_files
from millmark.services.output import AsJson


def register(app: typer.Typer) -> None:
    app.command("verify", epilog="Example: millmark verify part.bundle --trust trust.json")(run_verify)


def run_verify(
    bundle: Path = typer.Argument(help="Provenance file to verify.", dir_okay=False),
    trust: Path = typer.Option(..., help="Trust file to verify it with.", dir_okay=False),
    max_age: float = typer.Option(
        DEFAULT_MAX_AGE_S / DAY_S, min=0, max=1e6, metavar="DAYS", help="Maximum age of the proof block."
    ),
    max_behind: int = typer.Option(
        MAX_ANCESTRY,
        min=0,
        max=MAX_ANCESTRY,
        metavar="BLOCKS",
        help="How many blocks the proof block may be before the one that is believed.",
    ),
    any_status: bool = typer.Option(
        False,
        "--any-status",
        help="Also accept parts that are quarantined or spent, or lack a valid certificate or an identifier.",
    ),
    as_json: AsJson = False,
) -> None:
    """Verify a provenance file offline. Exit code 0: verified; 1: refused, naming the step; 2: unusable
    input; 3: no answer, or none could be printed."""
    try:
        answer = verify_files(
            bundle,
            trust,
            now_s=int(time.time()),
            max_age_days=max_age,
            max_behind=max_behind,
            any_status=any_status,
        )
        raise typer.Exit(tell(answer, as_json=as_json))
    except MemoryError as error:
        raise typer.Exit(fail(error)) from None
