"""A block's transactions: every type is encoded as it was signed, and none can be left out, added or changed."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from eth_account.datastructures import SignedTransaction

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import EmbeddedChain, Node, Transaction, sign_transaction
from millmark.ledger.chain.blocks import build_root, parse_transactions
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.keys import LocalSigner
from tests.support.rpc import Line

KEY = Account.from_key("0x" + "07" * 32)
TO = "0x" + "11" * 20
SLOT = "0x" + "22" * 32
SHARED: dict[str, Any] = {"nonce": 5, "gas": 90_000, "to": TO, "value": 3, "data": "0x00ff"}
DYNAMIC: dict[str, Any] = {
    **SHARED,
    "chainId": 7,
    "maxFeePerGas": 900,
    "maxPriorityFeePerGas": 2,
    "accessList": [{"address": TO, "storageKeys": [SLOT]}],
}
AUTHORIZATION = KEY.sign_authorization({"chainId": 7, "address": bytes.fromhex(TO[2:]), "nonce": 9})
KINDS: dict[str, dict[str, Any]] = {
    "legacy": {**SHARED, "gasPrice": 900},
    "legacy with a chain": {**SHARED, "gasPrice": 900, "chainId": 7},
    "access list": {**SHARED, "gasPrice": 900, "chainId": 7, "accessList": DYNAMIC["accessList"], "type": 1},
    "dynamic fee": {**DYNAMIC, "type": 2},
    "authorizations": {**DYNAMIC, "type": 4, "authorizationList": [AUTHORIZATION]},
}


def answer(kind: str) -> tuple[SignedTransaction, dict[str, Any]]:
    """A transaction as eth_account signs it, and as a node would show it."""
    fields = KINDS[kind]
    signed = KEY.sign_transaction(fields)
    shown = {name: hex(value) if isinstance(value, int) else value for name, value in fields.items()}
    shown |= {"input": shown.pop("data"), "r": hex(signed.r), "s": hex(signed.s), "v": hex(signed.v)}
    if "authorizationList" in fields:
        names = {"chainId": "chain_id", "nonce": "nonce", "yParity": "y_parity", "r": "r", "s": "s"}
        numbers = {name: hex(getattr(AUTHORIZATION, field)) for name, field in names.items()}
        shown["authorizationList"] = [{"address": "0x" + bytes(AUTHORIZATION.address).hex(), **numbers}]
    return signed, shown


@pytest.mark.parametrize("kind", KINDS)
def test_each_type_has_the_hash_and_the_sender_that_it_was_signed_with(kind: str) -> None:
    signed, shown = answer(kind)
    [found] = parse_transactions([shown], build_root([bytes(signed.raw_transaction)]))
    assert found.hash == bytes(signed.hash) == keccak256(bytes(signed.raw_transaction))
    assert found.sender == bytes.fromhex(KEY.address[2:])
    assert (found.nonce, found.to, found.data) == (5, b"\x11" * 20, b"\x00\xff")


def test_a_changed_or_missing_transaction_is_noticed() -> None:
    signed = [answer(kind) for kind in KINDS]
    root = build_root([bytes(one.raw_transaction) for one, _ in signed])
    shown = [one for _, one in signed]
    assert len(parse_transactions(shown, root)) == len(KINDS)
    for wrong in (shown[:-1], shown[::-1], [{**shown[0], "nonce": "0x6"}, *shown[1:]], []):
        with pytest.raises(ValueError, match="do not match the block's transactions root"):
            parse_transactions(wrong, root)


def test_a_node_that_leaves_a_transaction_out_gives_no_block() -> None:
    line, signer = Line(EmbeddedChain()), LocalSigner.generate()
    node = Node(line)
    node.fund(signer.address)
    chain_id = node.chain_id()
    sent = sign_transaction(Transaction(chain_id, 0, 1, 10**11, 21_000, signer.address, b""), signer)
    node.send(sent.raw)
    header, [found] = node.transactions(2)
    assert (found.hash, found.sender, header.number) == (sent.hash, signer.address, 2)
    [funding] = node.transactions(1)[1]
    assert funding.sender is not None

    def leave_out(params: list[Any]) -> Any:
        return {**line.node.request("eth_getBlockByNumber", params), "transactions": []}

    line.handlers["eth_getBlockByNumber"] = leave_out
    with pytest.raises(ChainUnreachableError, match="the node's answer to eth_getBlockByNumber cannot be used"):
        node.transactions(2)
