"""`millmark keys`: key files on this machine, a participant's keys on the chain, and what those have for gas."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from millmark.ledger.chain import EngineProfile, Node, find_profile, first_fees, read_deployment, send_values
from millmark.ledger.chain.deploying import DEPLOY_GAS
from millmark.ledger.errors import InputError
from millmark.ledger.ids import SubjectKind, identifier_hash
from millmark.ledger.keys import create_key, open_name_key
from millmark.ledger.names import derive_identity
from millmark.ledger.records import (
    AcceptKey,
    AcceptRecovery,
    ObjectToRecovery,
    ProposeKey,
    RevokeKey,
    Role,
    SetKey,
    SetNameKey,
)
from millmark.ledger.signatures import Signer, parse_address, to_checksum
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Funds, look_at_funds
from millmark.ledger.submit.submitter import GAS_PER_RECORD
from millmark.services import output
from millmark.services.access.siwe import MAX_MESSAGE_CHARACTERS, build_digest, parse_message
from millmark.services.commands.context import Context, ask, open_context, unlock
from millmark.services.files import read_bounded
from millmark.services.home import find_paying_keys
from millmark.services.interop.credentials.keys import create_credential_key
from millmark.services.settings import read_settings

KeyRoles = Annotated[
    str, typer.Option("--roles", help="What the key may do, separated by commas; `none` only for an admin key.")
]
IsAdmin = Annotated[bool, typer.Option("--admin/--no-admin", help="Whether it may administer the participant's keys.")]
Place = Annotated[str, typer.Argument(help="New keystore file, or pkcs11:token=NAME;object=LABEL.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, help="Create key files; propose, accept, change, revoke and recover participants' keys."
    )
    group.command("new", epilog="Example: millmark keys new owner.json --passphrase-file owner.pass")(run_new)
    group.command("show", epilog="Example: millmark keys show --signer keystore:owner.json")(run_show)
    group.command("credential", epilog="Example: millmark keys credential vc-2026.pem")(run_credential)
    group.command("propose", epilog="Example: millmark keys propose 0x... --roles MANUFACTURER --signer ...")(
        run_propose
    )
    group.command("accept", epilog="Example: millmark keys accept 3 --signer keystore:new.json")(run_accept)
    group.command("set", epilog="Example: millmark keys set 0x... --roles CARRIER --no-admin --signer ...")(run_set)
    group.command("accept-recovery", epilog="Example: millmark keys accept-recovery 3 --signer keystore:new.json")(
        run_accept_recovery
    )
    group.command("object", epilog="Example: millmark keys object --signer keystore:own.json")(run_object)
    group.command("name", epilog="Example: millmark keys name keystore:names.json --signer keystore:own.json")(run_name)
    group.command(
        "derive",
        epilog="Example: millmark keys derive lot urn:example:a --participant 3 --name-key keystore:names.json",
    )(run_derive)
    group.command("revoke", epilog="Example: millmark keys revoke 0x... --signer keystore:other.json")(run_revoke)
    group.command("sign-in", epilog="Example: millmark keys sign-in --signer keystore:own.json --message message.txt")(
        run_sign_in
    )
    group.command("balance", epilog="Example: millmark keys balance")(run_balance)
    group.command("fund", epilog="Example: millmark keys fund --signer keystore:treasury.json --records 100000")(
        run_fund
    )
    app.add_typer(group, name="keys")


def run_new(context: typer.Context, place: Place, passphrase_file: output.PassphraseFile = None) -> None:
    """Create a key in a new keystore file (mode 0600) or in a hardware token. An existing key is never overwritten."""
    module = read_settings(context.obj).pkcs11_module
    address = create_key(place, passphrase_file=passphrase_file, prompt=ask, pkcs11_module=module)
    output.print_lines(to_checksum(address))


def run_show(context: typer.Context, signer: output.SignerUri, passphrase_file: output.PassphraseFile = None) -> None:
    """Print the address of a key."""
    output.print_lines(to_checksum(unlock(read_settings(context.obj), signer, passphrase_file).address))


def run_credential(
    file: Path = typer.Argument(dir_okay=False, help="New file (mode 0600), for the setting `credential_keys`."),
    kind: Literal["ed25519", "p256"] = typer.Option("ed25519", "--kind", help="Kind of key."),
) -> None:
    """Create a key that signs credentials, and print its public part (Multikey)."""
    output.print_lines(create_credential_key(file, kind).public.multikey)


def run_propose(
    context: typer.Context,
    address: str,
    signer: output.SignerUri,
    roles: KeyRoles,
    admin: IsAdmin = False,
    passphrase_file: output.PassphraseFile = None,
) -> None:
    """Propose an additional key for the signer's participant; the new key must accept. Admin keys only."""
    proposed, mask = parse_address(address), _parse_rights(roles)
    with open_context(context.obj) as opened:
        opened.record(opened.unlock(signer, passphrase_file), [ProposeKey(proposed, int(mask), admin)])
    output.print_lines(f"proposed {to_checksum(proposed)}; now run `millmark keys accept` with that key")


