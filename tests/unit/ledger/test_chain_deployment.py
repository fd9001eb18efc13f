"""Deploying, finding the contracts again, and refusing any others."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import (
    Chain,
    Deployment,
    EmbeddedChain,
    Node,
    RpcError,
    deploy,
    find_profile,
    read_deployment,
    write_deployment,
)
from millmark.ledger.chain.deploying import DEPLOY_GAS, build_creations
from millmark.ledger.chain.proofs import fetch_checkpoint, fetch_trust, verify_seen
from millmark.ledger.checkpoint import SignedCheckpoint, sign_checkpoint, verify_believed
from millmark.ledger.errors import (
    ChainError,
    ChainUnreachableError,
    ContractRefusedError,
    FundsError,
    NodeBehindError,
    Retry,
    SettingsError,
    SignerUnknownError,
    WrongChainError,
    WrongCheckpointError,
    WrongContractError,
)
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Contract
from millmark.ledger.trust import Cosigner, Cosigners
from tests.support.ledger_world import build_world
from tests.support.rpc import Line, lost

PROFILE = find_profile("embedded")
DEPLOYMENT = Deployment(1337, b"\x11" * 20, b"\x22" * 20, b"\x44" * 32, b"\x33" * 20, 7, b"\x55" * 32, 12, b"\x66" * 32)
TEXT = {
    "chain_id": 1337,
    "registry": "0x" + "11" * 20,
    "ledger": "0x" + "22" * 20,
    "ledger_id": "0x" + "44" * 32,
    "forwarder": "0x" + "33" * 20,
    "block_number": 7,
    "genesis_hash": "0x" + "55" * 32,
    "created_number": 12,
    "created_hash": "0x" + "66" * 32,
}


def test_a_deployment_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    write_deployment(path, DEPLOYMENT)
    assert read_deployment(path) == DEPLOYMENT
    write_deployment(path, dataclasses.replace(DEPLOYMENT, chain_id=2))
    assert read_deployment(path).chain_id == 2
    assert [found.name for found in tmp_path.iterdir()] == ["deployment.json"]


def test_addresses_are_read_with_and_without_prefix(tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    path.write_text(json.dumps({**TEXT, "registry": "11" * 20}))
    assert read_deployment(path) == DEPLOYMENT


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.json does not exist; get it from another participant, or deploy"):
        read_deployment(tmp_path / "absent.json")


def test_a_folder_is_no_deployment_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not a deployment file"):
        read_deployment(tmp_path)


NO_ADDRESSES: list[Any] = ["0x", "0x11", "0x" + "11" * 19, "0x" + "11" * 21, "0x" + "zz" * 20, None, 5, []]
NO_NUMBERS: list[Any] = ["1", "x", None, -1, 1.5, True, []]
MALFORMED: list[bytes] = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"5",
    b'"text"',
    b"\xff\xfe",
    b"[" * 100_000,
    *(json.dumps({name: value for name, value in TEXT.items() if name != gone}).encode() for gone in TEXT),
    *(
        json.dumps({**TEXT, name: wrong}).encode()
        for name in ("registry", "ledger", "forwarder", "ledger_id", "genesis_hash", "created_hash")
        for wrong in NO_ADDRESSES
    ),
    json.dumps({**TEXT, "ledger_id": "0x" + "44" * 33}).encode(),
    *(
        json.dumps({**TEXT, name: wrong}).encode()
        for name in ("chain_id", "block_number", "created_number")
        for wrong in NO_NUMBERS
    ),
]


@pytest.mark.parametrize("content", MALFORMED, ids=lambda content: content[:90].decode(errors="replace"))
def test_a_malformed_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "deployment.json"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="is not a deployment file") as caught:
        read_deployment(path)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


# On a chain


def test_a_deployed_ledger_starts_empty() -> None:
    world = build_world()
    assert world.chain.sequence(Contract.LEDGER) == world.chain.sequence(Contract.REGISTRY) == 0
    assert world.chain.head(bytes(32)) == bytes(32)
    assert world.chain.deployment.block_number == 1, "what was there before"
    assert world.chain.final_number() == 6
    assert world.chain.read(Contract.REGISTRY, "owner") == (world.owner.address,)
    assert world.chain.genesis_hash() == world.chain.header(0).hash


def test_two_deployments_on_one_chain_are_apart() -> None:
    world = build_world()
    second = deploy(world.chain.node, PROFILE, world.owner)
    assert second.block_number == 6
    assert {second.registry, second.ledger}.isdisjoint({world.chain.registry, world.chain.ledger})
    assert Chain(world.chain.node, PROFILE, second).sequence(Contract.LEDGER) == 0


def test_a_chain_made_anew_with_the_same_keys_is_another_ledger() -> None:
    """All addresses and the chain's id are the same: only the id of the ledger tells them apart."""
    owner = LocalSigner.generate()
    one, two = (_chain_made(genesis_time_s, owner) for genesis_time_s in (1_760_000_000, 1_760_000_001))
    first, second = one.deployment, two.deployment
    assert (first.chain_id, first.registry, first.ledger) == (second.chain_id, second.registry, second.ledger)
    assert first.ledger_id != second.ledger_id
    with pytest.raises(WrongChainError, match=r"genesis block 0x[0-9a-f]{64}, the deployment is on that with"):
        Chain(two.node, PROFILE, first)
    disguised = dataclasses.replace(first, genesis_hash=second.genesis_hash)
    with pytest.raises(WrongChainError, match="this is another network, with the same genesis block"):
        Chain(two.node, PROFILE, disguised)
    disguised = dataclasses.replace(disguised, created_hash=second.created_hash)
    with pytest.raises(WrongContractError, match=r"has the id 0x[0-9a-f]{64}, that of the deployment"):
        Chain(two.node, PROFILE, disguised)
    checkpoint, trust = (
        fetch_checkpoint(one),
        fetch_trust(two, {1: "Alder Forge"}, Cosigners(1, (Cosigner(1, owner.address),))),
    )
    signed = sign_checkpoint(checkpoint, owner)
    assert verify_believed(fetch_trust(one, {}, trust.checkpoint), signed).hash == checkpoint.block_hash
    with pytest.raises(WrongCheckpointError):
        verify_believed(trust, signed)
    with pytest.raises(WrongCheckpointError, match="made anew"):
        verify_seen(two, checkpoint)
    passed_off = SignedCheckpoint(dataclasses.replace(checkpoint, ledger_id=second.ledger_id), signed.signatures)
    with pytest.raises(SignerUnknownError):
        verify_believed(trust, passed_off)


