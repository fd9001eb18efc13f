"""`millmark bundle`, `checkpoint` and `trust`: a provenance file for a partner, and what its verifier starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.bundle import parse_bundle
from millmark.ledger.chain import fetch_checkpoint, fetch_validators, verify_seen
from millmark.ledger.checkpoint import (
    MAX_CHECKPOINT_BYTES,
    SignedCheckpoint,
    combine_checkpoints,
    parse_checkpoint,
    sign_checkpoint,
    verify_believed,
)
from millmark.ledger.errors import InputError, SealsError
from millmark.ledger.headers import parse_header
from millmark.ledger.provenance import build_bundle, build_trust_file, parse_disclosing
from millmark.ledger.seals import parse_extra, quorum_of
from millmark.ledger.signatures import parse_address, to_checksum
from millmark.ledger.trust import MAX_TRUST_BYTES, BelievedBlock, TrustFile, Validator, Validators, parse_trust
from millmark.quality.audit import build_extract
from millmark.services.commands.context import open_context
from millmark.services.files import read_bounded, write_whole
from millmark.services.inspections.extracts import find_extract
from millmark.services.output import AsJson, PassphraseFile, SignerUri, print_json, print_lines


def register(app: typer.Typer) -> None:
    app.command(
        "bundle",
        epilog="Example: millmark bundle https://id.gs1.org/01/09506000013459/21/A0001 -o A0001.bundle "
        "--disclose names --disclose /legal_name",
    )(run_bundle)
    checkpoint = typer.Typer(no_args_is_help=True, help="Fetch, co-sign and combine checkpoints for verifiers.")
    checkpoint.command("fetch", epilog="Example: millmark checkpoint fetch -o block.json")(run_fetch)
    checkpoint.command(
        "sign", epilog="Example: millmark checkpoint sign block.json --signer keystore:alder.json -o alder-signed.json"
    )(run_sign)
    checkpoint.command(
        "combine", epilog="Example: millmark checkpoint combine alder-signed.json birch-signed.json -o checkpoint.json"
    )(run_combine)
    app.add_typer(checkpoint, name="checkpoint")
    app.command("trust", epilog="Example: millmark trust -o trust.json --validators")(run_trust)


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
    return None if path is None else _read_checkpoint(path)


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


Output = Annotated[Path, typer.Option("-o", "--output", help="File to write; an existing file is replaced.")]
Number = Annotated[int | None, typer.Option("--block", min=0, help="Number of a final block; the latest by default.")]


def run_fetch(context: typer.Context, output: Output, block: Number = None, as_json: AsJson = False) -> None:
    """Write a final block of your own node as an unsigned checkpoint. Warns if your index differs from the chain."""
    with open_context(context.obj) as opened:
        found = SignedCheckpoint(fetch_checkpoint(opened.chain(), block))
        opened.warn_of_differences()
    write_whole(output, found.to_bytes())
    _print(context, found, output, as_json)


def run_sign(
    context: typer.Context,
    checkpoint: Path,
    signer: SignerUri,
    output: Output,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Sign a checkpoint after checking that your own node has that very block. Signatures in the input are dropped."""
    point = _read_checkpoint(checkpoint).checkpoint
    with open_context(context.obj) as opened:
        verify_seen(opened.chain(), point)  # a co-signer vouches only for what its own node has seen
        signed = sign_checkpoint(point, opened.unlock(signer, passphrase_file))
        opened.warn_of_differences()
    write_whole(output, signed.to_bytes())
    _print(context, signed, output, as_json)


def run_combine(
    context: typer.Context,
    checkpoints: list[Path],
    output: Output,
    trust: Annotated[Path | None, typer.Option("--trust", help="Trust file whose quorum the result must have.")] = None,
    as_json: AsJson = False,
) -> None:
    """Combine the signatures of several files about one block into one file."""
    whole = combine_checkpoints([_read_checkpoint(path) for path in checkpoints])
    if trust is not None:
        _verify_quorum(parse_trust(read_bounded(trust, MAX_TRUST_BYTES)), whole)
    write_whole(output, whole.to_bytes())
    _print(context, whole, output, as_json)