def run_accept(
    context: typer.Context, participant: int, signer: output.SignerUri, passphrase_file: output.PassphraseFile = None
) -> None:
    """Accept, with the proposed key, to sign for a participant."""
    with open_context(context.obj) as opened:
        opened.record(opened.unlock(signer, passphrase_file), [AcceptKey(participant)])
    output.print_lines(f"the key signs for participant {participant}")


def run_set(
    context: typer.Context,
    address: str,
    signer: output.SignerUri,
    roles: KeyRoles,
    admin: IsAdmin = False,
    passphrase_file: output.PassphraseFile = None,
) -> None:
    """Replace what a key of the signer's participant may do. Admin keys only; the last admin key stays one."""
    changed, mask = parse_address(address), _parse_rights(roles)
    with open_context(context.obj) as opened:
        opened.record(opened.unlock(signer, passphrase_file), [SetKey(changed, int(mask), admin)])
    output.print_lines(f"{to_checksum(changed)} now has {roles}{', and administers keys' if admin else ''}")


def run_accept_recovery(
    context: typer.Context, participant: int, signer: output.SignerUri, passphrase_file: output.PassphraseFile = None
) -> None:
    """Complete the recovery of a participant, with the key that the registry's owner proposed. All its earlier keys
    end."""
    with open_context(context.obj) as opened:
        opened.record(opened.unlock(signer, passphrase_file), [AcceptRecovery(participant)])
    output.print_lines(f"the key is now the only one of participant {participant}")


def run_object(context: typer.Context, signer: output.SignerUri, passphrase_file: output.PassphraseFile = None) -> None:
    """Object to the recovery of the signer's participant: it is delayed, and the registry's owner must overrule it.

    Once per recovery. Admin keys only.
    """
    with open_context(context.obj) as opened:
        opened.record(opened.unlock(signer, passphrase_file), [ObjectToRecovery()])
    output.print_lines(
        "the recovery is delayed by 14 days, after which the registry's owner must overrule the objection"
    )


def run_name(
    context: typer.Context,
    name_key: Annotated[str, typer.Argument(help="Key file made by `keys new`: keystore:FILE or file:FILE.")],
    signer: output.SignerUri,
    passphrase_file: output.PassphraseFile = None,
    name_passphrase_file: output.NamePassphraseFile = None,
) -> None:
    """Register the key from which the participant's salts derive from now on. Admin keys only.

    Only a hash of it gets on the ledger. Add it to the gateway's `gateway_name_keys` first, and keep the earlier ones
    there: a name must be proved under each of them. A lost name key cannot be replaced, so keep a copy.
    """
    registered = open_name_key(name_key, passphrase_file=name_passphrase_file, prompt=ask)
    with open_context(context.obj) as opened:
        opened.record(opened.unlock(signer, passphrase_file), [SetNameKey(registered.hash)])
    output.print_lines(f"the name key is 0x{registered.hash.hex()}")


