"""`millmark digital-link` and `millmark epcis`."""

from __future__ import annotations

from pathlib import Path

import typer

from ledger.errors import InputError
from services.interop.digital_link import build_qr_svg, read_link
from services.interop.epcis.documents import hash_events, read_bytes
from services.output import print_json, print_lines

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command(
        "digital-link",
        epilog="Example: millmark digital-link 'https://id.gs1.org/01/09506000013459/21/A0001?17=271231'",
    )(run_digital_link)
    epcis = typer.Typer(help="EPCIS 2.0 events from a partner's system.", no_args_is_help=True)
    epcis.command("hash", epilog="Example: millmark epcis hash events.jsonld")(run_hash)
    app.add_typer(epcis, name="epcis")


def run_digital_link(
    uri: str,
    qr: Path | None = typer.Option(None, "--qr", help="Also write the link as a QR code, as SVG, to this file."),
) -> None:
    """Check a GS1 Digital Link; print its values by application identifier and its canonical form, as JSON."""
    report = read_link(uri)
    if qr is not None:
        _write(qr, build_qr_svg(uri))
    print_json(report.to_json())


def run_hash(file: Path = typer.Argument(help="EPCIS document: JSON-LD or XML, or one event as JSON-LD.")) -> None:
    """Print the event hash (CBV 2.0) of every event in the file, one `ni:` URI a line."""
    print_lines(*hash_events(read_bytes(file)))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", mend="name a file in a folder that exists") from None
