"""`millmark quality`: models on the ledger, certificates opened, extracts for auditors, monitoring."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from ledger.canonical import Json
from ledger.chain import Chain
from ledger.claims import build_claims
from ledger.errors import InputError
from ledger.provenance import find_certificate, open_reader
from ledger.records import (
    ApproveModel,
    DemandOpening,
    PublishModel,
    Record,
    RegisterModel,
    RevokeCertificate,
    WithdrawModel,
)
from ledger.store import Book
from quality import Dense, Network
from quality.audit import MAX_EXTRACT_BYTES, build_extract, parse_extract
from quality.model import MAX_MODEL_BYTES, model_digest, parse_model
from services.commands.context import Context, open_context
from services.files import read_bounded, write_whole
from services.inspections.extracts import find_extract
from services.inspections.opening import Prepared, prepare_challenge
from services.options import AsJson, PassphraseFile, SignerUri
from services.output import print_json, print_lines, warn

__all__ = ["register"]

_NOTHING = bytes(32)
_MAX_CARD_BYTES = 2**20
_MAX_CODE_BYTES = 24_575
"""A contract's code limit, less the zero byte before a model."""
_MOST_REASON_CHARACTERS = 1000

ModelFile = Annotated[Path, typer.Argument(help="A model.bin that training wrote.")]
CardFile = Annotated[Path | None, typer.Option("--card", help="Its card.json, whose claims root goes on chain.")]
Lot = Annotated[str, typer.Argument(help="A lot: its identifier, or its subject in 0x-hex.")]
CertificateNumber = Annotated[
    int | None, typer.Option("--certificate", min=1, help="Its sequence; the lot's latest by default.")
]
ModelNumber = Annotated[int, typer.Argument(min=1, help="The model's number on the ledger.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, help="Register models, open and revoke certificates, watch how models do."
    )
    group.command("publish", epilog="Example: millmark quality publish model.bin --card card.json --signer ...")(
        run_publish
    )
    group.command("register", epilog="Example: millmark quality register model.bin --card card.json --signer ...")(
        run_register
    )
    group.command("keep", epilog="Example: millmark quality keep model.bin --card card.json")(run_keep)
    group.command("approve", epilog="Example: millmark quality approve 9 --signer ...")(run_approve)
    group.command("withdraw", epilog="Example: millmark quality withdraw 9 --signer ...")(run_withdraw)
    group.command("extract", epilog="Example: millmark quality extract 0x... -o extract.json")(run_extract)
    group.command("challenge", epilog="Example: millmark quality challenge 0x... --signer ...")(run_challenge)
    group.command("demand", epilog="Example: millmark quality demand 0x... --signer ...")(run_demand)
    group.command("revoke", epilog="Example: millmark quality revoke 0x... --reason 'gauge out of true' --signer ...")(
        run_revoke
    )
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
    """Register a model and keep its bytes on chain, where anybody can have a verdict of it executed again.

    For networks of dense layers of up to some kilobytes; others are registered by their digest alone. Inspectors only.
    """
    content = read_bounded(model, MAX_MODEL_BYTES)
    _require_executable(content)
    with open_context(context.obj) as opened:
        root = _keep(opened, content, card)
        number = _record(opened, signer, passphrase_file, PublishModel(content, root))
    print_lines(f"model {number}, kept on chain: 0x{model_digest(content).hex()}", "an auditor approves it next")


def run_register(
    context: typer.Context,
    model: ModelFile,
    signer: SignerUri,
    card: CardFile = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Register a model by its digest alone: its verdicts are audited off chain only. Inspectors only."""
    content = read_bounded(model, MAX_MODEL_BYTES)
    parse_model(content)
    with open_context(context.obj) as opened:
        root = _keep(opened, content, card)
        number = _record(opened, signer, passphrase_file, RegisterModel(model_digest(content), root))
    print_lines(f"model {number}, by digest alone: 0x{model_digest(content).hex()}", "an auditor approves it next")


def run_keep(context: typer.Context, model: ModelFile, card: CardFile = None) -> None:
    """Keep a model's bytes and card here, for extracts and monitoring. Nothing is recorded."""
    content = read_bounded(model, MAX_MODEL_BYTES)
    parse_model(content)
    with open_context(context.obj) as opened:
        _keep(opened, content, card)
    print_lines(f"kept: 0x{model_digest(content).hex()}")


def run_approve(
    context: typer.Context, model: ModelNumber, signer: SignerUri, passphrase_file: PassphraseFile = None
) -> None:
    """Approve a registered model, so that certificates can name it. Auditors only, and not the inspector itself."""
    with open_context(context.obj) as opened:
        _record(opened, signer, passphrase_file, ApproveModel(model, _NOTHING))
    print_lines(f"model {model} is approved")


def run_withdraw(
    context: typer.Context,
    model: ModelNumber,
    signer: SignerUri,
    since: Annotated[
        int | None, typer.Option(min=0, help="Since when it was defective, in seconds since 1970; now by default.")
    ] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Withdraw a model: every certificate that names it falls at once. Its inspector or its approver."""
    with open_context(context.obj) as opened:
        chain = opened.chain()
        defective = chain.node.header().timestamp if since is None else since
        _record(opened, signer, passphrase_file, WithdrawModel(model, defective, _NOTHING))
    print_lines(f"model {model} is withdrawn", f"what it reached: millmark recall --model {model}")


def run_extract(
    context: typer.Context,
    lot: Lot,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; one that is there is replaced.")],
    certificate: CertificateNumber = None,
) -> None:
    """Write an opened inference as one file, for `python -m quality audit`. It shows the measured input."""
    with open_context(context.obj) as opened:
        opened.catch_up()
        extract = find_extract(opened.store, _chain(opened), lot, certificate)
    write_whole(output, build_extract(extract))
    print_lines(f"written to {output}; re-execute it with: python -m quality audit {output}")


def run_challenge(
    context: typer.Context,
    lot: Lot,
    signer: SignerUri,
    extract: Annotated[
        Path | None, typer.Option("--extract", help="What opens the certificate; the own book's by default.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the input becomes public.")] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Open a lot's latest certificate on chain: the contract upholds it or refutes it.

    Any participant that holds the input can. It answers a demand for opening, too.
    """
    with open_context(context.obj) as opened:
        opened.catch_up()
        shown = (
            find_extract(opened.store, _chain(opened), lot)
            if extract is None
            else parse_extract(read_bounded(extract, MAX_EXTRACT_BYTES))
        )
        prepared = prepare_challenge(opened.store, lot, shown)
        _announce(prepared)
        if not yes:
            typer.confirm("Record it?", abort=True, err=True)
        _record(opened, signer, passphrase_file, prepared.record)
        opened.catch_up()
        with open_reader(opened.store) as reader:
            status = reader.status(find_certificate(reader, lot, prepared.certificate))
    print_lines(f"certificate {prepared.certificate} is {status.name.lower()}")


def _announce(prepared: Prepared) -> None:
    size = len(prepared.record.inference.input)
    warn(f"The measured input of certificate {prepared.certificate} ({size} bytes) becomes public for good.")
    if prepared.fault is not None:
        warn(f"Executed here, the certificate is wrong: {prepared.fault}.")
    else:
        warn("Executed here, the certificate is right: it will be upheld.")
    if not prepared.executable:
        warn("The model is not on chain: only the digest and its verdict will be checked there.")


def run_demand(context: typer.Context, lot: Lot, signer: SignerUri, passphrase_file: PassphraseFile = None) -> None:
    """Demand that a lot's latest certificate be opened within seven days, or stop counting.

    The buyer of the lot's order, or an auditor; one demand an hour.
    """
    with open_context(context.obj) as opened:
        opened.catch_up()
        with open_reader(opened.store) as reader:
            row = find_certificate(reader, lot)
        _record(opened, signer, passphrase_file, DemandOpening(row.lot, row.order or _NOTHING, row.sequence))
    print_lines(f"certificate {row.sequence} must be opened within seven days")


def run_revoke(
    context: typer.Context,
    lot: Lot,
    reason: Annotated[str, typer.Option(help="Why. It stays in the own book; the chain gets its salted hash.")],
    signer: SignerUri,
    certificate: CertificateNumber = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Take back a lot's latest certificate, for good. Only the inspector that issued it can.

    A revoked certificate opens no gate and cannot be challenged any more. A quarantine by its verdict stays.
    """
    _verify_reason(reason)
    claims = build_claims({"reason": reason})
    with open_context(context.obj) as opened:
        opened.catch_up()
        with open_reader(opened.store) as reader:
            row = find_certificate(reader, lot, certificate)
        with opened.store.transaction() as connection:  # before the record: what it commits to must not get lost
            Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
        _record(opened, signer, passphrase_file, RevokeCertificate(row.lot, row.sequence, claims.root))
    print_lines(f"certificate {row.sequence} is revoked", f"root of the reason 0x{claims.root.hex()}")


def _verify_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > _MOST_REASON_CHARACTERS or not reason.isprintable():
        raise InputError(
            "the reason is empty, too long or not printable",
            hint=f"give it in one line of at most {_MOST_REASON_CHARACTERS} characters",
        )


def run_finding(
    context: typer.Context,
    lot: Lot,
    defect: Annotated[bool, typer.Option("--defect/--sound", help="Whether the part had the defect.")],
    certificate: CertificateNumber = None,
) -> None:
    """Note what became of a certified part: the model's precision and recall in the field follow from it.

    Kept here, not on the ledger.
    """
    with open_context(context.obj) as opened:
        opened.catch_up()
        with open_reader(opened.store) as reader:
            row = find_certificate(reader, lot, certificate)
        with opened.store.transaction() as connection:
            Book(connection).put_finding(row.sequence, defect, int(time.time()))
    print_lines(f"certificate {row.sequence}: the part {'had the defect' if defect else 'was sound'}")


def run_monitor(context: typer.Context, as_json: AsJson = False) -> None:
    """Say of each model whether what it sees has drifted, and how right it was in the field.

    Exit code 1 on an alarm.
    """
    from services.inspections.monitoring import monitor  # noqa: PLC0415 - needs numpy, which others do not

    with open_context(context.obj) as opened:
        opened.catch_up()
        found = monitor(opened.store)
    if as_json:
        print_json([health.to_json() for health in found])
    else:
        print_lines(*(line for health in found for line in health.describe()))
    if any(health.drift is not None and health.drift.alarms for health in found):
        raise typer.Exit(1)


def _require_executable(content: bytes) -> None:
    """What the contract refuses for its kind or size, said before anything is sent."""
    model = parse_model(content)
    dense = isinstance(model, Network) and all(isinstance(layer, Dense) for layer in model.layers)
    if not dense or len(content) > _MAX_CODE_BYTES:
        raise InputError(
            f"this model cannot be executed on chain: only dense layers can, of up to {_MAX_CODE_BYTES} bytes in all",
            hint="register its digest instead: `millmark quality register`",
        )


def _keep(opened: Context, content: bytes, card: Path | None) -> bytes:
    """Keeps model and card; gives the card's claims root, zero without a card."""
    text = "" if card is None else read_bounded(card, _MAX_CARD_BYTES).decode("utf-8", "replace")
    root = _NOTHING
    with opened.store.transaction() as connection:
        book = Book(connection)
        if text:
            claims = build_claims(_parse_card(text, content))
            root = claims.root
            book.put_document(root, json.dumps(claims.to_json()))
        kept = book.model(model_digest(content))
        book.put_model(model_digest(content), content, text or (kept.card if kept is not None else ""))
    return root


def _parse_card(text: str, content: bytes) -> Json:
    try:
        card = json.loads(text)
        named = card["model"]["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            "the card is not one that training wrote", hint="give the card.json beside the model"
        ) from None
    if named != model_digest(content).hex():
        raise InputError("the card is another model's", hint="give the card.json beside the model")
    found: Json = card
    return found


def _record(opened: Context, signer: str, passphrase_file: Path | None, record: Record) -> int:
    sequence = opened.record(opened.unlock(signer, passphrase_file), [record])[0].sequence
    assert sequence is not None  # noqa: S101  # a final record has one
    return sequence


def _chain(opened: Context) -> Chain | None:
    return None if opened.settings.chain_url is None else opened.chain()
