"""`millmark quality`: models on the ledger, challenges of certificates, extracts for auditors, monitoring."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger import records
from millmark.ledger.canonical import Json
from millmark.ledger.chain import Chain
from millmark.ledger.claims import build_claims
from millmark.ledger.errors import InputError
from millmark.ledger.provenance import find_certificate, open_reader
from millmark.ledger.store import Book, Store
from millmark.quality import Dense, Network
from millmark.quality.audit import MAX_EXTRACT_BYTES, build_extract, parse_extract
from millmark.quality.model import MAX_MODEL_BYTES, model_digest, parse_model
from millmark.services.commands.context import Context, open_context
from millmark.services.files import read_bounded, write_whole
from millmark.services.inspections.extracts import (
    PreparedChallenge,
    find_extract,
    find_shared_measurements,
    prepare_challenge,
)
from millmark.services.output import AsJson, PassphraseFile, SignerUri, print_json, print_lines, utc_text, warn
from millmark.services.text.trace import describe_shared

_NOTHING = bytes(32)
_MAX_CARD_BYTES = 2**20
_MAX_CODE_BYTES = 24_575
"""The code size limit of a contract (EIP-170), minus the zero byte that precedes a model's bytes."""

ModelFile = Annotated[Path, typer.Argument(help="The model.bin that training wrote.")]
CardFile = Annotated[Path | None, typer.Option("--card", help="The model's card.json; its claims root goes on chain.")]
Lot = Annotated[str, typer.Argument(help="A lot: its identifier, or its subject in 0x-hex.")]
CertificateNumber = Annotated[
    int | None, typer.Option("--certificate", min=1, help="Number of the certificate; the lot's latest by default.")
]
ModelNumber = Annotated[int, typer.Argument(min=1, help="The model's number on the ledger.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Register models, challenge certificates, monitor models.")
    group.command("publish", epilog="Example: millmark quality publish model.bin --card card.json --signer ...")(
        run_publish
    )
    group.command("register", epilog="Example: millmark quality register model.bin --card card.json --signer ...")(
        run_register
    )
    group.command("keep", epilog="Example: millmark quality keep model.bin --card card.json")(run_keep)
    group.command("approve", epilog="Example: millmark quality approve 9 --signer ...")(run_approve)
    group.command("open", epilog="Example: millmark quality open 9 --signer ...")(run_open)
    group.command("retire", epilog="Example: millmark quality retire 9 --signer ...")(run_retire)
    group.command("withdraw", epilog="Example: millmark quality withdraw 9 --signer ...")(run_withdraw)
    group.command("extract", epilog="Example: millmark quality extract 0x... -o extract.json")(run_extract)
    group.command("challenge", epilog="Example: millmark quality challenge 0x... --signer ...")(run_challenge)
    group.command("finding", epilog="Example: millmark quality finding 0x... --defect")(run_finding)
    group.command("monitor", epilog="Example: millmark quality monitor --json")(run_monitor)
    app.add_typer(group, name="quality")


def run_publish(
    context: typer.Context,
    model: ModelFile,
    signer: SignerUri,
    card: CardFile = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Register a model and store its bytes on chain, where anyone can have one of its verdicts re-executed.

    Works for dense networks of up to some kilobytes; register others by their digest. Inspectors only.
    """
    content = read_bounded(model, MAX_MODEL_BYTES)
    _require_executable(content)
    with open_context(context.obj) as opened:
        root = _keep(opened, content, card)
        number = _record(opened, signer, passphrase_file, records.PublishModel(content, root))
    print_lines(f"model {number}, stored on chain: 0x{model_digest(content).hex()}", "an auditor must approve it next")


def run_register(
    context: typer.Context,
    model: ModelFile,
    signer: SignerUri,
    card: CardFile = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Register a model by its digest only: its verdicts can be audited off chain only. Inspectors only."""
    content = read_bounded(model, MAX_MODEL_BYTES)
    parse_model(content)
    with open_context(context.obj) as opened:
        root = _keep(opened, content, card)
        number = _record(opened, signer, passphrase_file, records.RegisterModel(model_digest(content), root))
    print_lines(f"model {number}, by digest only: 0x{model_digest(content).hex()}", "an auditor must approve it next")


def run_keep(context: typer.Context, model: ModelFile, card: CardFile = None) -> None:
    """Store a model's bytes and card locally, for extracts and monitoring. Nothing is recorded on the ledger."""
    content = read_bounded(model, MAX_MODEL_BYTES)
    parse_model(content)
    with open_context(context.obj) as opened:
        _keep(opened, content, card)
    print_lines(f"stored: 0x{model_digest(content).hex()}")


def run_approve(
    context: typer.Context, model: ModelNumber, signer: SignerUri, passphrase_file: PassphraseFile = None
) -> None:
    """Approve a registered model, so that certificates can name it. Auditors only, and not its own inspector."""
    with open_context(context.obj) as opened:
        _record(opened, signer, passphrase_file, records.ApproveModel(model, _NOTHING))
    print_lines(f"model {model} is approved")


def run_open(
    context: typer.Context,
    model: ModelNumber,
    signer: SignerUri,
    opened_to_others: Annotated[
        bool, typer.Option("--to-others/--to-none", help="Whether other inspectors may certify on it.")
    ] = True,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Let other inspectors certify on a model, or no longer. Only by its inspector."""
    with open_context(context.obj) as opened:
        _record(opened, signer, passphrase_file, records.OpenModel(model, opened_to_others))
    print_lines(f"model {model} is {'open to other inspectors' if opened_to_others else 'closed to other inspectors'}")


def run_retire(
    context: typer.Context, model: ModelNumber, signer: SignerUri, passphrase_file: PassphraseFile = None
) -> None:
    """Retire a model, irreversibly: no new certificates on it, those issued stand. Only by its inspector."""
    with open_context(context.obj) as opened:
        _record(opened, signer, passphrase_file, records.RetireModel(model, _NOTHING))
    print_lines(f"model {model} is retired; its certificates stand")


def run_withdraw(
    context: typer.Context,
    model: ModelNumber,
    signer: SignerUri,
    since: Annotated[
        int,
        typer.Option(
            min=0, help="Unix time in seconds from which it was defective: certificates from before stand. 0: none do."
        ),
    ] = 0,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Withdraw a model: its certificates become invalid at once, all of them or those issued since it was defective.

    By its inspector or approver; by any auditor if the approver is one no longer; by the registry's owner if the
    inspector is gone, too.
    """
    with open_context(context.obj) as opened:
        _record(opened, signer, passphrase_file, records.WithdrawModel(model, since, _NOTHING))
    fallen = f"those issued since {utc_text(since)} are invalid, earlier ones stand" if since else "all are invalid"
    print_lines(
        f"model {model} is withdrawn; of its certificates, {fallen}",
        f"list what it affected: millmark recall --model {model}",
    )


def run_extract(
    context: typer.Context,
    lot: Lot,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; an existing file is replaced.")],
    certificate: CertificateNumber = None,
) -> None:
    """Write an opened inference as a file for `python -m millmark.quality audit`. It discloses the measured input."""
    with open_context(context.obj) as opened:
        opened.catch_up()
        extract = find_extract(opened.store, _chain(opened), lot, certificate)
        _warn_of_reuse(opened.store, lot, certificate)
    write_whole(output, build_extract(extract))
    print_lines(f"written to {output}; re-execute it with: python -m millmark.quality audit {output}")


def run_challenge(
    context: typer.Context,
    lot: Lot,
    signer: SignerUri,
    extract: Annotated[
        Path | None, typer.Option("--extract", help="Extract that opens it; by default from your private book.")
    ] = None,
    certificate: CertificateNumber = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the input is made public.")] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Open a lot's certificate on chain, by default the one that decides about it: the contract upholds or refutes it.

    Any participant that holds the input can do so, whatever was certified after it. It also answers a demand.
    """
    with open_context(context.obj) as opened:
        opened.catch_up()
        shown = (
            find_extract(opened.store, _chain(opened), lot, certificate)
            if extract is None
            else parse_extract(read_bounded(extract, MAX_EXTRACT_BYTES))
        )
        prepared = prepare_challenge(opened.store, lot, shown, certificate)
        _announce(prepared)
        _warn_of_reuse(opened.store, lot, prepared.certificate)
        if not yes:
            typer.confirm("Record it?", abort=True, err=True)
        _record(opened, signer, passphrase_file, prepared.record)
        opened.catch_up()  # so that the status below includes the challenge
        with open_reader(opened.store) as reader:
            status = reader.status(find_certificate(reader, lot, prepared.certificate))
    print_lines(f"certificate {prepared.certificate} is {status.name.lower()}")


def _warn_of_reuse(store: Store, lot: str, certificate: int | None) -> None:
    for shared in find_shared_measurements(store, lot, certificate):
        warn(f"Attention, one measurement for several: {describe_shared(shared)}.")


def _announce(prepared: PreparedChallenge) -> None:
    size = len(prepared.record.inference.window)
    warn(f"The measured window of certificate {prepared.certificate} ({size} bytes) becomes public permanently.")
    if prepared.fault is not None:
        warn(f"Re-executed here, the certificate is wrong: {prepared.fault}.")
    else:
        warn("Re-executed here, the certificate is right and will be upheld.")
    if not prepared.executable:
        warn("The model's bytes are not on chain: the contract only checks the digest and its verdict.")


def run_finding(
    context: typer.Context,
    lot: Lot,
    defect: Annotated[bool, typer.Option("--defect/--sound", help="Whether the part had the defect.")],
    certificate: CertificateNumber = None,
) -> None:
    """Store whether a certified part proved defective or sound; the model's field precision and recall are computed
    from these findings.

    Stored locally, not on the ledger.
    """
    with open_context(context.obj) as opened:
        opened.catch_up()
        with open_reader(opened.store) as reader:
            row = find_certificate(reader, lot, certificate)
        with opened.store.transaction() as connection:
            Book(connection).put_finding(row.sequence, defect, int(time.time()))
    print_lines(f"certificate {row.sequence}: the part {'had the defect' if defect else 'was sound'}")


def run_monitor(context: typer.Context, as_json: AsJson = False) -> None:
    """Show for each model whether its inputs have drifted, and its precision and recall in the field.

    Exit code 1 on an alarm.
    """
    from millmark.services.inspections.model_health import monitor  # noqa: PLC0415 - numpy is optional

    with open_context(context.obj) as opened:
        opened.catch_up()
        found = monitor(opened.store)
    if as_json:
        print_json(context, {"models": [health.to_json() for health in found]})
    else:
        print_lines(*(line for health in found for line in health.describe()))
    if any(health.drift is not None and health.drift.alarms for health in found):
        raise typer.Exit(1)


def _require_executable(content: bytes) -> None:
    """Raises InputError for a model that the contract would refuse, by its kind or size, before anything is sent."""
    model = parse_model(content)
    dense = isinstance(model, Network) and all(isinstance(layer, Dense) for layer in model.layers)
    if not dense or len(content) > _MAX_CODE_BYTES:
        raise InputError(
            f"this model cannot be executed on chain; only dense networks of at most {_MAX_CODE_BYTES} bytes can",
            hint="register its digest instead: `millmark quality register`",
        )


def _keep(opened: Context, content: bytes, card: Path | None) -> bytes:
    """Stores model and card; returns the claims root of the card, or zeros without a card."""
    text = "" if card is None else read_bounded(card, _MAX_CARD_BYTES).decode("utf-8", "replace")
    root = _NOTHING
    with opened.store.transaction() as connection:
        book = Book(connection)
        if text:
            claims = build_claims(_parse_card(text, content))
            root = claims.root
            book.put_document(root, json.dumps(claims.to_json()))
        # Without a new card an earlier one stays: it belongs to the same bytes.
        kept = book.model(model_digest(content))
        book.put_model(model_digest(content), content, text or (kept.card if kept is not None else ""))
    return root


def _parse_card(text: str, content: bytes) -> Json:
    try:
        card = json.loads(text)
        named = card["model"]["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            "the card is not one that training wrote", hint="give the card.json next to the model"
        ) from None
    if named != model_digest(content).hex():
        raise InputError("the card belongs to another model", hint="give the card.json next to the model")
    found: Json = card
    return found


def _record(opened: Context, signer: str, passphrase_file: Path | None, record: records.Record) -> int:
    sequence = opened.record(opened.unlock(signer, passphrase_file), [record])[0].sequence
    assert sequence is not None  # noqa: S101  # a final record has one
    return sequence


def _chain(opened: Context) -> Chain | None:
    return None if opened.settings.chain_url is None else opened.chain()