def run_trust(
    context: typer.Context,
    output: Output,
    block: Number = None,
    quorum: Annotated[
        int | None,
        typer.Option(min=1, help="Trust blocks that this many participants signed, instead of one block."),
    ] = None,
    cosigner: Annotated[
        list[int] | None, typer.Option(help="Participant whose signature counts; may be repeated. All by default.")
    ] = None,
    validators: Annotated[
        bool,
        typer.Option(
            "--validators",
            help="Trust blocks that enough validators sealed: those that your own node's last final block lists. With "
            "--quorum, co-signers vouch for validators that changed long ago.",
        ),
    ] = False,
    validator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS[=PARTICIPANT]",
            help="Trust blocks that these validators sealed, and name the participant that runs each; may be repeated.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a trust file with chain, contracts and participants as your own node reports them."""
    given = [_parse_validator(text) for text in validator or []]
    if validators and given:
        raise InputError(
            "validators are those of your own node or those that you name, not both",
            hint="give --validators, or --validator for each of them",
        )
    _verify_choice(block, quorum, cosigner, sealed=validators or bool(given))
    with open_context(context.obj) as opened:
        opened.catch_up()
        chain = opened.chain()
        believed = [Validator(address) for address in fetch_validators(chain)] if validators else given
        trust = build_trust_file(opened.store, chain, block, quorum, cosigner or [], believed)
    write_whole(output, trust.to_bytes())
    if as_json:
        print_json(context, {"file": str(output), **_described(trust)})
    else:
        print_lines(*(f"{name:<13} {value}" for name, value in _described(trust).items()), f"written to {output}")
        print_lines(f"next, wherever a bundle is: millmark verify BUNDLE --trust {output}")


def _verify_choice(block: int | None, quorum: int | None, cosigners: list[int] | None, *, sealed: bool) -> None:
    """Raises InputError unless the options name one way to believe."""
    if block is not None and (quorum is not None or sealed):
        raise InputError(
            "a trust file names one block or who makes blocks believable, not both",
            hint="give --block, or --quorum or --validators",
        )
    if cosigners and quorum is None:
        raise InputError("co-signers need a quorum", hint="give --quorum as well")


def _described(trust: TrustFile) -> dict[str, object]:
    found: dict[str, object] = {"chain": trust.chain_id, "ledger": to_checksum(trust.ledger.address)}
    if isinstance(trust.checkpoint, BelievedBlock):
        found["block"] = trust.checkpoint.number
        found["block hash"] = "0x" + trust.checkpoint.hash.hex()
    if isinstance(trust.checkpoint, Validators):
        addresses = [to_checksum(address) for address in trust.checkpoint.addresses]
        found["sealed by"] = f"{quorum_of(len(addresses))} of {len(addresses)}"
        found["validators"] = " ".join(addresses)
    if trust.cosigners is not None:
        found["quorum"] = trust.cosigners.quorum
        found["co-signers"] = len({key.participant for key in trust.cosigners.keys})
    return found


def _parse_validator(text: str) -> Validator:
    """Parses ADDRESS or ADDRESS=PARTICIPANT. Raises InputError, SigningError."""
    address, equals, number = text.partition("=")
    if equals and not (number.isascii() and number.isdigit()):
        raise InputError(f"{text!a} is not a validator", hint="write its address, or its address=participant's number")
    return Validator(parse_address(address), int(number) if equals else None)


def _verify_quorum(trust: TrustFile, whole: SignedCheckpoint) -> None:
    if trust.cosigners is None:
        raise InputError(
            "this trust file has no co-signers and requires no signatures", hint="give a trust file with a quorum"
        )
    verify_believed(trust, whole)


def _read_checkpoint(path: Path) -> SignedCheckpoint:
    return parse_checkpoint(read_bounded(path, MAX_CHECKPOINT_BYTES))


def _print(context: typer.Context, signed: SignedCheckpoint, output: Path, as_json: bool) -> None:
    point, signers = signed.checkpoint, [to_checksum(address) for address in signed.signers()]
    if as_json:
        block = {"block_number": point.block_number, "block_hash": "0x" + point.block_hash.hex()}
        print_json(context, {"file": str(output), **block, "signers": signers})
        return
    print_lines(
        f"block {point.block_number} 0x{point.block_hash.hex()} of chain {point.chain_id}",
        f"signed by {', '.join(signers) or 'nobody yet'}",
        f"written to {output}",
    )
