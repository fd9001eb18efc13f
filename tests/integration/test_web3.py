"""web3.py, which knows nothing of our code, does all that can be done with the contracts, and says what we say of it:
on every engine that is here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.exceptions import ContractCustomError

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import HttpTransport, RawLog, call_data, decode_log, find_profile
from millmark.ledger.chain.codec import decode_revert
from millmark.ledger.chain.web3py import open_contract
from millmark.ledger.events import Event, Recorded
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import (
    RECORD_TYPES,
    AcceptKey,
    AcceptOwnership,
    AcceptRecovery,
    ApproveModel,
    Close,
    Contract,
    Depart,
    ObjectToRecovery,
    OpenModel,
    OverruleObjection,
    ProposeKey,
    ProposeRecovery,
    PublishModel,
    ReceiveLot,
    RegisterMachine,
    RegisterModel,
    Reinstate,
    RetireMachine,
    RetireModel,
    Role,
    SetKey,
    SetRoles,
    Suspend,
    TransferOwnership,
    WithdrawModel,
    snake_case,
)
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import HeadRow
from millmark.quality import build_model
from millmark.quality.inference import pack_window
from millmark.quality.network.records import infer_row
from millmark.services.demo.consortium import Company
from millmark.services.devchain import create_devchain
from tests.support import toolchain
from tests.support.bundle_chapters import tell_chapters
from tests.support.bundle_world import NOTHING, PIECE, BundleWorld
from tests.support.engines import running_anvil
from tests.support.loopback import serving
from tests.support.quality_samples import tiny_network
from tests.support.stores import new_store
from tests.support.web3_world import Web3Client, build_web3_world, event_names, plain, read_artifact, word_of_gates

pytestmark = pytest.mark.integration

OTHERWISE = {"multicall", "renounceOwnership", "close"}
"""Functions that make no record of their own, and the last record of all: each has a test here."""


@contextmanager
def embedded(folder: Path) -> Iterator[str]:
    with serving(create_devchain()) as url:
        yield url


@contextmanager
def anvil(folder: Path) -> Iterator[str]:
    with running_anvil(folder) as transport:
        yield transport.url


BESIDE = {"OwnershipTransferStarted", "OwnershipTransferred"}
"""OpenZeppelin's events beside the records of the same changes."""

RECOVERY_DELAY_S = 14 * 24 * 3600

ENGINES: dict[str, Callable[[Path], AbstractContextManager[str]]] = {"embedded": embedded, "anvil": anvil}


@pytest.fixture(
    scope="module",
    params=[
        "embedded",
        pytest.param(
            "anvil",
            marks=pytest.mark.skipif(
                toolchain.describe_missing() is not None, reason=str(toolchain.describe_missing())
            ),
        ),
    ],
)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, ...]]:
    """The whole story of tests/support/bundle_chapters.py, and the rest of the registry."""
    folder = tmp_path_factory.mktemp("web3")
    with ENGINES[request.param](folder) as url, new_store(folder) as store:
        client, world = build_web3_world(url, store, find_profile(request.param))
        tell_chapters(world)
        _change_the_registry(world)
        _replace_keys(client, world)
        _change_the_owner(client, world)
        yield client, world


@pytest.fixture
def client(told: tuple[Web3Client, BundleWorld]) -> Web3Client:
    return told[0]


@pytest.fixture
def world(told: tuple[Web3Client, BundleWorld]) -> BundleWorld:
    return told[1]


def _change_the_registry(world: BundleWorld) -> None:
    consortium = world.consortium
    owner, carrier, inspector = consortium.owner, consortium.carrier, consortium.inspector
    world.act(owner, Suspend(carrier.number, NOTHING), Reinstate(carrier.number))
    world.act(owner, SetRoles(carrier.number, 63))
    [world.machines["old"]] = world.act(inspector, RegisterMachine(keccak256(b"old"), NOTHING))
    world.act(inspector, RetireMachine(world.machines["old"], NOTHING))
    [published] = world.act(inspector, PublishModel(build_model(tiny_network()), NOTHING))
    [withdrawn] = world.act(inspector, RegisterModel(keccak256(b"model"), NOTHING))
    world.act(inspector, WithdrawModel(withdrawn, world.now(), NOTHING))
    world.act(inspector, OpenModel(published, open=True))
    [retired] = world.act(inspector, RegisterModel(keccak256(b"retired"), NOTHING))
    world.act(consortium.auditor, ApproveModel(retired, NOTHING))
    world.act(inspector, RetireModel(retired, NOTHING))
    world.model = published