def _chain_made(genesis_time_s: int, owner: LocalSigner) -> Chain:
    node = Node(EmbeddedChain(genesis_time_s))
    node.fund(owner.address, 10**20)
    return Chain(node, PROFILE, deploy(node, PROFILE, owner))


def test_an_owner_without_money_deploys_nothing() -> None:
    node = Node(EmbeddedChain())
    with pytest.raises(ChainError):
        deploy(node, PROFILE, LocalSigner.generate())
    assert node.block_number() == 0


@pytest.mark.parametrize("method", ["eth_blockNumber", "eth_estimateGas", "eth_sendRawTransaction", "eth_chainId"])
def test_nothing_is_deployed_on_an_unreachable_chain(method: str) -> None:
    line, owner = Line(EmbeddedChain()), LocalSigner.generate()
    Node(line).fund(owner.address, 10**20)
    line.cut(method, after=False)
    with pytest.raises(ChainUnreachableError, match="the line is cut"):
        deploy(Node(line), PROFILE, owner)
    assert Node(line).transaction_count(owner.address) == 0


def test_a_chain_that_mines_nothing_is_waited_for_in_vain() -> None:
    line, owner = Line(EmbeddedChain()), LocalSigner.generate()
    Node(line).fund(owner.address, 10**20)
    line.handlers["eth_getTransactionReceipt"] = lambda _: None
    with pytest.raises(ChainError, match="was not mined within 0 s"):
        deploy(Node(line), PROFILE, owner, timeout_s=0)


