"""web3.py, which knows nothing of our code, does all that can be done with the contracts, and says what we say of it:
on every engine that is here."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from web3 import HTTPProvider, Web3
from web3.contract import Contract as Web3Contract
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.exceptions import ContractCustomError
from web3.types import TxReceipt

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import (
    Chain,
    Deployment,
    EngineProfile,
    HttpTransport,
    Node,
    RawLog,
    call_data,
    decode_log,
    find_profile,
)
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
    Admit,
    ApproveModel,
    Close,
    Contract,
    Depart,
    Gate,
    ObjectToRecovery,
    OpenModel,
    OverruleObjection,
    ProposeKey,
    ProposeRecovery,
    PublishModel,
    ReceiveLot,
    Record,
    RegisterMachine,
    RegisterModel,
    Reinstate,
    RetireMachine,
    RetireModel,
    Role,
    SetKey,
    SetNameKey,
    SetRoles,
    Suspend,
    TransferOwnership,
    WithdrawModel,
    snake_case,
)
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import HeadRow
from millmark.ledger.submit import Submitter
from millmark.quality import build_model
from millmark.quality.inference import pack_window
from millmark.quality.network.records import infer_row
from millmark.services.demo.consortium import COMPANIES, Company, Consortium
from millmark.services.devchain import create_devchain
from tests.support import toolchain
from tests.support.bundle_world import NOTHING, PIECE, BundleWorld, tell_chapters
from tests.support.engines import running_anvil
from tests.support.loopback import serving
from tests.support.quality_samples import tiny_network
from tests.support.requirements import ROOT
from tests.support.stores import new_store

NOBODY = "0x" + "00" * 20
_MONEY_WEI = 10**20
ABI_FILES = {Contract.REGISTRY: "Registry", Contract.LEDGER: "ITraceLedger"}


def read_artifact(name: str) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((ROOT / "ledger" / "artifacts" / f"{name}.json").read_text())
    return raw


def camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def event_names(contract: Web3Contract) -> list[str]:
    return [entry["name"] for entry in contract.abi if entry["type"] == "event"]


def to_arguments(record: Any) -> dict[str, Any]:
    """A record's fields under their ABI names; web3.py orders them."""
    members = {one.name: getattr(record, one.name) for one in dataclasses.fields(record)}
    return {
        camel_case(name): word_of_gates(value) if name == "gates" else _to_argument(value)
        for name, value in members.items()
    }


def word_of_gates(gates: tuple[Gate, ...]) -> int:
    """As contracts/src/libraries/Gates.sol says: 72 bits a gate, the inspector below the model."""
    return sum((gate.inspector + (gate.model << 32)) << (72 * place) for place, gate in enumerate(gates))


def _function_of(record: Record) -> str:
    name = type(record).__name__
    return name[0].lower() + name[1:]