def _replace_keys(client: Web3Client, world: BundleWorld) -> None:
    """A company limits what a second key may do, and leaves; the carrier gets a new key, against its objection."""
    consortium = world.consortium
    owner, carrier, leaving = consortium.owner, consortium.carrier, consortium.makers[2]
    second, recovered = (client.create_account() for _ in range(2))
    world.act(leaving, ProposeKey(bytes.fromhex(second.address[2:]), 63, admin=False))
    world.act(_with_key(leaving, second), AcceptKey(leaving.number))
    world.act(leaving, SetKey(bytes.fromhex(second.address[2:]), int(Role.MANUFACTURER), admin=False))
    world.act(leaving, Depart(NOTHING))
    world.act(owner, ProposeRecovery(carrier.number, bytes.fromhex(recovered.address[2:])))
    world.act(carrier, ObjectToRecovery())
    # Blocks that follow each other quickly are ahead of the clock.
    consortium.chain.node.wait(RECOVERY_DELAY_S + 3600)
    world.act(owner, OverruleObjection(carrier.number))
    world.act(_with_key(carrier, recovered), AcceptRecovery(carrier.number))


def _change_the_owner(client: Web3Client, world: BundleWorld) -> None:
    owner, heir = world.consortium.owner, client.create_account()
    for giver, taker in ((owner, _with_key(owner, heir)), (_with_key(owner, heir), owner)):
        world.act(giver, TransferOwnership(taker.signer.address))
        world.act(taker, AcceptOwnership())


def _with_key(company: Company, account: LocalAccount) -> Company:
    return replace(company, signer=LocalSigner.from_bytes(bytes(account.key)))


def test_web3_makes_every_kind_of_record(client: Web3Client) -> None:
    assert {type(sent.record) for sent in client.sent} == set(RECORD_TYPES) - {Close}


def test_its_calldata_are_ours(client: Web3Client) -> None:
    """It is given a record's fields by name, and finds their order and types in the ABI alone."""
    for sent in client.sent:
        assert sent.calldata == call_data(sent.record), sent.record


def test_it_reads_every_log_as_we_do(client: Web3Client) -> None:
    kinds = set()
    for sent in client.sent:
        for log, event in zip(sent.receipt["logs"], client.events(sent.receipt), strict=True):
            contract = next(one for one, theirs in client.contracts.items() if theirs.address == log["address"])
            kinds.add(event["event"])
            ours = decode_log(contract, _raw(log), 0)
            if event["event"] in BESIDE:
                assert ours is None
                continue
            assert ours is not None
            assert _say(ours) == _theirs(event)
    events = {name for contract in client.contracts.values() for name in event_names(contract)}
    assert events - kinds == {"Closed"}


def _raw(log: Any) -> RawLog:
    address, topics = bytes.fromhex(log["address"][2:]), tuple(bytes(topic) for topic in log["topics"])
    place = (log["blockNumber"], bytes(log["blockHash"]), bytes(log["transactionHash"]), log["logIndex"])
    return RawLog(address, topics, bytes(log["data"]), *place)


def _say(record: Recorded[Event]) -> dict[str, Any]:
    histories = {"histories": record.histories} if record.contract is Contract.LEDGER else {}
    told = {"sequence": record.sequence, "participant": record.participant, "key": record.key, **histories}
    return {"event": record.kind, "subject": record.subject, **told, **_fields(record.event)}