def test_one_bad_answer_does_not_lose_contracts_that_were_created() -> None:
    line, owner = Line(EmbeddedChain()), LocalSigner.generate()
    Node(line).fund(owner.address, 10**20)
    asked: list[int] = []

    def fail_once(params: list[Any]) -> Any:
        asked.append(1)
        if len(asked) == 2:  # the first is before anything is created
            raise lost()
        return line.node.request("eth_blockNumber", params)

    line.handlers["eth_blockNumber"] = fail_once
    deployed = deploy(Node(line), PROFILE, owner)
    assert Chain(Node(line), PROFILE, deployed).ledger_id == deployed.ledger_id
    assert len(asked) == 3


def test_all_contracts_are_sent_before_one_is_mined() -> None:
    """Mined one by one, each but the first would wait for a block, and for what a reorganisation may undo."""
    line, owner = Line(EmbeddedChain()), LocalSigner.generate()
    Node(line).fund(owner.address, 10**20)
    pool = [""][:0]

    def send(params: list[Any]) -> Any:
        pool.append(params[0])
        return "0x" + keccak256(bytes.fromhex(params[0][2:])).hex()

    def mine(params: list[Any]) -> Any:
        assert len(pool) in (0, 5)
        while pool:
            line.node.request("eth_sendRawTransaction", [pool.pop(0)])
        return line.node.request("eth_getTransactionReceipt", params)

    line.handlers |= {"eth_sendRawTransaction": send, "eth_getTransactionReceipt": mine}
    deployed = deploy(Node(line), PROFILE, owner)
    assert Chain(Node(line), PROFILE, deployed).ledger_id == deployed.ledger_id


def test_the_last_contract_is_final_and_named_by_the_block_that_stays() -> None:
    line, owner = Line(EmbeddedChain()), LocalSigner.generate()
    node, seen = Node(line.node), [""][:0]
    node.fund(owner.address, 10**20)

    def mine(params: list[Any]) -> Any:
        node.wait(1)
        return line.node.request("eth_blockNumber", params)

    def moved(params: list[Any]) -> Any:
        """The last one is seen first in a block before the one in which it stays."""
        receipt = line.node.request("eth_getTransactionReceipt", params)
        seen.append(params[0])
        if len(seen) != 5:
            return receipt
        return {**receipt, "blockHash": "0x" + "11" * 32, "blockNumber": hex(int(receipt["blockNumber"], 16) - 1)}

    line.handlers |= {"eth_blockNumber": mine, "eth_getTransactionReceipt": moved}
    deployed = deploy(Node(line), dataclasses.replace(PROFILE, finality_depth=5), owner)
    assert len(seen) > 5
    assert deployed.created_hash == node.header(deployed.created_number).hash
    assert deployed.created_number <= node.block_number() - 5


def test_contracts_that_a_reorganisation_moved_are_judged_where_they_stay() -> None:
    """The chain may even be shorter then than when the first of them was sent: all their blocks are to be indexed."""
    line, owner = Line(EmbeddedChain()), LocalSigner.generate()
    node, hashes = Node(line.node), [""][:0]
    node.fund(owner.address, 10**20)

    def later(params: list[Any]) -> Any:
        """At first the node has two blocks more, of a fork."""
        return hex(int(line.node.request("eth_blockNumber", params), 16) + (0 if hashes else 2))

    def send(params: list[Any]) -> Any:
        hashes.append(params[0])
        return line.node.request("eth_sendRawTransaction", params)

    line.handlers |= {"eth_blockNumber": later, "eth_sendRawTransaction": send}
    deployed = deploy(Node(line), PROFILE, owner)
    assert (deployed.block_number, deployed.created_number) == (2, 6)


