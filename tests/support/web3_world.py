"""web3.py as an independent client: it deploys the committed artifacts, makes every call and reads every log with its
own ABI codec and transactions, and eth-account's signatures. None of our code is between it and the node."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import HTTPProvider, Web3
from web3.contract import Contract as Web3Contract
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.types import TxReceipt

from millmark.ledger.chain import Chain, Deployment, EngineProfile, HttpTransport, Node
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import AcceptKey, Admit, Contract, Gate, Record, SetNameKey
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter
from millmark.services.demo.consortium import COMPANIES, Company, Consortium
from tests.support.bundle_world import NOTHING, BundleWorld
from tests.support.requirements import ROOT

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