def _fields(value: Any) -> Any:
    if is_dataclass(value):
        members = {one.name: getattr(value, one.name) for one in fields(value)}
        return {
            name.rstrip("_"): word_of_gates(member) if name == "gates" else _fields(member)
            for name, member in members.items()
        }
    return tuple(_fields(item) for item in value) if isinstance(value, tuple) else value


def _theirs(event: Any) -> dict[str, Any]:
    return {"event": event["event"], **_snake(plain(event["args"]))}


def _snake(value: Any) -> Any:
    if isinstance(value, dict):
        return {snake_case(name): _snake(part) for name, part in value.items()}
    return tuple(_snake(item) for item in value) if isinstance(value, tuple) else value


def test_what_it_recorded_is_followed_and_every_head_is_the_chains(
    client: Web3Client, world: BundleWorld, tmp_path: Path
) -> None:
    with new_store(tmp_path) as store:
        Follower(world.consortium.chain, store).follow()
        heads = _heads(store)
    ledger = client.contracts[Contract.LEDGER]
    assert len(heads) > 10
    assert {subject: bytes(ledger.functions.headOf(subject).call()) for subject in heads} == heads


def _heads(store: Store) -> dict[bytes, bytes]:
    with store.reading() as connection:
        return {row.subject: row.head for row in Rows(connection).find(HeadRow)}


def _questions(world: BundleWorld) -> dict[tuple[Contract, str], list[Any]]:
    """Arguments for every function that answers."""
    consortium, model = world.consortium, world.model
    key, lot = "0x" + consortium.inspector.signer.address.hex(), world.lots["hip-1"]
    coordinator, inspector = consortium.coordinator.number, consortium.inspector.number
    forwarder = "0x" + consortium.chain.forwarder.hex()
    common: dict[str, list[Any]] = {"isTrustedForwarder": [forwarder]}
    common |= {name: [] for name in ("predecessor", "sequence", "trustedForwarder")}
    registry: dict[str, list[Any]] = {
        name: [] for name in ("RECOVERY_DELAY", "evaluator", "owner", "pendingOwner", "successor")
    }
    registry |= {name: [key] for name in ("actorOf", "keyOf")}
    registry |= {name: [world.machines["press"]] for name in ("machineOf", "ownerOfMachine")}
    registry |= {name: [model] for name in ("modelOf", "stateOfModel")}
    registry |= {name: [inspector] for name in ("absenceOf", "participantOf", "rolesOf")}
    registry |= {"actorAndTaker": [key, inspector], "standingOf": [coordinator, inspector, model]}
    registry |= {"issuanceOf": [key, model], "modelFor": [model, inspector], "publishedOf": [1]}
    registry |= {"recoveryOf": [consortium.carrier.number], "nameKeyOf": [consortium.makers[1].number, 0]}
    registry["sequenceOf"] = [world.streams["press"]]
    ledger: dict[str, list[Any]] = {name: [] for name in ("HEAD_TAG", "ledgerId", "registry")}
    ledger |= {name: [] for name in ("certificateOperations", "lotOperations")}
    ledger |= {name: [lot] for name in ("headOf", "lotOf", "offerOf")}
    certificate = next(iter(world.inspections))
    ledger |= {name: [certificate] for name in ("certificateOf", "certificateStatus")}
    ledger |= {name: [lot, inspector] for name in ("standingOf", "waiverOf")}
    ledger |= {name: [world.orders["hip"]] for name in ("orderOf", "proposalOf", "gatesOf")}
    ledger |= {"assignmentOf": [world.orders["hip"], 0]}
    ledger["streamOf"] = [world.streams["press"]]
    asked = {Contract.REGISTRY: common | registry, Contract.LEDGER: common | ledger}
    return {(contract, name): values for contract, found in asked.items() for name, values in found.items()}


def test_every_function_that_answers_gives_it_what_it_gives_us(client: Web3Client, world: BundleWorld) -> None:
    for (contract, name), arguments in _questions(world).items():
        ours = world.consortium.chain.read(contract, name, *arguments)
        function = client.contracts[contract].functions[name]
        theirs = function(*map(_checksummed, arguments)).call()
        assert _values(plain([theirs] if len(ours) == 1 else theirs)) == _values(ours), name


