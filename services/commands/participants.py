"""`millmark participants` and `directory`: the companies of the consortium, and who they are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger import records
from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError, NotFoundError, SubmitError, TrustError
from millmark.ledger.provenance import participants
from millmark.ledger.provenance.answers import Key, Participant
from millmark.ledger.signatures import parse_address, to_checksum
from millmark.ledger.store import Registry
from millmark.services import directory
from millmark.services.commands.context import open_context
from millmark.services.commands.joining import admit_all, import_directory, publish_directory
from millmark.services.commands.keys import tell_fees
from millmark.services.directory.document import MAX_DIRECTORY_BYTES, entry_to_json, verify_gln, verify_name
from millmark.services.directory.following import published_digest
from millmark.services.files import read_bounded, write_whole
from millmark.services.home import Candidate, candidate_of, verify_for_this_ledger
from millmark.services.home.admissions import find_admitted
from millmark.services.home.joining_files import MAX_REQUEST_BYTES, AdmissionRequest, parse_request
from millmark.services.output import (
    AsJson,
    OperatorSigner,
    PassphraseFile,
    SignerUri,
    parse_roles,
    print_json,
    print_lines,
    print_table,
)

_NOTHING = bytes(32)


def register(app: typer.Typer) -> None:
    participants = typer.Typer(
        no_args_is_help=True, help="Admit, list, suspend, entrust, reinstate and recover participants."
    )
    participants.command("list", epilog="Example: millmark participants list --json")(run_list)
    participants.command(
        "admit", epilog="Example: millmark --home operator participants admit alder/request.json birch/request.json"
    )(run_admit)
    participants.command("roles", epilog="Example: millmark participants roles 3 MANUFACTURER,CARRIER --signer ...")(
        run_roles
    )
    participants.command("suspend", epilog="Example: millmark participants suspend 3 --signer ...")(run_suspend)
    participants.command("entrust", epilog="Example: millmark participants entrust 3 5 --signer ...")(run_entrust)
    participants.command("reinstate", epilog="Example: millmark participants reinstate 3 --signer ...")(run_reinstate)
    participants.command("leave", epilog="Example: millmark participants leave --signer keystore:own.json")(run_leave)
    participants.command("recover", epilog="Example: millmark participants recover 3 0x... --signer ...")(run_recover)
    participants.command("overrule", epilog="Example: millmark participants overrule 3 --signer ...")(run_overrule)
    participants.command("close", epilog="Example: millmark participants close 0x... --yes --signer ...")(run_close)
    app.add_typer(participants, name="participants")
    directory = typer.Typer(
        no_args_is_help=True, help="Publish, import and show the directory: names, GLNs, gateways and recipient keys."
    )
    directory.command("publish", epilog="Example: millmark --home operator directory publish")(run_publish_directory)
    directory.command("import", epilog="Example: millmark directory import directory.json")(run_import)
    directory.command("show", epilog="Example: millmark directory show --json")(run_show)
    app.add_typer(directory, name="directory")


def run_list(context: typer.Context, as_json: AsJson = False) -> None:
    """List the participants in the index, with their roles and keys."""
    with open_context(context.obj) as opened:
        opened.catch_up()
        found = participants(opened.store)
    if as_json:
        print_json(context, {"participants": [participant.to_json() for participant in found]})
        return
    rows = [
        [
            entry.participant,
            entry.name or "",
            ", ".join(entry.roles),
            _state(entry),
            " ".join(_shown(key) for key in entry.keys),
        ]
        for entry in found
    ]
    print_table("participants", ["id", "name", "roles", "state", "keys"], rows)


def _state(entry: Participant) -> str:
    if entry.departed:
        return "departed"
    state = "suspended" if entry.suspended else "active"
    return state if entry.recovery is None else f"{state}, being recovered"


def _shown(key: Key) -> str:
    """A key's address, with what it may do unless that is everything."""
    rights = [] if len(key.roles) == len(records.Role) else [", ".join(key.roles) or "no role"]
    if key.admin:
        rights.append("admin")
    return f"{to_checksum(key.address)} ({', '.join(rights)})" if rights else to_checksum(key.address)