def test_a_contract_that_is_reverted_in_its_final_block_is_told() -> None:
    line, owner = Line(EmbeddedChain()), LocalSigner.generate()
    node, asked = Node(line.node), [""][:0]
    node.fund(owner.address, 10**20)

    def revert(params: list[Any]) -> Any:
        receipt = line.node.request("eth_getTransactionReceipt", params)
        asked.append(params[0])
        return receipt if len(asked) <= 5 else {**receipt, "status": "0x0", "contractAddress": None}

    line.handlers["eth_getTransactionReceipt"] = revert
    with pytest.raises(ChainError, match=r"the deployment of \w+ reverted"):
        deploy(Node(line), PROFILE, owner)


def test_no_contract_needs_more_gas_than_it_is_given() -> None:
    node, owner = Node(EmbeddedChain()), LocalSigner.generate()
    node.fund(owner.address, 10**20)
    first = deploy(node, PROFILE, owner).block_number
    creations = build_creations(owner.address, 0)
    for place, one in enumerate(creations):
        used = node.gas_used(first + 1 + place)
        assert one.least_gas <= used <= 0.97 * one.gas_limit(30_000_000), one.name
        assert one.gas_limit(used) == max(used, one.least_gas)
    assert sum(one.gas_limit(30_000_000) for one in creations) <= DEPLOY_GAS


@pytest.mark.parametrize("method", ["eth_call", "eth_chainId", "eth_getBlockByNumber"])
def test_no_read_after_the_last_contract_loses_its_address(method: str) -> None:
    line, owner = Line(EmbeddedChain()), LocalSigner.generate()
    Node(line).fund(owner.address, 10**20)
    created, failed = [""][:0], [""][:0]

    def send(params: list[Any]) -> Any:
        created.append(params[0])
        return line.node.request("eth_sendRawTransaction", params)

    def fail_once(params: list[Any]) -> Any:
        if len(created) == 5 and not failed:
            failed.append(method)
            raise lost()
        return line.node.request(method, params)

    line.handlers |= {"eth_sendRawTransaction": send, method: fail_once}
    deployed = deploy(Node(line), PROFILE, owner)
    line.handlers.clear()
    assert Chain(Node(line), PROFILE, deployed).ledger_id == deployed.ledger_id


def test_a_reverted_deployment_is_told() -> None:
    line, owner = Line(EmbeddedChain()), LocalSigner.generate()
    Node(line).fund(owner.address, 10**20)

    def revert(params: list[Any]) -> Any:
        return {**line.node.request("eth_getTransactionReceipt", params), "status": "0x0", "contractAddress": None}

    line.handlers["eth_getTransactionReceipt"] = revert
    with pytest.raises(ChainError, match="the deployment of Forwarder reverted"):
        deploy(Node(line), PROFILE, owner)


def test_another_chain_is_refused() -> None:
    world = build_world()
    world.line.handlers["eth_chainId"] = lambda _: "0x539"
    with pytest.raises(WrongChainError, match="the node serves chain 1337, the deployment is on chain 131277322940537"):
        Chain(world.chain.node, PROFILE, world.chain.deployment)


def test_another_instance_of_the_same_chain_is_refused() -> None:
    """The embedded chain starts anew with the same chain id: its genesis block differs."""
    world = build_world()
    with pytest.raises(WrongChainError, match=f"the deployment is on that with 0x{world.chain.genesis_hash().hex()}"):
        Chain(Node(EmbeddedChain(1_760_000_000)), PROFILE, world.chain.deployment)


def test_a_node_without_the_ledgers_block_is_behind() -> None:
    """Its own head, the ledger's block and the remedy are named, and that it may be asked again."""
    world = build_world()
    created = hex(world.chain.deployment.created_number)

    def lack(params: list[Any]) -> Any:
        return None if params[0] == created else world.line.node.request("eth_getBlockByNumber", params)

    world.line.handlers |= {"eth_getBlockByNumber": lack, "eth_blockNumber": lambda _: "0x3"}
    with pytest.raises(NodeBehindError, match="its latest block is 3, the ledger was created in block 6") as caught:
        Chain(world.chain.node, PROFILE, world.chain.deployment)
    assert (caught.value.exit_code, caught.value.retry) == (3, Retry.UNCHANGED)


