"""`millmark documents keys`: a recipient's key and who says whose it is; the gateway's own keys."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ledger.errors import NotFoundError
from ledger.signatures import Signer
from ledger.store import AccessDesk, SharingDesk
from services.commands.audit import audited
from services.commands.options import PassphraseFile, SignerUri
from services.context import Context, open_context
from services.documents import Documents, KeyRing
from services.documents.key_files import create_recipient_key, read_recipient_key
from services.documents.recipient_keys import KeyStatement, sign_statement
from services.output import print_json, print_lines

__all__ = ["build_keys"]

KeyFile = Annotated[Path, typer.Argument(help="The recipient's key file (mode 0600).", dir_okay=False)]


def build_keys() -> typer.Typer:
    example = "Example: millmark documents keys "
    group = typer.Typer(
        no_args_is_help=True,
        help="Make and sign the key that documents are wrapped for; rotate the gateway's own.",
        epilog=example + "new recipient.json",
    )
    group.command("new", epilog=example + "new recipient.json")(run_new)
    group.command("sign", epilog=example + "sign recipient.json --signer keystore:owner.json > key.json")(run_sign)
    group.command("rotate", epilog=example + "rotate")(run_rotate)
    return group


def run_new(file: KeyFile) -> None:
    """Make a recipient's key (X25519) in a new file, and print its public part. It never leaves the file."""
    print_lines("0x" + create_recipient_key(file).hex())


def run_sign(context: typer.Context, file: KeyFile, signer: SignerUri, passphrase_file: PassphraseFile = None) -> None:
    """Say, signed with a key of the participant, whose key it is; prints what `PUT /v1/recipient-key` takes."""
    public_key = read_recipient_key(file).public_key().public_bytes_raw()
    with open_context(context.obj) as opened:
        unlocked = opened.unlock(signer, passphrase_file)
        statement = _statement(opened, unlocked, public_key)
    print_json(
        {
            "public_key": "0x" + public_key.hex(),
            "issued_at": statement.issued_at,
            "signature": "0x" + sign_statement(statement, unlocked).hex(),
        }
    )


def run_rotate(context: typer.Context) -> None:
    """Wrap all data keys of this gateway's documents under a new key, and forget the old one. A gateway may run."""
    with open_context(context.obj) as opened, audited(opened.settings, "documents keys rotate", ""):
        count = Documents(opened.store, KeyRing(opened.settings.document_keys_path)).rotate()
    print_lines(f"{count} data keys are wrapped under a new key; older backups of the key file open nothing any more")


def _statement(opened: Context, signer: Signer, public_key: bytes) -> KeyStatement:
    """Of the signer's participant, on the ledger that the index follows."""
    opened.catch_up()
    with opened.store.reading() as connection:
        identity = SharingDesk(connection).identity()
        participant = AccessDesk(connection).participant_of(signer.address)
    if identity is None or participant is None:
        raise NotFoundError("the key signs for no participant in the index", mend="see `millmark participants list`")
    return KeyStatement(identity.chain_id, identity.ledger, participant.number, public_key, int(time.time()))