def run_derive(
    context: typer.Context,
    kind: Annotated[Literal["order", "lot", "stream", "machine"], typer.Argument(help="What is to be named.")],
    identifier: Annotated[str, typer.Argument(help="URI, in any spelling that has a canonical form.")],
    participant: Annotated[int, typer.Option(min=1, max=2**32 - 1, help="Number of the participant that records it.")],
    name_key: output.NameKeys,
    name_passphrase_file: output.NamePassphraseFile = None,
) -> None:
    """Derive the name of a thing offline, for programs that sign records themselves; prints JSON.

    The deployment file alone determines the ledger. A gateway makes the same name (`POST /v1/names`), keeps it in the
    private book, and refuses an identifier that names something already; here, nothing is stored or looked up.
    """
    keys = [open_name_key(uri, passphrase_file=name_passphrase_file, prompt=ask) for uri in name_key]
    deployment = read_deployment(read_settings(context.obj).deployment_path)
    named = derive_identity(deployment, keys, SubjectKind[kind.upper()], participant, identifier)
    output.print_json(
        context,
        {
            "identifier": named.identifier,
            "subject": "0x" + named.subject.hex(),
            "identifier_hash": "0x" + identifier_hash(named.salt, named.identifier).hex(),
            "salt": "0x" + named.salt.hex(),
            "proofs": ["0x" + proof.hex() for proof in named.proofs],
        },
    )


def _parse_rights(roles: str) -> Role:
    return Role(0) if roles.strip().lower() == "none" else output.parse_roles(roles)


def run_revoke(
    context: typer.Context,
    address: str,
    signer: output.SignerUri,
    compromised_since: int = typer.Option(
        0, min=0, help="Unix time in seconds, not before the key was added; 0 if it is merely retired."
    ),
    passphrase_file: output.PassphraseFile = None,
) -> None:
    """Revoke a key of the signer's participant, except its last admin key; or date the compromise of a revoked key.

    Admin keys only, also while the participant is suspended or has left.
    """
    revoked = parse_address(address)
    with open_context(context.obj) as opened:
        opened.record(opened.unlock(signer, passphrase_file), [RevokeKey(revoked, compromised_since)])
    output.print_lines(f"revoked {to_checksum(revoked)}")


def run_sign_in(
    context: typer.Context,
    signer: output.SignerUri,
    message: Annotated[
        Path | None,
        typer.Option("--message", help="File with the message that the site shows; standard input if omitted."),
    ] = None,
    passphrase_file: output.PassphraseFile = None,
) -> None:
    """Sign the sign-in message of a gateway's portal (EIP-4361). Prints first what is signed; refuses any other kind of
    message."""
    text = _read_message(message)
    parsed = parse_message(text)
    # Before the key is unlocked, so that a passphrase is typed only by somebody who has seen what is signed.
    output.warn(f"signing in at {parsed.domain}, on chain {parsed.chain_id}, as {to_checksum(parsed.address)};")
    output.warn(f"valid until {datetime.fromtimestamp(parsed.expires_at, UTC):%Y-%m-%d %H:%M:%S} UTC, for one session")
    key = unlock(read_settings(context.obj), signer, passphrase_file)
    if key.address != parsed.address:
        raise InputError(
            f"the message is not for the key {to_checksum(key.address)}",
            hint="request a message for this key's address",
        )
    output.print_lines("0x" + key.sign_digest(build_digest(text)).to_bytes().hex())


def _read_message(path: Path | None) -> str:
    """The message as it was shown: line ends become LF, and those that an editor added at the end are removed."""
    most = 4 * MAX_MESSAGE_CHARACTERS
    data = sys.stdin.buffer.read(most + 1)[:most] if path is None else read_bounded(path, most)
    return data.decode("utf-8", "replace").replace("\r\n", "\n").strip("\n")


