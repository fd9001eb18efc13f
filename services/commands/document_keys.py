"""`millmark documents keys`: recipient keys and their signed statements; the gateway's own data keys."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import parse_json
from millmark.ledger.chain import read_deployment
from millmark.services.commands.audit import audited
from millmark.services.commands.context import open_context, unlock
from millmark.services.commands.document_gateway import open_client
from millmark.services.directory.document import sign_statement
from millmark.services.documents import Documents, KeyRing
from millmark.services.documents.encryption import create_recipient_key, read_recipient_key
from millmark.services.files import read_bounded
from millmark.services.output import Gateway, PassphraseFile, SignerUri, TokenFile, print_document, print_lines
from millmark.services.settings import read_settings

_MAX_STATEMENT_BYTES = 4096

KeyFile = Annotated[Path, typer.Argument(help="Recipient key file (mode 0600).", dir_okay=False)]


def build_keys() -> typer.Typer:
    example = "Example: millmark documents keys "
    group = typer.Typer(
        no_args_is_help=True,
        help="Create, sign and publish the key that documents are encrypted for; rotate the gateway's own keys.",
        epilog=example + "new recipient.json",
    )
    group.command("new", epilog=example + "new recipient.json")(run_new)
    group.command("sign", epilog=example + "sign recipient.json --signer keystore:owner.json > key.json")(run_sign)
    publish = "publish key.json --gateway https://gateway.example --token-file token"
    group.command("publish", epilog=example + publish)(run_publish)
    group.command("rotate", epilog=example + "rotate")(run_rotate)
    return group


def run_new(file: KeyFile) -> None:
    """Create a recipient key (X25519) in a new file and print its public part. The private part stays in the file."""
    print_lines("0x" + create_recipient_key(file).hex())


def run_sign(context: typer.Context, file: KeyFile, signer: SignerUri, passphrase_file: PassphraseFile = None) -> None:
    """Sign, with a key of the participant, a statement that the recipient key is its own; prints it for `keys publish`.

    Neither chain nor index is needed: the deployment file names the ledger.
    """
    # No database is opened, so that the company's signing key may stay on another machine.
    public_key = read_recipient_key(file).public_key().public_bytes_raw()
    settings = read_settings(context.obj)
    unlocked, deployment = unlock(settings, signer, passphrase_file), read_deployment(settings.deployment_path)
    statement = sign_statement(deployment.chain_id, deployment.ledger, public_key, int(time.time()), unlocked)
    print_document(
        {
            "public_key": "0x" + public_key.hex(),
            "issued_at": statement.issued_at,
            "signature": "0x" + statement.signature.hex(),
        },
    )


def run_publish(
    file: Annotated[Path, typer.Argument(help="File with the output of `keys sign`.", dir_okay=False)],
    gateway: Gateway,
    token_file: TokenFile,
) -> None:
    """Register the key at a gateway, which from then on encrypts documents for it. It replaces an earlier key."""
    statement = parse_json(read_bounded(file, _MAX_STATEMENT_BYTES), max_bytes=_MAX_STATEMENT_BYTES, max_depth=2)
    with open_client(gateway, token_file) as documents:
        documents.publish_key(statement)
    print_lines(f"{gateway} encrypts documents for this key from now on")


def run_rotate(context: typer.Context) -> None:
    """Encrypt all data keys of this gateway's documents under a new key and drop the old one, which stays in a file
    beside the key file for a day. The gateway may keep running."""
    with open_context(context.obj) as opened, audited(opened.settings, "documents keys rotate", ""):
        count = Documents(opened.store, KeyRing(opened.settings.document_keys_path)).rotate()
    print_lines(f"{count} data keys are encrypted under a new key; older backups of the key file are now useless")