def run_admit(
    context: typer.Context,
    who: Annotated[
        list[str],
        typer.Argument(metavar="REQUEST... | NAME ADDRESS", help="Request files of companies, or a name and a key."),
    ],
    signer: OperatorSigner = None,
    roles: Annotated[
        str,
        typer.Option(help="With NAME ADDRESS, role names separated by commas: " + ", ".join(records.Role.__members__)),
    ] = "",
    gln: Annotated[
        str, typer.Option(help="With NAME ADDRESS, party GLN, which names the company in EPCIS events.")
    ] = "",
    passphrase_file: PassphraseFile = None,
) -> None:
    """Admit companies and propose their first keys, which must accept. Owner of the registry only.

    With request files, written by `millmark join`, the directory is published as well. A request of a company that is
    admitted already changes its entry there. Can be repeated after a failure: nothing is admitted twice.
    """
    if len(who) == 2 and who[1].startswith("0x"):
        _admit_by_hand(context, who[0], who[1], signer, roles, gln, passphrase_file)
        return
    if roles or gln:
        raise InputError(
            "a request states its own roles and GLN", hint="leave out --roles and --gln, or give NAME ADDRESS"
        )
    requests = [parse_request(read_bounded(Path(file), MAX_REQUEST_BYTES)) for file in who]
    with open_context(context.obj) as opened:
        opened.follow()
        verify_for_this_ledger(opened.store, requests)
        owner = opened.unlock_operator(signer, passphrase_file)
        numbers = admit_all(opened, owner, [candidate_of(request) for request in requests])
        print_lines(*(_admitted(numbers[request.key], request) for request in requests))
        publish_directory(opened, owner)
        chain = opened.chain_at_hand()
        fees = tell_fees(chain.node, chain.profile, [request.key for request in requests])
    print_lines(*fees)
    print_lines(
        "the directory names them; next: let your gateway run, from which the companies fetch it:",
        f"    millmark --home {context.obj} gateway",
        "then each company starts its own, which completes its joining:",
        "    millmark --home FOLDER gateway",
    )


def _admitted(number: int, request: AdmissionRequest) -> str:
    roles = ", ".join(str(role.name) for role in records.Role if role & request.roles)
    return f"participant {number}: {request.entry.name}, {roles}, key {to_checksum(request.key)}"


def _admit_by_hand(
    context: typer.Context, name: str, key: str, signer: str | None, roles: str, gln: str, passphrase_file: Path | None
) -> None:
    if not roles:
        raise InputError("no roles are given", hint=f"give --roles, of {', '.join(records.Role.__members__)}")
    mask, address = parse_roles(roles), parse_address(key)
    try:  # before anything is sent
        verify_name(name)
        if gln:
            verify_gln(gln)
    except TrustError as error:
        raise InputError(error.cause, hint=error.hint) from None
    with open_context(context.obj) as opened:
        owner = opened.unlock_operator(signer, passphrase_file)
        opened.settle(owner)
        with opened.store.reading() as connection:
            known = find_admitted(connection, address)
        if known is not None:  # unlike a request file, which also changes what is said of a company
            raise SubmitError(f"{to_checksum(address)} is admitted already, as participant {known}")
        candidate = Candidate(address, mask, directory.DirectoryEntry(0, name, gln or None))
        number = admit_all(opened, owner, [candidate])[address]
    print_lines(f"participant {number}: {name}", f"now run `millmark keys accept {number}` with its key")


