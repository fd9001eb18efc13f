"""`millmark relay`: sign records offline, and submit them through another participant's gateway."""

from __future__ import annotations

import enum
import time
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import Json
from millmark.ledger.chain import Deployment, read_deployment, read_kinds
from millmark.ledger.errors import InputError, RequestError, SubmitError, WrongChainError
from millmark.ledger.forward_requests import (
    MAX_REQUEST_BYTES,
    SIGNATURE_BYTES,
    ForwardRequest,
    SignedRequest,
    parse_request,
    sign_request,
)
from millmark.ledger.records import Contract, Record
from millmark.ledger.signatures import parse_address, to_checksum
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import read_sequences
from millmark.services.commands.context import unlock
from millmark.services.files import read_bounded, write_whole
from millmark.services.node.config import read_secret
from millmark.services.output import (
    AsJson,
    Gateway,
    PassphraseFile,
    SignerUri,
    TokenFile,
    print_json,
    print_lines,
    warn,
)
from millmark.services.relay import HttpRelay
from millmark.services.relay.client import MAX_FILE_BYTES, build_call, parse_records
from millmark.services.settings import read_settings

_GAS_A_RECORD = 250_000
_MAX_GAS = 10_000_000
"""Gas limit that gateways accept for one request (ledger/RELAY.md)."""
_USUAL_S = 3600
"""How far ahead of now a deadline may be for gateways to accept it."""
_PAUSE_S = 0.5
_UNIT_BYTES = 3
_LAST_MOMENT = 253_402_300_799
"""The end of the year 9999, the last that `datetime` can show; deadlines have 48 bits."""

RequestFile = Annotated[Path, typer.Argument(metavar="FILE", help="Request written by `millmark relay sign`.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, help="Sign records offline, and submit them through another participant's gateway."
    )
    example = "Example: millmark relay "
    group.command("terms", epilog=example + "terms 0x... --gateway https://gateway.example --token-file token")(
        run_terms
    )
    signing = "sign records.json --nonce 4 --deadline 2026-12-01T12:00:00Z --signer ... -o request.json"
    group.command("sign", epilog=example + signing)(run_sign)
    group.command("show", epilog=example + "show request.json")(run_show)
    group.command(
        "submit", epilog=example + "submit request.json --gateway https://gateway.example --token-file token"
    )(run_submit)
    app.add_typer(group, name="relay")


def run_terms(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="Address of the signing key.")],
    gateway: Gateway,
    token_file: TokenFile,
    as_json: AsJson = False,
) -> None:
    """Ask a gateway for the key's next nonce, and for the time that deadlines are compared with."""
    key = parse_address(address)
    relay = _open(gateway, token_file)
    try:
        terms = relay.terms(key)
    finally:
        relay.close()
    found = {
        "chain_id": terms.chain_id,
        "forwarder": to_checksum(terms.forwarder),
        "nonce": terms.nonce,
        "now": _moment(terms.now_s),
    }
    if as_json:
        print_json(context, found)
    else:
        print_lines(*(f"{name:<10}{value}" for name, value in found.items()))