def _checksummed(value: Any) -> Any:
    return Web3.to_checksum_address(value) if isinstance(value, str) else value


def _values(value: Any) -> Any:
    """Structs as the tuple of their fields: that is how web3.py returns them."""
    if isinstance(value, dict):
        return tuple(_values(part) for part in value.values())
    return tuple(_values(item) for item in value) if isinstance(value, tuple) else value


def test_no_function_is_left_out(client: Web3Client, world: BundleWorld) -> None:
    names = {type(sent.record).__name__ for sent in client.sent}
    called = {(sent.record.contract, "") for sent in client.sent}
    assert {contract for contract, _ in called} == set(Contract)
    recording = {name[0].lower() + name[1:] for name in names}
    answering = {name for _, name in _questions(world)}
    for contract in client.contracts.values():
        functions = {entry["name"] for entry in contract.abi if entry["type"] == "function"}
        assert functions <= recording | answering | OTHERWISE


def test_two_records_go_in_one_transaction(client: Web3Client, world: BundleWorld) -> None:
    ledger, maker = client.contracts[Contract.LEDGER], world.consortium.makers[1]
    records = [ReceiveLot(keccak256(name), 1, PIECE, NOTHING) for name in (b"two", b"three")]
    calls = [client.calldata_of(record) for record in records]
    account = Account.from_key(maker.signer.unsafe_secret())
    receipt = client.transact(account, ledger.functions.multicall(calls))
    first, second = client.events(receipt)
    assert (first["event"], second["event"]) == ("LotReceived", "LotReceived")
    assert second["args"]["sequence"] == first["args"]["sequence"] + 1 == ledger.functions.sequence().call()


def test_a_refusal_has_the_same_name(client: Web3Client, world: BundleWorld) -> None:
    call = client.call_of(ReceiveLot(keccak256(b"stranger"), 1, PIECE, NOTHING))
    with pytest.raises(ContractCustomError) as caught:
        call.call({"from": client.create_account().address})
    data = bytes.fromhex(str(caught.value.data)[2:])
    ours = decode_revert(data)
    [theirs] = [
        entry
        for entry in client.contracts[Contract.REGISTRY].abi
        if entry["type"] == "error" and entry["name"] == ours.name
    ]
    signature = f"{theirs['name']}({','.join(one['type'] for one in theirs.get('inputs', ()))})"
    assert Web3.keccak(text=signature)[:4] == data[:4]


def test_ownership_passes_in_two_steps(client: Web3Client, world: BundleWorld) -> None:
    registry, chain = client.contracts[Contract.REGISTRY], world.consortium.chain
    owner, heir = Account.from_key(world.consortium.owner.signer.unsafe_secret()), client.create_account()
    for giver, taker in ((owner, heir), (heir, owner)):
        begun = client.transact(giver, registry.functions.transferOwnership(taker.address))
        assert registry.functions.pendingOwner().call() == taker.address
        ended = client.transact(taker, registry.functions.acceptOwnership())
        assert registry.functions.owner().call() == taker.address
        told = [{event["event"]: event["args"] for event in client.events(receipt)} for receipt in (begun, ended)]
        assert [set(one) for one in told] == [
            {"OwnershipTransferStarted", "OwnershipOffered"},
            {"OwnershipTransferred", "OwnershipAccepted"},
        ]
        assert told[0]["OwnershipTransferStarted"]["newOwner"] == taker.address
        assert told[1]["OwnershipTransferred"]["newOwner"] == taker.address
    with pytest.raises(ContractCustomError):
        registry.functions.renounceOwnership().call({"from": owner.address})
    assert chain.read(Contract.REGISTRY, "owner") == (bytes.fromhex(owner.address[2:]),)


