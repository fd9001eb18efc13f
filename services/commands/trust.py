"""`millmark checkpoint` and `millmark trust`: the files that a verifier starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.chain import fetch_checkpoint, fetch_validators, verify_seen
from millmark.ledger.checkpoint import (
    MAX_CHECKPOINT_BYTES,
    SignedCheckpoint,
    combine_checkpoints,
    parse_checkpoint,
    sign_checkpoint,
    verify_believed,
)
from millmark.ledger.errors import InputError
from millmark.ledger.keys import to_checksum
from millmark.ledger.provenance import build_trust_file
from millmark.ledger.seals import quorum_of
from millmark.ledger.signatures import parse_address
from millmark.ledger.trust import MAX_TRUST_BYTES, BelievedBlock, TrustFile, Validator, Validators, parse_trust
from millmark.services.commands.context import open_context
from millmark.services.files import read_bounded, write_whole
from millmark.services.output import AsJson, PassphraseFile, SignerUri, print_json, print_lines

Output = Annotated[Path, typer.Option("-o", "--output", help="File to write; an existing file is replaced.")]
Number = Annotated[int | None, typer.Option("--block", min=0, help="Number of a final block; the latest by default.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Fetch, co-sign and combine checkpoints for verifiers.")
    group.command("fetch", epilog="Example: millmark checkpoint fetch -o block.json")(run_fetch)
    group.command(
        "sign", epilog="Example: millmark checkpoint sign block.json --signer keystore:alder.json -o alder-signed.json"
    )(run_sign)
    group.command(
        "combine", epilog="Example: millmark checkpoint combine alder-signed.json birch-signed.json -o checkpoint.json"
    )(run_combine)
    app.add_typer(group, name="checkpoint")
    app.command("trust", epilog="Example: millmark trust -o trust.json --validators")(run_trust)


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
        block_hash = "0x" + point.block_hash.hex()
        print_json(
            context,
            {"file": str(output), "block_number": point.block_number, "block_hash": block_hash, "signers": signers},
        )
        return
    print_lines(
        f"block {point.block_number} 0x{point.block_hash.hex()} of chain {point.chain_id}",
        f"signed by {', '.join(signers) or 'nobody yet'}",
        f"written to {output}",
    )