def _to_argument(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_arguments(value)
    if isinstance(value, tuple):
        return [_to_argument(item) for item in value]
    if isinstance(value, enum.IntEnum):
        return int(value)
    return Web3.to_checksum_address(value) if isinstance(value, bytes) and len(value) == 20 else value


@dataclass(frozen=True)
class Sent:
    """A record as web3.py sent it."""

    record: Record
    calldata: bytes
    receipt: TxReceipt


@dataclass
class Web3Client:
    """Deploys the committed artifacts, makes every call and reads every log with web3.py's own ABI codec and
    transactions, and eth-account's signatures. None of our code is between it and the node."""

    url: str
    web3: Web3 = field(init=False)
    contracts: dict[Contract, Web3Contract] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.web3 = Web3(HTTPProvider(self.url))

    def create_account(self) -> LocalAccount:
        account: LocalAccount = Account.create()
        self.web3.provider.make_request("anvil_setBalance", [account.address, hex(_MONEY_WEI)])  # type: ignore[arg-type]
        return account

    def transact(self, account: LocalAccount, call: ContractFunction | ContractConstructor) -> TxReceipt:
        nonce = self.web3.eth.get_transaction_count(account.address)
        transaction = call.build_transaction({"from": account.address, "nonce": nonce})
        signed = account.sign_transaction(transaction)  # type: ignore[arg-type]  # their own types differ
        sent = self.web3.eth.send_raw_transaction(signed.raw_transaction)
        receipt = self.web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.005)  # both engines mine at once
        assert receipt["status"] == 1, call
        return receipt

    def deploy(self, owner: LocalAccount) -> Deployment:
        """Deploys Forwarder, Registry and the three contracts of the ledger, and keeps the addresses to call."""
        first = self.web3.eth.block_number
        forwarder = self._create(owner, "Forwarder")
        registry = self._create(owner, "Registry", owner.address, forwarder, NOBODY)
        lots = self._create(owner, "LotOperations", registry, forwarder, NOBODY)
        ledger = self._create(owner, "TraceLedger", self._create(owner, "CertificateOperations", lots))
        for contract, address in ((Contract.REGISTRY, registry), (Contract.LEDGER, ledger)):
            abi = read_artifact(ABI_FILES[contract])["abi"]
            self.contracts[contract] = self.web3.eth.contract(Web3.to_checksum_address(address), abi=abi)
        addresses = [bytes.fromhex(address[2:]) for address in (registry, ledger, forwarder)]
        ledger_id = self.contracts[Contract.LEDGER].functions.ledgerId().call()
        created, genesis = self.web3.eth.get_block("latest"), self.web3.eth.get_block(0)
        return Deployment(
            self.web3.eth.chain_id,
            addresses[0],
            addresses[1],
            ledger_id,
            addresses[2],
            first,
            bytes(genesis["hash"]),
            created["number"],
            bytes(created["hash"]),
        )

    def _create(self, owner: LocalAccount, name: str, *arguments: str) -> str:
        artifact = read_artifact(name)
        factory = self.web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
        address = self.transact(owner, factory.constructor(*arguments))["contractAddress"]
        assert address is not None
        return str(address)

    def call_of(self, record: Record) -> ContractFunction:
        function: ContractFunction = self.contracts[record.contract].functions[_function_of(record)]
        return function(**to_arguments(record))

    def calldata_of(self, record: Record) -> bytes:
        data = self.contracts[record.contract].encode_abi(_function_of(record), kwargs=to_arguments(record))
        return bytes.fromhex(data[2:])

    def record(self, account: LocalAccount, record: Record) -> int:
        """Sends one record; returns the sequence in its log."""
        receipt = self.transact(account, self.call_of(record))
        self.sent.append(Sent(record, self.calldata_of(record), receipt))
        [args] = [event["args"] for event in self.events(receipt) if event["event"] in (record.event, record.or_event)]
        return int(args["sequence"])

    def events(self, receipt: TxReceipt) -> list[Any]:
        """Decodes every log of the receipt."""
        return [self.decode(log) for log in receipt["logs"]]

    def decode(self, log: Any) -> Any:
        [contract] = [one for one in self.contracts.values() if one.address == log["address"]]
        events = [contract.events[name]() for name in event_names(contract)]
        [event] = [one for one in events if one.topic == Web3.to_hex(log["topics"][0])]
        return event.process_log(log)


@dataclass
class Web3Consortium(Consortium):
    """Companies whose records are sent by web3.py."""

    client: Web3Client = field(kw_only=True)

    def record(self, company: Company, records: Sequence[Record]) -> list[int]:
        account = Account.from_key(company.signer.unsafe_secret())
        return [self.client.record(account, record) for record in records]


def build_web3_world(url: str, store: Store, profile: EngineProfile) -> tuple[Web3Client, BundleWorld]:
    """The companies of the demonstration, admitted, with no records of their own yet."""
    client = Web3Client(url)
    owner = client.create_account()
    deployment = client.deploy(owner)
    chain, outbox = Chain(Node(HttpTransport(url)), profile, deployment), Outbox(store)

    def company(name: str, number: int, account: LocalAccount) -> Company:
        signer = LocalSigner.from_bytes(bytes(account.key))
        return Company(name, number, signer, Submitter(chain, outbox, signer), store)

    consortium = Web3Consortium(chain, store, company("consortium operator", 0, owner), client=client)
    for number, (name, role) in enumerate(COMPANIES, start=1):
        account = client.create_account()
        consortium.record(consortium.owner, [Admit(int(role), bytes.fromhex(account.address[2:]), NOTHING)])
        consortium.companies.append(company(name, number, account))
        newest = consortium.companies[-1]
        consortium.record(newest, [AcceptKey(number), SetNameKey(newest.name_key.hash)])
    return client, BundleWorld(consortium)


def plain(value: Any) -> Any:
    """A value decoded by web3.py in the types of our codec: addresses as bytes, arrays as tuples, structs as
    mappings."""
    if isinstance(value, Mapping):
        return {name: plain(value[name]) for name in value}  # one of its keys is "items", which hides the method
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, str):
        return bytes.fromhex(value[2:])
    return bytes(value) if isinstance(value, bytes) else value


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
    """The whole story of tests/support/bundle_world.py, and the rest of the registry."""
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