def run_sign(
    context: typer.Context,
    records: Annotated[Path, typer.Argument(metavar="RECORDS", help="JSON file with the records.")],
    signer: SignerUri,
    nonce: Annotated[int, typer.Option(min=0, help="The key's next nonce, as `millmark relay terms` prints it.")],
    deadline: Annotated[str, typer.Option(help="Latest time by the chain's clock, such as 2026-12-01T12:00:00Z.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write the request to.")] = None,
    gas: Annotated[
        int | None, typer.Option(min=1, max=_MAX_GAS, help=f"Gas limit; {_GAS_A_RECORD} per record by default.")
    ] = None,
    dry: Annotated[bool, typer.Option("--dry", help="Show what would be signed without signing it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before signing.")] = False,
    as_json: AsJson = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Sign records as one request, offline: neither chain nor gateway nor database is used.

    The deployment file alone determines the ledger. Either all records are made or none. The same input produces the
    same bytes. What is signed is shown first.

    RECORDS is JSON. Fields are those of the record, bytes are 0x-hex, and no value is looked up or generated:

    `{"format": "millmark-records", "version": 1, "records": [{"record": "ReceiveLot", "fields": {"identifier":
    "urn:example:a", "salt": "0x...", "quantity": 5, "unit": "H87", "claims_root": "0x..."}}]}`

    Give `identifier_hash`, or `identifier` and its 32-byte `salt`. Omitted roots are zero.
    """
    if output is None and not dry:
        raise InputError("no output file is given", hint="give one with -o, or use --dry to sign nothing")
    parsed = parse_records(read_bounded(records, MAX_FILE_BYTES))
    settings = read_settings(context.obj)
    deployment = read_deployment(settings.deployment_path)
    deadline_s = _parse_deadline(deadline)
    key = unlock(settings, signer, passphrase_file)
    request = _build(parsed, deployment, key.address, nonce, deadline_s, gas)
    # Shown in full before the key signs: the signature commits to the chain, the contract and every field.
    _tell(context, request, deployment, parsed, as_json)
    if dry or output is None:
        return
    if deadline_s > time.time() + _USUAL_S:
        warn("Gateways accept a request only within the last hour before its deadline.")
    if not yes:
        typer.confirm("Sign it?", abort=True, err=True)
    write_whole(output, sign_request(request, key).to_bytes())
    warn(f"signed, written to {output}; submit it: millmark relay submit {output} --gateway ... --token-file ...")


def run_show(context: typer.Context, file: RequestFile, as_json: AsJson = False) -> None:
    """Show a signed request after checking its signature and that it is for the deployment file's ledger."""
    deployment = read_deployment(read_settings(context.obj).deployment_path)
    signed = _read(file, deployment)
    _tell(context, signed.request, deployment, (), as_json)


def run_submit(
    context: typer.Context,
    file: RequestFile,
    gateway: Gateway,
    token_file: TokenFile,
    wait_s: Annotated[
        int, typer.Option("--wait", min=0, max=3600, help="Seconds to wait until its records are final.")
    ] = 60,
    as_json: AsJson = False,
) -> None:
    """Submit a signed request to a gateway, and print its outcome.

    Submitting is idempotent: after a failed connection, repeat the command. The gateway can neither change the request
    nor execute it twice.
    """
    deployment = read_deployment(read_settings(context.obj).deployment_path)
    signed = _read(file, deployment)
    relay = _open(gateway, token_file)
    try:
        _send(relay, signed)
        found = _await(relay, signed.request, deployment, wait_s)
    finally:
        relay.close()
    digest, (state, sequences) = "0x" + signed.request.digest.hex(), found
    if as_json:
        print_json(context, {"digest": digest, "state": state, "sequences": sequences})
    else:
        print_lines(f"{digest} is {state}", *(f"record {number}" for number in sequences))


def _build(
    records: tuple[Record, ...], deployment: Deployment, key: bytes, nonce: int, deadline_s: int, gas: int | None
) -> ForwardRequest:
    contract, data = build_call(records)
    needed = _GAS_A_RECORD * len(records) if gas is None else gas
    if needed > _MAX_GAS:
        raise RequestError(
            f"{len(records)} records at {_GAS_A_RECORD} gas each exceed the {_MAX_GAS} that gateways accept",
            hint="sign fewer records in one request, or state a lower limit with --gas",
        )
    request = ForwardRequest(
        chain_id=deployment.chain_id,
        forwarder=deployment.forwarder,
        signer=key,
        to=deployment.registry if contract is Contract.REGISTRY else deployment.ledger,
        gas=needed,
        nonce=nonce,
        deadline=deadline_s,
        data=data,
    )
    size = len(SignedRequest(request, bytes(SIGNATURE_BYTES)).to_bytes())
    if size > MAX_REQUEST_BYTES:
        raise RequestError(
            f"the request would have {size} bytes; gateways accept {MAX_REQUEST_BYTES}",
            hint="sign fewer records in one request",
        )
    return request


def _read(file: Path, deployment: Deployment) -> SignedRequest:
    """Reads a request file. Raises RequestError for an invalid signature, WrongChainError for another ledger."""
    signed = parse_request(read_bounded(file, MAX_REQUEST_BYTES))
    signed.verify()
    request = signed.request
    if (request.chain_id, request.forwarder) != (deployment.chain_id, deployment.forwarder):
        raise WrongChainError(
            f"the request is for chain {request.chain_id} and forwarder {to_checksum(request.forwarder)}",
            hint="use that ledger's deployment file, or sign it for this ledger",
        )
    _contract_of(request, deployment)
    return signed


def _contract_of(request: ForwardRequest, deployment: Deployment) -> Contract:
    contracts = {deployment.registry: Contract.REGISTRY, deployment.ledger: Contract.LEDGER}
    if request.to not in contracts:
        raise RequestError(
            f"the request calls {to_checksum(request.to)}, which is neither registry nor ledger", hint="sign it again"
        )
    return contracts[request.to]


def _send(relay: HttpRelay, signed: SignedRequest) -> None:
    """Submits the request. Raises RequestError if its deadline has passed, WrongChainError for a gateway of another
    chain."""
    request = signed.request
    # A request that the gateway already has is sent again without these checks: it may have been executed long ago.
    if relay.look(request.digest) is None:
        terms = relay.terms(request.signer)
        if (terms.chain_id, terms.forwarder) != (request.chain_id, request.forwarder):
            raise WrongChainError(
                f"the gateway serves chain {terms.chain_id}", hint="use a gateway of the ledger that was signed for"
            )
        if terms.now_s >= request.deadline:
            raise RequestError(f"the deadline {_moment(request.deadline)} has passed", hint="have it signed again")
    relay.send(signed.to_bytes())


def _await(relay: HttpRelay, request: ForwardRequest, deployment: Deployment, wait_s: int) -> tuple[str, list[int]]:
    """Waits until the request is final or `wait_s` has passed; returns its state and the sequences of its records.
    Raises SubmitError if the ledger refused it."""
    until = time.monotonic() + wait_s
    while True:
        outcome = relay.look(request.digest)  # before any waiting, so that `--wait 0` reports the present state
        state = OutboxState.QUEUED if outcome is None else outcome.state
        if outcome is not None and state is OutboxState.FAILED:
            raise SubmitError(outcome.error or "the ledger refused the request", hint="nothing was recorded")
        if state is OutboxState.FINAL or time.monotonic() >= until:
            break
        time.sleep(_PAUSE_S)
    sequences: list[int] = []
    if outcome is not None and state is OutboxState.FINAL:
        contract = _contract_of(request, deployment)
        sequences = read_sequences(contract, request.to, request.data, request.signer, outcome)
    return state.value, sequences


def _open(gateway: str, token_file: Path) -> HttpRelay:
    return HttpRelay(gateway, read_secret(token_file))


def _tell(
    context: typer.Context, request: ForwardRequest, deployment: Deployment, records: tuple[Record, ...], as_json: bool
) -> None:
    """Prints what is signed: with the fields of `records` if they are given, otherwise the kinds of its records."""
    contract = _contract_of(request, deployment)
    shown: dict[str, Json] = {
        "chain_id": request.chain_id,
        "forwarder": to_checksum(request.forwarder),
        "key": to_checksum(request.signer),
        contract.value: to_checksum(request.to),
        "nonce": request.nonce,
        "gas": request.gas,
        "deadline": _moment(request.deadline),
        "digest": "0x" + request.digest.hex(),
    }
    kinds = read_kinds(contract, request.data)
    if as_json:
        made: list[Json] = [{"record": type(one).__name__, "fields": _printable(one)} for one in records] or list(kinds)
        print_json(context, {**shown, "records": made})
        return
    print_lines(*(f"{name:<10}{value}" for name, value in shown.items()))
    for number, kind in enumerate(kinds, start=1):
        print_lines(f"{number:>3} {kind}")
        if records:
            print_lines(*(f"      {name} {value}" for name, value in _fields(records[number - 1]).items()))


def _fields(record: object) -> dict[str, Json]:
    assert is_dataclass(record)  # noqa: S101  # every record is one
    return {field.name: _printable(getattr(record, field.name)) for field in fields(record)}


def _printable(value: object) -> Json:
    # Only a unit code has three bytes: text, padded with zeros.
    if isinstance(value, bytes):
        return value.rstrip(b"\0").decode("ascii", "replace") if len(value) == _UNIT_BYTES else "0x" + value.hex()
    if isinstance(value, tuple):
        return [_printable(one) for one in value]
    if is_dataclass(value):
        return _fields(value)
    if isinstance(value, enum.Enum):
        return value.name.lower()
    assert isinstance(value, int | str)  # noqa: S101  # records have no other types
    return value


def _parse_deadline(text: str) -> int:
    """Unix time in seconds. Raises RequestError for a malformed time, or one in the past by this machine's clock."""
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise RequestError(
            f"{text[:40]!a} is not a valid time", hint="use RFC 3339 in UTC, such as 2026-12-01T12:00:00Z"
        ) from None
    if moment.timestamp() <= time.time():
        raise RequestError(f"the deadline {text} has passed", hint="give a later one, or correct this machine's clock")
    return int(moment.timestamp())


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(min(seconds, _LAST_MOMENT), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