def test_a_node_that_has_the_blocks_and_not_yet_the_state_is_behind() -> None:
    world = build_world()
    world.line.handlers["eth_getCode"] = lambda _: "0x"
    cause = f"this node has no contract at 0x{world.chain.ledger.hex()}, address of TraceLedger: it is "
    numbers = r"\(latest block 6, ledger created in block 6\)"
    with pytest.raises(WrongContractError, match=f"{cause}of another network, or not in sync yet {numbers}"):
        Chain(world.chain.node, PROFILE, world.chain.deployment)
    world.line.handlers["eth_syncing"] = lambda _: {"currentBlock": "0x6", "highestBlock": "0x9"}
    with pytest.raises(NodeBehindError, match=f"{cause}not in sync yet {numbers}"):
        Chain(world.chain.node, PROFILE, world.chain.deployment)


def test_contracts_in_each_others_place_are_refused() -> None:
    world = build_world()
    deployed = world.chain.deployment
    swapped = dataclasses.replace(deployed, registry=deployed.ledger, ledger=deployed.registry)
    with pytest.raises(WrongContractError, match="is not that of TraceLedger"):
        Chain(world.chain.node, PROFILE, swapped)


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        ("lotOperations", "is not that of LotOperations"),
        ("certificateOperations", "is not that of CertificateOperations"),
        ("evaluator", "is not that of Evaluator"),
        ("registry", "uses a registry other than"),
    ],
)
def test_other_code_behind_a_contract_is_refused(asked: str, refused: str) -> None:
    """All code at the deployment's own addresses is right: what it runs is not."""
    world = build_world()
    selector = "0x" + keccak256(f"{asked}()".encode())[:4].hex()

    def answer(params: list[Any]) -> Any:
        if params[0]["data"] == selector:
            return "0x" + bytes(12).hex() + world.chain.ledger.hex()
        return world.line.node.request("eth_call", params)

    world.line.handlers["eth_call"] = answer
    with pytest.raises(WrongContractError, match=refused):
        Chain(world.chain.node, PROFILE, world.chain.deployment)


def test_a_ledger_is_not_taken_with_another_deployments_registry() -> None:
    """Both are true contracts of this version, on one chain."""
    world = build_world()
    own, owner = world.chain.deployment, LocalSigner.generate()
    world.fund(owner)
    other = deploy(world.chain.node, PROFILE, owner)
    with pytest.raises(WrongContractError, match="uses a registry other than"):
        Chain(world.chain.node, PROFILE, dataclasses.replace(own, registry=other.registry))


def test_a_view_that_reverts_is_named() -> None:
    world = build_world()
    with pytest.raises(ContractRefusedError) as caught:
        world.chain.read(Contract.REGISTRY, "machineOf", 99)
    assert (caught.value.name, caught.value.values) == ("RegistryMachineUnknown", {"machine": 99})


def test_there_is_no_profile_of_another_name() -> None:
    with pytest.raises(SettingsError, match=r"the engine profile 'geth' does not exist; use one of embedded, anvil"):
        find_profile("geth")


def test_contracts_are_paid_for_before_the_first_is_made() -> None:
    node, owner = Node(EmbeddedChain()), LocalSigner.generate()
    with pytest.raises(FundsError, match=r"has 0 wei, and the contracts may take \d+; send it the difference"):
        deploy(node, PROFILE, owner)
    assert node.transaction_count(owner.address) == 0


def test_blocks_that_are_too_small_for_a_contract_are_named() -> None:
    line = Line(EmbeddedChain())
    node, owner = Node(line), LocalSigner.generate()
    node.fund(owner.address)

    def refuse(_: list[Any]) -> Any:
        raise RpcError(-32005, "Transaction gas limit exceeds block gas limit")

    line.handlers["eth_sendRawTransaction"] = refuse
    with pytest.raises(ChainError, match="more than the chain's blocks have; have the validators raise"):
        deploy(node, PROFILE, owner, timeout_s=0)
