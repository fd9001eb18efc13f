"""`millmark note`: what is said about orders and lots."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ledger.claims import build_claims
from ledger.errors import InputError
from ledger.ids import SubjectKind
from ledger.keys import Signer
from ledger.provenance import open_reader
from ledger.provenance.resolve import find_subject
from ledger.records import Note, NoteKind
from ledger.store import Book, Registry
from services.commands.context import Context, open_context
from services.gateway.recording.build_records import find_grounds
from services.options import PassphraseFile, SignerUri
from services.output import print_lines

__all__ = ["register"]

_KINDS = {kind.name.lower().replace("_", "-"): int(kind) for kind in NoteKind}


def register(app: typer.Typer) -> None:
    app.command(
        "note", epilog="Example: millmark note urn:example:part-1 --kind recall-notice --text ... --signer ..."
    )(run_note)


def run_note(
    context: typer.Context,
    things: Annotated[list[str], typer.Argument(help="Identifiers or subjects of lots and orders.")],
    text: Annotated[str, typer.Option(help="What is said; only its salted hash goes on the chain.")],
    signer: SignerUri,
    kind: Annotated[str, typer.Option(help=", ".join(_KINDS) + ", or a number agreed on.")] = "observation",
    passphrase_file: PassphraseFile = None,
) -> None:
    """Say something about lots or orders that the signer's company has a part in. It changes no state."""
    number, claims = _kind(kind), build_claims({"text": text})
    with open_context(context.obj) as opened:
        opened.catch_up()
        key = opened.unlock(signer, passphrase_file)
        creator = _participant(opened, key)
        with open_reader(opened.store) as reader:
            subjects = [find_subject(reader, one, SubjectKind.LOT, SubjectKind.ORDER)[1] for one in things]
            asked = {"subjects": ["0x" + one.hex() for one in subjects], "creator": creator}
            found = find_grounds(reader, asked)
        with opened.store.transaction() as connection:  # first: a crash must not lose what the record commits to
            Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
        [done] = opened.record(key, [Note(found["subjects"], found["grounds"], number, claims.root)])
    print_lines(f"record {done.sequence}: a note on {len(found['subjects'])} histories")


def _participant(opened: Context, key: Signer) -> int:
    with opened.store.reading() as connection:
        found = Registry(connection).participant_of(key.address)
    if found is not None:
        return found.number
    return 0  # the contract judges whether the key is the owner's


def _kind(text: str) -> int:
    number = _KINDS.get(text) or (int(text) if text.isdecimal() else 0)
    if not 0 < number < 1 << 16:
        raise InputError(f"unknown kind of note {text[:80]!r}", hint=f"use {', '.join(_KINDS)}, or a number")
    return number