_MOST_RECORDS = 10**9
_RECORDS = 100_000
Addresses = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ADDRESS]...", help="Addresses of keys; those of the home that pay for gas if omitted."),
]


def run_balance(context: typer.Context, addresses: Addresses = None, as_json: output.AsJson = False) -> None:
    """Print what keys have for gas, and how long it lasts at the present fees and rate of records."""
    with open_context(context.obj, looking=True) as opened:
        found = _look(opened, addresses)
    if as_json:
        output.print_json(context, {"keys": [funds.to_json() for funds in found]})
        return
    output.print_lines(*(f"{to_checksum(funds.key)}: {funds.describe()}" for funds in found))


def run_fund(
    context: typer.Context,
    signer: output.SignerUri,
    addresses: Addresses = None,
    records: int = typer.Option(
        _RECORDS,
        min=1,
        max=_MOST_RECORDS,
        help="Number of records, at the present fees, for which each key is to have.",
    ),
    passphrase_file: output.PassphraseFile = None,
) -> None:
    """Top up keys from a treasury key, `--signer`, which must be one that makes no records.

    Repeated, it sends only what is missing. On a network without fees it sends nothing.
    """
    with open_context(context.obj) as opened:
        treasury = opened.unlock(signer, passphrase_file)
        found = [funds for funds in _look(opened, addresses) if funds.key != treasury.address]
        _verify_idle(opened, treasury)
        amounts = [(funds, funds.missing_wei(records)) for funds in found]
        _send(opened, treasury, amounts)
        after = _look(opened, [to_checksum(funds.key) for funds in found])
    output.print_lines(*(f"{to_checksum(funds.key)}: {funds.describe()}" for funds in after))


def endow_operator(node: Node, profile: EngineProfile, treasury: Signer, key: bytes) -> None:
    """Send a new operator's key what it lacks for deploying the contracts, and for records. Raises FundsError,
    ChainError."""
    fees = first_fees(node, profile)
    missing = fees.max_fee_wei * (DEPLOY_GAS + _RECORDS * GAS_PER_RECORD) - node.balance_wei(key)
    if fees.max_fee_wei and missing > 0:
        send_values(node, profile, treasury, [(key, missing)])
        output.print_lines(f"sent {missing} wei to {to_checksum(key)}")


def tell_fees(node: Node, profile: EngineProfile, keys: Sequence[bytes]) -> list[str]:
    """What new keys need before they can record, as lines of text; empty on a network without fees, and where the node
    funds them."""
    if profile.faucet or first_fees(node, profile).max_fee_wei == 0:
        return []
    named = " ".join(to_checksum(key) for key in keys)
    return ["this network takes fees; from a key that has funds:", f"    millmark keys fund {named} --signer KEY"]


def _send(opened: Context, treasury: Signer, amounts: Sequence[tuple[Funds, int]]) -> None:
    wanted = [(funds.key, wei) for funds, wei in amounts if wei and not funds.is_free]
    send_values(opened.node(), find_profile(opened.settings.engine), treasury, wanted)
    output.print_lines(*(f"sent {wei} wei to {to_checksum(key)}" for key, wei in wanted))


def _verify_idle(opened: Context, treasury: Signer) -> None:
    """Raises InputError if the outbox has transactions of the treasury key: both would use the same nonces."""
    if Outbox(opened.store).open_transactions(treasury.address):
        raise InputError(
            f"{to_checksum(treasury.address)} has transactions in the outbox of this home",
            hint="fund from a key that makes no records, or wait until they are final: `millmark outbox list`",
        )


def _look(opened: Context, addresses: Sequence[str] | None) -> list[Funds]:
    keys = [parse_address(address) for address in addresses or ()]
    if not keys:
        with opened.store.reading() as connection:
            keys = find_paying_keys(connection, opened.settings)
    if not keys:
        raise InputError("the home has no key whose address is known", hint="name the addresses of the keys")
    return look_at_funds(opened.node(), find_profile(opened.settings.engine), opened.store, keys, time.time())
