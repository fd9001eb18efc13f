"""`millmark keys`: key files on this machine, and the keys of a participant on the chain."""

from __future__ import annotations

from typing import Annotated

import typer

from ledger.keys import create_key, parse_address, to_checksum
from ledger.records import AcceptKey, ProposeKey, RevokeKey
from services.commands.options import PassphraseFile, SignerUri
from services.context import ask, open_context, unlock
from services.output import print_lines
from services.settings import read_settings

__all__ = ["register"]

Place = Annotated[str, typer.Argument(help="New keystore file, or pkcs11:token=NAME;object=LABEL.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Make key files; propose, accept and revoke keys of a participant.")
    group.command("new", epilog="Example: millmark keys new owner.json --passphrase-file owner.pass")(run_new)
    group.command("show", epilog="Example: millmark keys show --signer keystore:owner.json")(run_show)
    group.command("propose", epilog="Example: millmark keys propose 0x... --signer keystore:old.json")(run_propose)
    group.command("accept", epilog="Example: millmark keys accept 3 --signer keystore:new.json")(run_accept)
    group.command("revoke", epilog="Example: millmark keys revoke 0x... --signer keystore:other.json")(run_revoke)
    app.add_typer(group, name="keys")


def run_new(context: typer.Context, place: Place, passphrase_file: PassphraseFile = None) -> None:
    """Make a new key in a keystore file (mode 0600) or in a hardware token, never over an existing one."""
    module = read_settings(context.obj).pkcs11_module
    address = create_key(place, passphrase_file=passphrase_file, prompt=ask, pkcs11_module=module)
    print_lines(to_checksum(address))


def run_show(context: typer.Context, signer: SignerUri, passphrase_file: PassphraseFile = None) -> None:
    """Print the address of a key."""
    print_lines(to_checksum(unlock(read_settings(context.obj), signer, passphrase_file).address))


def run_propose(
    context: typer.Context, address: str, signer: SignerUri, passphrase_file: PassphraseFile = None
) -> None:
    """Propose a further key for the signer's participant; the new key must accept."""
    proposed = parse_address(address)
    with open_context(context.obj) as opened:
        opened.record(opened.unlock(signer, passphrase_file), [ProposeKey(proposed)])
    print_lines(f"proposed {to_checksum(proposed)}; now run `millmark keys accept` with it")


def run_accept(
    context: typer.Context, participant: int, signer: SignerUri, passphrase_file: PassphraseFile = None
) -> None:
    """Accept, as the proposed key, to sign for a participant."""
    with open_context(context.obj) as opened:
        opened.record(opened.unlock(signer, passphrase_file), [AcceptKey(participant)])
    print_lines(f"the key signs for participant {participant}")


def run_revoke(
    context: typer.Context,
    address: str,
    signer: SignerUri,
    compromised_since: int = typer.Option(0, min=0, help="Seconds since 1970; 0 when it is merely retired."),
    passphrase_file: PassphraseFile = None,
) -> None:
    """Revoke a key of the signer's participant, never its last."""
    revoked = parse_address(address)
    with open_context(context.obj) as opened:
        opened.record(opened.unlock(signer, passphrase_file), [RevokeKey(revoked, compromised_since)])
    print_lines(f"revoked {to_checksum(revoked)}")
