"""`millmark keys balance` and `keys fund`: what the home's keys have for gas, and topping it up from a treasury key."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

import typer

from millmark.ledger.chain import EngineProfile, Node, find_profile, first_fees, send_values
from millmark.ledger.chain.deploying import DEPLOY_GAS
from millmark.ledger.errors import InputError
from millmark.ledger.keys import Signer, parse_address, to_checksum
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Funds, look_at_funds
from millmark.ledger.submit.submitter import GAS_PER_RECORD
from millmark.services.commands.context import Context, open_context
from millmark.services.home import find_paying_keys
from millmark.services.output import AsJson, PassphraseFile, SignerUri, print_json, print_lines

_MOST_RECORDS = 10**9
_RECORDS = 100_000
Addresses = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ADDRESS]...", help="Addresses of keys; those of the home that pay for gas if omitted."),
]


def run_balance(context: typer.Context, addresses: Addresses = None, as_json: AsJson = False) -> None:
    """Print what keys have for gas, and how long it lasts at the present fees and rate of records."""
    with open_context(context.obj, looking=True) as opened:
        found = _look(opened, addresses)
    if as_json:
        print_json(context, {"keys": [funds.to_json() for funds in found]})
        return
    print_lines(*(f"{to_checksum(funds.key)}: {funds.describe()}" for funds in found))


def run_fund(
    context: typer.Context,
    signer: SignerUri,
    addresses: Addresses = None,
    records: int = typer.Option(
        _RECORDS,
        min=1,
        max=_MOST_RECORDS,
        help="Number of records, at the present fees, for which each key is to have.",
    ),
    wei: int | None = typer.Option(None, "--wei", min=1, help="Send each key exactly this amount instead."),
    passphrase_file: PassphraseFile = None,
) -> None:
    """Top up keys from a treasury key, `--signer`, which must be one that makes no records.

    Repeated, it sends only what is missing. On a network without fees it sends nothing.
    """
    with open_context(context.obj) as opened:
        treasury = opened.unlock(signer, passphrase_file)
        found = [funds for funds in _look(opened, addresses) if funds.key != treasury.address]
        _verify_idle(opened, treasury)
        amounts = [(funds, funds.missing_wei(records) if wei is None else wei) for funds in found]
        _send(opened, treasury, amounts)
        after = _look(opened, [to_checksum(funds.key) for funds in found])
    print_lines(*(f"{to_checksum(funds.key)}: {funds.describe()}" for funds in after))


def endow_operator(node: Node, profile: EngineProfile, treasury: Signer, key: bytes) -> None:
    """Send a new operator's key what it lacks for deploying the contracts, and for records. Raises FundsError,
    ChainError."""
    fees = first_fees(node, profile)
    missing = fees.max_fee_wei * (DEPLOY_GAS + _RECORDS * GAS_PER_RECORD) - node.balance_wei(key)
    if fees.max_fee_wei and missing > 0:
        send_values(node, profile, treasury, [(key, missing)])
        print_lines(f"sent {missing} wei to {to_checksum(key)}")


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
    print_lines(*(f"sent {wei} wei to {to_checksum(key)}" for key, wei in wanted))


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