def test_it_executes_a_published_model(client: Web3Client, world: BundleWorld) -> None:
    registry, network = client.contracts[Contract.REGISTRY], tiny_network()
    address, code = registry.functions.evaluator().call(), registry.functions.modelOf(world.model).call()
    [code] = [value for value in code if isinstance(value, str)]
    evaluator = client.web3.eth.contract(address, abi=read_artifact("Evaluator")["abi"])
    evaluator.functions.requireExecutable(build_model(network)).call()
    for window in ((5, 2), (1, 2), (-100, 100)):
        verdict, logits = evaluator.functions.evaluate(code, pack_window(window)).call()
        ours = infer_row(network, window)
        assert (tuple(logits), verdict) == (ours, network.decision.judge(ours))


def test_a_request_that_eth_account_signed_is_forwarded(client: Web3Client, world: BundleWorld) -> None:
    chain = world.consortium.chain
    forwarder = client.web3.eth.contract(
        Web3.to_checksum_address(chain.forwarder), abi=read_artifact("Forwarder")["abi"]
    )
    _, name, version, chain_id, address, *_ = forwarder.functions.eip712Domain().call()
    signer, payer = Account.from_key(world.consortium.makers[1].signer.unsafe_secret()), client.create_account()
    nonce = forwarder.functions.nonces(signer.address).call()
    data = client.calldata_of(ReceiveLot(keccak256(b"forwarded"), 1, PIECE, NOTHING))
    request = {"from": signer.address, "to": Web3.to_checksum_address(chain.ledger), "value": 0, "gas": 500_000}
    request |= {"nonce": nonce, "deadline": world.now() + 3600, "data": data}
    kinds = {"from": "address", "to": "address", "value": "uint256", "gas": "uint256", "nonce": "uint256"}
    kinds |= {"deadline": "uint48", "data": "bytes"}
    message = encode_typed_data(
        {"name": name, "version": version, "chainId": chain_id, "verifyingContract": address},
        {"ForwardRequest": [{"name": one, "type": kind} for one, kind in kinds.items()]},
        request,
    )
    given = {key: value for key, value in request.items() if key != "nonce"}
    given["signature"] = signer.sign_message(message).signature
    assert forwarder.functions.verify(given).call() is True
    receipt = client.transact(payer, forwarder.functions.execute(given))
    [event] = [client.decode(log) for log in receipt["logs"] if log["address"] != address]
    assert (event["event"], event["args"]["key"]) == ("LotReceived", signer.address)
    assert chain.forward_nonce(bytes.fromhex(signer.address[2:])) == nonce + 1


def test_our_transport_serves_its_contract_objects(client: Web3Client, world: BundleWorld) -> None:
    """`open_contract`: the documented way, with this library's connection."""
    chain = world.consortium.chain
    for contract, theirs in client.contracts.items():
        ours = open_contract(HttpTransport(client.url), chain.deployment, contract)
        assert ours.address == theirs.address
        assert ours.functions.sequence().call() == theirs.functions.sequence().call()
    ledger = open_contract(HttpTransport(client.url), chain.deployment, Contract.LEDGER)
    found = ledger.events.LotReceived().get_logs(from_block=chain.first_block)
    assert [event["args"]["sequence"] for event in found] == [
        record.sequence for record in world.recorded() if record.kind == "LotReceived"
    ]


def test_a_closed_registry_takes_no_more_from_outside(client: Web3Client, world: BundleWorld) -> None:
    """The last test, since nothing opens it again."""
    world.act(world.consortium.owner, Close(b"\x77" * 20))
    [event] = client.events(client.sent[-1].receipt)
    assert (event["event"], event["args"]["ledger"]) == ("Closed", Web3.to_checksum_address(b"\x77" * 20))
    call = client.call_of(ReceiveLot(keccak256(b"late"), 1, PIECE, NOTHING))
    with pytest.raises(ContractCustomError) as caught:
        call.call({"from": Web3.to_checksum_address(world.consortium.makers[1].signer.address)})
    assert decode_revert(bytes.fromhex(str(caught.value.data)[2:])).name == "HistoryClosed"
