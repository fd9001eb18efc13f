"""`millmark participants`: admit, list, suspend and reinstate the companies of the consortium."""

from __future__ import annotations

import json
from typing import Annotated, cast

import typer

from ledger.claims import build_claims
from ledger.errors import InputError
from ledger.ids import canonical_identifier
from ledger.keys import parse_address, to_checksum
from ledger.provenance import participants
from ledger.records import Admit, Contract, Reinstate, Role, SetRoles, Suspend
from ledger.store import Book
from services.commands.context import open_context
from services.options import AsJson, PassphraseFile, SignerUri
from services.output import print_json, print_lines, print_table

__all__ = ["register"]

_NOTHING = bytes(32)


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Admit, list, suspend and reinstate participants.")
    group.command("list", epilog="Example: millmark participants list --json")(run_list)
    group.command(
        "admit", epilog="Example: millmark participants admit 'Alder Forge' 0x... --roles MANUFACTURER --signer ..."
    )(run_admit)
    group.command("roles", epilog="Example: millmark participants roles 3 MANUFACTURER,CARRIER --signer ...")(run_roles)
    group.command("suspend", epilog="Example: millmark participants suspend 3 --signer ...")(run_suspend)
    group.command("reinstate", epilog="Example: millmark participants reinstate 3 --signer ...")(run_reinstate)
    app.add_typer(group, name="participants")


def parse_roles(text: str) -> Role:
    """Reads role names separated by commas. Raises InputError naming the first unknown one."""
    roles = Role(0)
    for name in text.split(","):
        if name.strip().upper() not in Role.__members__:
            raise InputError(f"unknown role {name.strip()!r}", hint=f"use {', '.join(Role.__members__)}")
        roles |= Role[name.strip().upper()]
    return roles


def run_list(context: typer.Context, as_json: AsJson = False) -> None:
    """List the participants in the index, with their roles and keys."""
    with open_context(context.obj) as opened:
        opened.catch_up()
        found = participants(opened.store)
    if as_json:
        print_json([participant.to_json() for participant in found])
        return
    rows = [
        [
            entry.participant,
            entry.name or "",
            ", ".join(entry.roles),
            "suspended" if entry.suspended else "active",
            " ".join(to_checksum(key) for key in entry.keys),
        ]
        for entry in found
    ]
    print_table("participants", ["id", "name", "roles", "state", "keys"], rows)


def run_admit(
    context: typer.Context,
    name: str,
    key: str,
    signer: SignerUri,
    roles: str = typer.Option(..., help="Role names separated by commas: " + ", ".join(Role.__members__)),
    gln: Annotated[str, typer.Option(help="Party GLN, which names the company in EPCIS events.")] = "",
    passphrase_file: PassphraseFile = None,
) -> None:
    """Admit a company with its first key. Owner of the registry only."""
    mask, address = parse_roles(roles), parse_address(key)
    if gln:
        canonical_identifier(f"https://id.gs1.org/417/{gln}")  # raises for a wrong check digit, before anything is sent
    claims = build_claims({"legal_name": name, **({"gln": gln} if gln else {})})
    with open_context(context.obj) as opened:
        with opened.store.transaction() as connection:  # first: a crash must not lose what the record commits to
            Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
        opened.record(opened.unlock(signer, passphrase_file), [Admit(int(mask), address, claims.root)])
        # The contract assigns the number, so the name can be stored only now. A crash before that leaves the
        # participant without a name here, which can be added later.
        key_entry = opened.chain().read_struct(Contract.REGISTRY, "keyOf", to_checksum(address))
        number = cast(int, key_entry["participant"])
        with opened.store.transaction() as connection:
            book = Book(connection)
            book.set_names({**book.names(), number: name})
    print_lines(f"participant {number}: {name}")


def run_roles(
    context: typer.Context, participant: int, roles: str, signer: SignerUri, passphrase_file: PassphraseFile = None
) -> None:
    """Replace a participant's roles. Owner of the registry only."""
    mask = parse_roles(roles)
    with open_context(context.obj) as opened:
        opened.record(opened.unlock(signer, passphrase_file), [SetRoles(participant, int(mask))])
    print_lines(f"participant {participant} now has {roles}")


def run_suspend(
    context: typer.Context, participant: int, signer: SignerUri, passphrase_file: PassphraseFile = None
) -> None:
    """Suspend a participant: none of its keys may act. Owner of the registry only."""
    with open_context(context.obj) as opened:
        opened.record(opened.unlock(signer, passphrase_file), [Suspend(participant, _NOTHING)])
    print_lines(f"participant {participant} is suspended")


def run_reinstate(
    context: typer.Context, participant: int, signer: SignerUri, passphrase_file: PassphraseFile = None
) -> None:
    """Reinstate a suspended participant. Owner of the registry only."""
    with open_context(context.obj) as opened:
        opened.record(opened.unlock(signer, passphrase_file), [Reinstate(participant)])
    print_lines(f"participant {participant} is reinstated")