def run_roles(
    context: typer.Context,
    participant: int,
    roles: str,
    signer: OperatorSigner = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Replace a participant's roles. Owner of the registry only."""
    mask = parse_roles(roles)
    with open_context(context.obj) as opened:
        opened.record(opened.unlock_operator(signer, passphrase_file), [records.SetRoles(participant, int(mask))])
    print_lines(f"participant {participant} now has {roles}")


def run_suspend(
    context: typer.Context, participant: int, signer: OperatorSigner = None, passphrase_file: PassphraseFile = None
) -> None:
    """Suspend a participant: none of its keys may act. Owner of the registry only."""
    with open_context(context.obj) as opened:
        opened.record(opened.unlock_operator(signer, passphrase_file), [records.Suspend(participant, _NOTHING)])
    print_lines(f"participant {participant} is suspended")


def run_entrust(
    context: typer.Context,
    participant: int,
    trustee: int,
    signer: OperatorSigner = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Name who may reclaim what a suspended or departed participant holds; 0 for nobody. Owner of the registry only.

    The trustee can reclaim lots 14 days after the participant could last act.
    """
    with open_context(context.obj) as opened:
        opened.record(opened.unlock_operator(signer, passphrase_file), [records.Entrust(participant, trustee)])
    print_lines(f"participant {participant} has " + (f"trustee {trustee}" if trustee else "no trustee"))


def run_reinstate(
    context: typer.Context, participant: int, signer: OperatorSigner = None, passphrase_file: PassphraseFile = None
) -> None:
    """Reinstate a suspended participant. Owner of the registry only."""
    with open_context(context.obj) as opened:
        opened.record(opened.unlock_operator(signer, passphrase_file), [records.Reinstate(participant)])
    print_lines(f"participant {participant} is reinstated")


def run_leave(context: typer.Context, signer: SignerUri, passphrase_file: PassphraseFile = None) -> None:
    """Leave the consortium with the signer's company: its keys stop acting, what it did stands. Admin keys only."""
    with open_context(context.obj) as opened:
        opened.record(opened.unlock(signer, passphrase_file), [records.Depart(_NOTHING)])
    print_lines("the company has left; the registry's owner can reinstate it")


def run_recover(
    context: typer.Context,
    participant: int,
    key: str,
    signer: OperatorSigner = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Propose a key for a company that lost its own. Owner of the registry only.

    It takes effect after 14 days, when that key accepts; an admin key of the company may object.
    """
    address = parse_address(key)
    with open_context(context.obj) as opened:
        opened.record(opened.unlock_operator(signer, passphrase_file), [records.ProposeRecovery(participant, address)])
    print_lines(
        f"{to_checksum(address)} can replace the keys of participant {participant} in 14 days",
        f"then run `millmark keys accept-recovery {participant}` with that key",
    )


def run_overrule(
    context: typer.Context, participant: int, signer: OperatorSigner = None, passphrase_file: PassphraseFile = None
) -> None:
    """Overrule a company's objection to its recovery, 14 days after it. Owner of the registry only."""
    with open_context(context.obj) as opened:
        opened.record(opened.unlock_operator(signer, passphrase_file), [records.OverruleObjection(participant)])
    print_lines(f"the recovery of participant {participant} can be accepted")


def run_close(
    context: typer.Context,
    ledger: Annotated[str, typer.Argument(help="Address of the ledger that goes on.")],
    signer: OperatorSigner = None,
    yes: Annotated[bool, typer.Option("--yes", help="Really: it cannot be undone.")] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Close the ledger for good: no new orders, no lots from outside. Owner of the registry only."""
    if not yes:
        raise InputError("a closed ledger is never opened again", hint="repeat with --yes if that is meant")
    address = parse_address(ledger)
    with open_context(context.obj) as opened:
        opened.record(opened.unlock_operator(signer, passphrase_file), [records.Close(address)])
    print_lines(f"closed; {to_checksum(address)} goes on")


Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="File to write it to, for a company that is offline.")
]


def run_publish_directory(
    context: typer.Context,
    signer: OperatorSigner = None,
    output: Output = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Sign the directory of all companies and publish its digest on the ledger. Owner of the registry only.

    Gateways fetch it from the operator's gateway. Nothing is published again if nothing changed.
    """
    with open_context(context.obj) as opened:
        signed, is_new = publish_directory(opened, opened.unlock_operator(signer, passphrase_file))
    _write(signed, output)
    count = len(signed.directory.entries)
    print_lines(f"directory of {count} companies {'published' if is_new else 'unchanged'}: 0x{signed.digest.hex()}")


def run_import(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(dir_okay=False, help="Directory file; fetched from directory_url if omitted.")
    ] = None,
) -> None:
    """Take a directory over, after it was checked: signed by the operator, published on the ledger, later than the one
    known, and each recipient key signed by its company."""
    with open_context(context.obj) as opened:
        opened.follow()
        if file is None:
            is_new = import_directory(opened, opened.unlock_company())
        else:
            signed, operators = (
                directory.parse_directory(read_bounded(file, MAX_DIRECTORY_BYTES)),
                directory.fetch_operators(opened.chain_at_hand()),
            )
            with opened.store.transaction() as connection:
                is_new = directory.take_directory(connection, signed, operators)
        with opened.store.reading() as connection:
            count = len(directory.DirectoryRepository(connection).entries())
    print_lines(f"{count} companies have names" if is_new else f"nothing new; {count} companies have names")


def run_show(context: typer.Context, output: Output = None, as_json: AsJson = False) -> None:
    """Show the directory in force: who the companies are, and whether their recipient keys count now."""
    with open_context(context.obj) as opened:
        opened.catch_up()
        with opened.store.reading() as connection:
            signed, registry = directory.DirectoryRepository(connection).signed(), Registry(connection)
            if signed is None:
                raise NotFoundError("there is no directory here yet", hint="run `millmark directory import`")
            is_latest = published_digest(connection) == signed.digest
            states = {one.participant: _key_state(registry, one) for one in signed.directory.entries}
    _write(signed, output)
    if as_json:
        print_json(context, _as_json(signed, is_latest, states))
        return
    rows = [
        [one.participant, one.name, one.gln or "", one.gateway or "", str(one.contact or ""), states[one.participant]]
        for one in signed.directory.entries
    ]
    print_table("directory", ["id", "name", "GLN", "gateway", "contact", "recipient key"], rows)
    issued = datetime.fromtimestamp(signed.directory.issued_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    later = "" if is_latest else "; a later one is published: run `millmark directory import`"
    print_lines(f"issued {issued} UTC by {to_checksum(signed.recover_signer())}{later}")


def _write(signed: directory.SignedDirectory, output: Path | None) -> None:
    if output is not None:
        write_whole(output, signed.to_bytes())


def _as_json(signed: directory.SignedDirectory, is_latest: bool, states: dict[int, str]) -> dict[str, Json]:
    entries: list[Json] = [
        {**entry_to_json(one), "recipient_key_state": states[one.participant]} for one in signed.directory.entries
    ]
    return {
        "issued_at": signed.directory.issued_at,
        "digest": "0x" + signed.digest.hex(),
        "signer": to_checksum(signed.recover_signer()),
        "latest": is_latest,
        "entries": entries,
    }


def _key_state(registry: Registry, entry: directory.DirectoryEntry) -> str:
    if entry.recipient_key is None:
        return "none"
    try:
        directory.verify_statement(registry, entry.participant, entry.recipient_key)
    except directory.RecipientKeyError:
        return "its signing key is not active"
    return "valid"
