"""`millmark bundle`: write a provenance file for a partner."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.bundle import parse_bundle
from millmark.ledger.checkpoint import MAX_CHECKPOINT_BYTES, SignedCheckpoint, parse_checkpoint
from millmark.ledger.errors import InputError, SealsError
from millmark.ledger.headers import parse_header
from millmark.ledger.provenance import build_bundle, parse_disclosing
from millmark.ledger.seals import parse_extra
from millmark.services.commands.context import open_context
from millmark.services.files import read_bounded, write_whole
from millmark.services.output import AsJson, print_json, print_lines


def register(app: typer.Typer) -> None:
    app.command(
        "bundle",
        epilog="Example: millmark bundle https://id.gs1.org/01/09506000013459/21/A0001 -o A0001.bundle "
        "--disclose names --disclose /legal_name",
    )(run_bundle)


def run_bundle(
    context: typer.Context,
    identifiers: Annotated[list[str], typer.Argument(help="Lots, as identifiers or as subjects in 0x-hex.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; an existing file is replaced.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="Co-signed block that the receiver starts from; the latest by default."),
    ] = None,
    disclose: Annotated[
        list[str] | None,
        typer.Option(
            help="What to disclose besides the records: names, claims, evidence, inferences, or a JSON pointer to a "
            "field of a claims document, such as /legal_name. May be repeated."
        ),
    ] = None,
    unrelated: Annotated[
        bool, typer.Option(help="Also show lots made for others from the same material, which are withheld by default.")
    ] = False,
    audit: Annotated[
        bool,
        typer.Option("--audit", help="Write the inference of one lot instead, for `python -m millmark.quality audit`."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write one file that proves where the lots come from, with every record of them. It is verified before writing."""
    if audit:
        _write_extract(context, identifiers, output)
        return
    disclosing = parse_disclosing(disclose or [], unrelated=unrelated)
    point = read_point(checkpoint)
    with open_context(context.obj) as opened:
        chain = opened.chain()
        opened.catch_up()
        data = build_bundle(opened.store, chain, identifiers, disclosing, point)
    write_whole(output, data)
    found = describe_bundle(data, output)
    if as_json:
        print_json(context, found)
    else:
        print_lines(
            f"{found['records']} records of {found['histories']} orders and lots, "
            f"{found['withheld_records']} more withheld",
            f"as of block {found['block_number']}, {found['bytes']} bytes, written to {output}",
            *_describe_seals(found),
            # With the block: the chain goes on, and a trust file of a later block does not lead to this one.
            f"next: millmark trust -o trust.json --block {found['checkpoint_number']}, and wherever both files are: "
            f"millmark verify {output} --trust trust.json",
        )


def _describe_seals(found: dict[str, object]) -> list[str]:
    """On networks whose blocks have no seals, nothing is said about them."""
    if found["seals"]:
        return [f"its block is sealed by {found['seals']} validators: millmark trust --validators believes it by these"]
    if found["unsealed"]:
        return [f"without seals, although its block is of QBFT: {found['unsealed']}"]
    return []


def _write_extract(context: typer.Context, identifiers: list[str], output: Path) -> None:
    from millmark.quality.audit import build_extract  # noqa: PLC0415 - needed for `--audit` alone
    from millmark.services.inspections.extracts import find_extract  # noqa: PLC0415 - as above

    if len(identifiers) != 1:
        raise InputError("an extract covers exactly one lot", hint="give one identifier with --audit")
    with open_context(context.obj) as opened:
        # An unreachable chain is not an obstacle: the book may hold the model's bytes.
        silent = opened.catch_up()
        chain = None if silent is not None or opened.settings.chain_url is None else opened.chain()
        extract = find_extract(opened.store, chain, identifiers[0])
    write_whole(output, build_extract(extract))
    print_lines(f"written to {output}; re-execute it with: python -m millmark.quality audit {output}")


def read_point(path: Path | None) -> SignedCheckpoint | None:
    """Reads a checkpoint file; None if no path is given. Raises InputError, CheckpointError."""
    return None if path is None else parse_checkpoint(read_bounded(path, MAX_CHECKPOINT_BYTES))


def describe_bundle(data: bytes, output: Path) -> dict[str, object]:
    """Summary of a bundle, in JSON types: file, size, blocks, parts (0x-hex), and counts."""
    bundle = parse_bundle(data)
    links = {link for history in bundle.histories for link in history.records if not isinstance(link, int)}
    return {
        "file": str(output),
        "bytes": len(data),
        "block_number": parse_header(bundle.headers[0]).number,
        "checkpoint_number": parse_header(bundle.headers[-1]).number,
        "parts": ["0x" + part.hex() for part in bundle.parts],
        "histories": len(bundle.histories),
        "records": len(bundle.records),
        "withheld_records": len(links),
        "seals": 0 if bundle.seals is None else len(bundle.seals.seals.seals),
        "unsealed": None if bundle.seals is not None else _find_why_unsealed(bundle.headers[-1]),
    }


def _find_why_unsealed(header: bytes) -> str | None:
    """Why a bundle with this header has no seals; None if its network has none."""
    try:
        listed = parse_extra(parse_header(header).extra_data).validators
    except SealsError:
        return None
    return "the node holds no quorum of valid ones" if listed else "the network keeps its validators in a contract"
