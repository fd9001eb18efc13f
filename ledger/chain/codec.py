"""Encodes calldata; decodes return values, logs and reverts. Codecs are built once per function and error."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypeAlias, cast

from millmark.ledger import errors, records
from millmark.ledger.canonical import keccak256, to_hex
from millmark.ledger.chain.blocks import RawLog
from millmark.ledger.events import Event, Recorded, decode, find_event
from millmark.ledger.records import Contract, Record, Value, pack, packed_fields, snake_case

# The compiled contracts of this version: their ABIs and bytecode, and whether a chain has the same code.

ABI_FILES = {Contract.REGISTRY: "Registry", Contract.LEDGER: "ITraceLedger"}
"""The artefact whose ABI describes the calls to a contract's address: that of the ledger runs the code of three."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract."""

    name: str
    abi: tuple[dict[str, Any], ...]
    creation: bytes
    """Creation code, without constructor arguments."""
    deployed: bytes
    """Deployed code, with zeros in the places of immutables."""
    immutables: tuple[tuple[int, int], ...]
    """(start, length) of the immutables in `deployed`, in bytes."""


@functools.cache
def load_artifact(name: str) -> Artifact:
    """Return the artefact of a contract, by its Solidity name."""
    raw = _read(name)
    return Artifact(
        name=raw["contractName"],
        abi=tuple(raw["abi"]),
        creation=bytes.fromhex(raw["bytecode"][2:]),
        deployed=bytes.fromhex(raw["deployedBytecode"][2:]),
        immutables=tuple((place["start"], place["length"]) for place in raw["immutableReferences"]),
    )


@functools.cache
def load_abi(contract: Contract) -> tuple[dict[str, Any], ...]:
    """Return the ABI entries of the contract's address."""
    return tuple(_read(ABI_FILES[contract])["abi"])


def _read(name: str) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((resources.files("millmark.ledger") / "artifacts" / f"{name}.json").read_text())
    return raw


def verify_code(name: str, code: bytes, address: bytes) -> None:
    """Verify that `code`, found at `address`, is that of an artefact. Raises WrongContractError. Not established: the
    values of its immutables."""
    artifact = load_artifact(name)
    blank = bytearray(code)
    for start, length in artifact.immutables:
        blank[start : start + length] = bytes(length)
    if not code:
        raise errors.WrongContractError(
            f"there is no contract at 0x{address.hex()}, address of {name}",
            hint="check that the node is in sync and on the right network, and the address in the deployment file",
        )
    if bytes(blank) != artifact.deployed:
        raise errors.WrongContractError(
            f"the code at 0x{address.hex()} is not that of {name}",
            hint="check the address in the deployment file, or use the Millmark version that deployed it",
        )


# Hints that tell users how to remedy the contracts' errors.

_CONSIGNMENT = (
    "name one lot, then all that is packed in it, each followed by its own contents, in ascending order, as "
    "`millmark custody` does by itself"
)

HINTS = {
    "AssignmentForeign": "have the machine's owner sign",
    "AssignmentLeafTooOld": "name an entry that was anchored after the work began",
    "AssignmentLive": "wait until it is finished, or cancel it",
    "AssignmentNotCurrent": "name the operation's current assignment: `millmark assignments list --all`",
    "AssignmentOperationUnknown": "name one of the order's operations: `millmark orders show`",
    "AssignmentOwnerInspects": "name a machine of another company: who inspects an order makes nothing of it",
    "AssignmentStateWrong": "what comes next depends on its state: `millmark assignments list --all`",
    "AssignmentStreamOfOther": "name a stream of the assigned machine: `millmark streams list`",
    "AssignmentStreamOther": "name the stream that the work was started with",
    "CertificateByProcedure": "demand or open a certificate by inference: a procedure has no input that could be shown",
    "CertificateDataWrong": "show the certificate's record as the chain has it",
    "CertificateDemandTooSoon": "demand the next opening after the time shown",
    "CertificateDemanderUnfit": "have the lot's custodian, a party of its order or an auditor sign",
    "CertificateExpiryPast": "give a time in the future",
    "CertificateForeign": "have the inspector that issued the certificate sign",
    "CertificateInferenceWrong": "show input, salt, logits and verdict of the certified inference",
    "CertificateLeafUnproven": "name the entry with its own leaf hash: `millmark node leaf`",
    "CertificateLotsWrong": "certify one lot by an inference, or up to 64 lots by a procedure",
    "CertificateModelClosed": "use a model of your own, or have its inspector open it: `millmark quality open`",
    "CertificateModelUnfit": "use a model that is approved, and neither retired nor withdrawn",
    "CertificateOfOtherLots": "name the lots of the certificate, see `millmark trace`",
    "CertificateOpeningLate": "have the lot certified again",
    "CertificateStateWrong": "see the certificate's state with `millmark trace`",
    "CertificateUnknown": "name the certificate by its number, see `millmark trace`",
    "ConsignmentExcess": _CONSIGNMENT,
    "ConsignmentIncomplete": _CONSIGNMENT,
    "ConsignmentTooDeep": "unpack the innermost lots first",
    "CouncilApprovedAlready": "have another member approve it",
    "CouncilMotionEarly": "have more members approve it, or wait, see `millmark council status`",
    "CouncilMotionOver": "propose it again",
    "CouncilNotMember": "sign with an admin key of a member that may act, see `millmark council status`",
    "CouncilSizeWrong": "name four members or more, and a quorum of more than half of them, but not all",
    "CustodyNotOffered": "have the lot offered to the participant that signs",
    "CustodyNotReclaimable": "wait until 14 days after the custodian was suspended or left",
    "CustodyNotTheMaker": "return it to the participant that brought it into the ledger",
    "CustodyOfferWrong": "look at the lot again, and name the offer that stands",
    "CustodyReclaimForeign": "have the buyer or coordinator of its order sign, or a trustee that the registry's owner "
    "named: `millmark participants entrust`",
    "CustodyToSelf": "offer it to another company",
    "EvaluatorModelMalformed": "use the model.bin that training wrote",
    "EvaluatorModelNotExecutable": "register only the model's digest: it is audited off chain",
    "EvaluatorModelTooLarge": "register only the model's digest: it is audited off chain",
    "EvidenceMachineForeign": "name a machine of your own company: `millmark machines list`",
    "EvidenceNotAnchored": "anchor the stream first",
    "EvidenceNotMeasured": "name a stream of a machine",
    "EvidenceSizeNotGrown": "anchor the stream again once it has more entries",
    "EvidenceStreamForeign": "name a stream of your own company: `millmark streams list`",
    "EvidenceStreamUnknown": "open the stream first: `millmark streams open`",
    "GateClosed": "have that inspector certify the lot as the gate asks, and open what is demanded of it; or have the "
    "buyer waive it: `millmark certificates waive`",
    "GateUnknown": "name an inspector of one of the order's gates: `millmark trace` shows them",
    "HistoryClosed": "go on with the ledger that is named as its successor",
    "HistoryParticipantUnfit": "name a participant that has the role",
    "HistoryRoleMissing": "have a participant with that role sign, or ask the registry's owner for the role",
    "HistorySubjectTaken": "use another identifier, or another salt",
    "LotBoundToOrder": "have the order's buyer take it out of the order: `millmark lots deallocate`",
    "LotForeign": "have its custodian sign, or take custody first",
    "LotNotEmpty": "unpack what is in it first",
    "LotNotInParent": "name the lot that it is packed in: `millmark lots show`",
    "LotOrderWrong": "name the order that the lot belongs to now, see `millmark trace`",
    "LotOverConsumed": "take no more than the lot's remaining quantity",
    "LotPacked": "unpack the lot first",
    "LotQuantityZero": "give a quantity of at least 1",
    "LotQuarantineForeign": "have the company that quarantined it release it",
    "LotStateWrong": "what can be done depends on its state: `millmark lots show`",
    "LotUnknown": "wait until the record that creates it is final, or check its subject",
    "LotsNotAscending": "name the lots in ascending order of their subjects, each once",
    "NoteAboutLater": "name a record that is on the ledger already",
    "NoteAboutMissing": "name the record that it corrects: `millmark note --about`",
    "NoteStandingMissing": "have its custodian, its maker, who certified it or a party of its order make the note",
    "OrderAgreementMissing": "have the other party agree to the proposal",
    "OrderEndTooEarly": "wait until the time that the error names, 14 days after the proposal or after the buyer left, "
    "or have the other side agree",
    "OrderGateInvalid": "name up to three inspectors but the coordinator, ascending, each with an approved model or 0",
    "OrderInspectorUnfit": "name an inspector who makes nothing for the order",
    "OrderNotProposed": "see the order's latest proposal in its trace, and agree to that one",
    "OrderOperationsFewer": "propose at least as many operations as were agreed",
    "OrderPartyWrong": "have the buyer or the coordinator of the order sign",
    "OrderStateWrong": "what can be done depends on its state: `millmark orders show`",
    "OrderUndelivered": "name all lots of the order that the buyer has, or agree on a smaller quantity by a revision",
    "OrderUnfinished": "finish or cancel its open assignments first: `millmark assignments list`",
    "OrderUnknown": "wait until the record that places it is final, or check its subject",
    "OwnableUnauthorizedAccount": "sign with the key that owns the registry",
    "RegistryKeyNotAdmin": "sign with an admin key of the participant, see `millmark participants list`",
    "RegistryKeyNotProposed": "have an admin key of the participant propose it with `millmark keys propose`",
    "RegistryKeyRevoked": "sign with another key of the participant; only the time of compromise of a revoked key can "
    "still be changed, to an earlier one",
    "RegistryKeyTaken": "use a new key: each can be added only once, for one participant",
    "RegistryKeyUnknown": "have the registry's owner admit the participant, or accept with the key that was admitted",
    "RegistryLastAdminKey": "add another admin key first",
    "RegistryMachineForeign": "have the machine's owner sign",
    "RegistryMachineRetired": "name a machine that is not retired: `millmark machines list`",
    "RegistryMachineUnknown": "name a registered machine: `millmark machines list`",
    "RegistryModelOwnApproval": "have an auditor of another company approve it",
    "RegistryModelState": "see its state: `millmark models list --all`",
    "RegistryModelUnknown": "name a registered model: `millmark models list`",
    "RegistryNameKeyUsed": "create a new name key: each serves once",
    "RegistryParticipantDeparted": "ask the registry's owner to reinstate the participant",
    "RegistryParticipantSuspended": "ask the registry's owner to reinstate the participant",
    "RegistryParticipantUnknown": "name a participant: `millmark participants list`",
    "RegistryRecoveryEarly": "wait until the time shown",
    "RegistryRecoveryNotProposed": "accept with the key that the registry's owner proposed",
    "RegistryRecoveryObjected": "have the registry's owner overrule the objection",
    "RegistryRoleMissing": "have a participant with that role sign, or ask the registry's owner for the role",
    "RegistrySubjectTaken": "it is registered already, with the sequence shown",
    "RegistryTimeTooEarly": "give a time since the key was added, at the second time shown",
    "TransformationShapeWrong": "split one lot into several, merge several into one, or convert",
    "TransformationUnbalanced": "inputs times the yield, less what is lost, have to be the outputs",
    "TransformationUnitWrong": "give the unit in which the lot is measured: `millmark lots show`",
}
"""Hints by the error's name in Solidity. Errors without an entry need none."""


Callee: TypeAlias = "Contract | str"
"""The contract that is called: registry or ledger, or another one by its name in Solidity."""

_ERROR_STRING = bytes.fromhex("08c379a0")
"""Selector of Error(string), which a failed `require` with a reason returns."""
_PANIC = bytes.fromhex("4e487b71")
"""Selector of Panic(uint256), which a failed check of the compiler returns."""


class _MalformedError(ValueError):
    """Bytes that do not decode as their ABI type."""


class _Codec:
    """Encodes and decodes one list of ABI parameters."""

    def __init__(self, parameters: Sequence[dict[str, Any]]) -> None:
        self.parameters = tuple(parameters)
        self.type = "(" + ",".join(_type_of(parameter) for parameter in parameters) + ")"

    # eth-abi is not imported at the top: it takes a third of the processor time of a command that only reads.

    @functools.cached_property
    def _encode(self) -> Callable[[Any], bytes]:
        from eth_abi.registry import registry  # noqa: PLC0415  # slow, for calls alone

        return cast(Callable[[Any], bytes], registry.get_encoder(self.type))

    @functools.cached_property
    def _decode(self) -> Callable[[Any], Any]:
        from eth_abi.registry import registry  # noqa: PLC0415  # slow, for calls alone

        return cast(Callable[[Any], Any], registry.get_decoder(self.type))

    def encode(self, values: Sequence[Any]) -> bytes:
        return self._encode(tuple(values)) if self.parameters else b""

    def decode(self, data: bytes) -> tuple[Any, ...]:
        if not self.parameters:
            return ()
        from eth_abi import decoding, exceptions  # noqa: PLC0415  # slow, for calls alone

        stream = decoding.ContextFramesBytesIO(data)  # type: ignore[no-untyped-call]  # eth-abi types it in part
        try:
            return cast(tuple[Any, ...], self._decode(stream))
        # Not DecodingError alone: eth-abi lets errors of text decoding and of huge offsets through.
        except (exceptions.DecodingError, ValueError, OverflowError) as error:
            raise _MalformedError(f"{len(data)} bytes do not decode as {self.type}") from error


def _type_of(parameter: dict[str, Any]) -> str:
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(_type_of(part) for part in parameter["components"]) + ")" + kind[5:]


def _value(parameter: dict[str, Any], value: Any) -> Value:
    """Convert what eth-abi decoded to a `Value`: addresses to 20 bytes, arrays to tuples, structs to mappings."""
    kind = str(parameter["type"])
    if kind.endswith("[]"):
        item = {**parameter, "type": kind[:-2]}
        return tuple(_value(item, entry) for entry in value)
    if kind == "tuple":
        parts = zip(parameter["components"], value, strict=True)
        return {snake_case(part["name"]): _value(part, entry) for part, entry in parts}
    return bytes.fromhex(value[2:]) if kind == "address" else cast(Value, value)


@dataclass(frozen=True, slots=True)
class _Function:
    selector: bytes
    inputs: _Codec
    outputs: _Codec


def _selector(entry: dict[str, Any]) -> bytes:
    return keccak256(f"{entry['name']}{_Codec(entry['inputs']).type}".encode())


@functools.cache
def _functions(callee: Callee) -> dict[str, _Function]:
    return {
        entry["name"]: _Function(_selector(entry)[:4], _Codec(entry["inputs"]), _Codec(entry["outputs"]))
        for entry in (load_abi(callee) if isinstance(callee, Contract) else load_artifact(callee).abi)
        if entry["type"] == "function"
    }


@functools.cache
def _errors() -> dict[bytes, tuple[str, _Codec]]:
    """Name and codec of each error, by selector. Those of all contracts in one table, since a call can return the
    errors of contracts that it calls in turn."""
    entries = [entry for contract in Contract for entry in load_abi(contract)]
    entries += [entry for name in ("Council", "Evaluator", "Forwarder") for entry in load_artifact(name).abi]
    return {
        _selector(entry)[:4]: (entry["name"], _Codec(entry["inputs"])) for entry in entries if entry["type"] == "error"
    }


def call_data(record: Record) -> bytes:
    """Calldata of the call that makes `record`."""
    name = type(record).__name__
    # Classes are named as functions in Solidity, but for the first letter.
    function = _functions(record.contract)[name[0].lower() + name[1:]]
    return function.selector + function.inputs.encode(_arguments(record))


def _arguments(record: Any) -> tuple[Any, ...]:
    packed = packed_fields(type(record))  # type: ignore[arg-type]  # mypy judges the class by its instances' hash
    return tuple(
        pack(getattr(record, field.name)) if field.name in packed else _argument(getattr(record, field.name))
        for field in dataclasses.fields(record)
    )


def _argument(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return _arguments(value)
    if isinstance(value, tuple):
        return tuple(_argument(item) for item in value)
    return int(value) if isinstance(value, enum.IntEnum) else value


def multicall_data(contract: Contract, calls: Sequence[bytes]) -> bytes:
    """Calldata of one transaction that makes all calls, or none of them if one fails."""
    return encode_function(contract, "multicall", tuple(calls))


def read_kinds(contract: Contract, data: bytes) -> tuple[str, ...]:
    """Names of the records that a call makes, in order. Raises RecordError as `read_calls` does."""
    return tuple(kind for kind, _ in read_calls(contract, data))


def read_calls(contract: Contract, data: bytes) -> tuple[tuple[str, bytes], ...]:
    """Name and calldata of each record that a call makes, in order. Raises RecordError if the call, or a call within a
    multicall, makes no record or does not decode."""
    functions = _functions(contract)
    try:
        if data[:4] != functions["multicall"].selector:
            return ((_read_kind(contract, data), data),)
        (calls,) = functions["multicall"].inputs.decode(data[4:])
        return tuple((_read_kind(contract, call), call) for call in calls)
    except _MalformedError as error:
        raise errors.RecordError(f"a call cannot be read: {error}") from None


def _read_kind(contract: Contract, call: bytes) -> str:
    found = _record_calls(contract).get(call[:4])
    if found is None:
        raise errors.RecordError(f"a call does not make a record of the {contract.value}: selector {to_hex(call[:4])}")
    kind, codec = found
    codec.decode(call[4:])  # only to refuse what does not decode, before anybody pays for sending it
    return kind


@functools.cache
def _record_calls(contract: Contract) -> dict[bytes, tuple[str, _Codec]]:
    """Kind of record and codec of the arguments, by selector."""
    functions = _functions(contract)
    kinds = [kind.__name__ for kind in records.RECORD_TYPES if kind.contract is contract]
    named = {kind: functions[kind[0].lower() + kind[1:]] for kind in kinds}
    return {function.selector: (kind, function.inputs) for kind, function in named.items()}


def read_function(callee: Callee, data: bytes) -> tuple[str, tuple[Value, ...]] | None:
    """Name and arguments of the function that calldata call; None if there is none such, or they do not decode."""
    for name, function in _functions(callee).items():
        if function.selector == data[:4]:
            try:
                values = function.inputs.decode(data[4:])
            except _MalformedError:
                return None
            return name, tuple(_value(p, v) for p, v in zip(function.inputs.parameters, values, strict=True))
    return None


def encode_function(contract: Callee, name: str, *values: object) -> bytes:
    """Calldata of any function. `values` are in the form that eth-abi expects."""
    function = _functions(contract)[name]
    return function.selector + function.inputs.encode(values)


def encode_constructor(name: str, *values: object) -> bytes:
    """Encoded constructor arguments of a contract, which are appended to its creation code."""
    entry = next(entry for entry in load_artifact(name).abi if entry["type"] == "constructor")
    return _Codec(entry["inputs"]).encode(values)


def decode_result(contract: Callee, name: str, data: bytes) -> tuple[Value, ...]:
    """Decode the return values of a function, structs as mappings. Raises ChainUnreachableError if they do not decode.
    The node is to blame then, since the contract's code is known."""
    outputs = _functions(contract)[name].outputs
    try:
        values = outputs.decode(data)
    except _MalformedError as error:
        raise errors.ChainUnreachableError(
            f"the node's answer to {name} cannot be used", hint="check that the node is in sync; try again"
        ) from error
    return tuple(_value(p, v) for p, v in zip(outputs.parameters, values, strict=True))


def decode_revert(data: bytes) -> errors.ContractRefusedError:
    """Decode a revert: a custom error with name and values, a reason, or a panic. Data that are none of these, or do
    not decode, become the value `data` of an error named Reverted."""
    try:
        return _decode_revert(data)
    except _MalformedError:
        return errors.ContractRefusedError("Reverted", {"data": data})


def _decode_revert(data: bytes) -> errors.ContractRefusedError:
    if data[:4] in _errors():
        name, codec = _errors()[data[:4]]
        pairs = zip(codec.parameters, codec.decode(data[4:]), strict=True)
        values = {parameter["name"]: _member(parameter, value) for parameter, value in pairs}
        return errors.ContractRefusedError(name, values, hint=HINTS.get(name, ""))
    if data[:4] == _ERROR_STRING:
        return errors.ContractRefusedError("Error", {"reason": _Codec([{"type": "string"}]).decode(data[4:])[0]})
    if data[:4] == _PANIC:
        return errors.ContractRefusedError("Panic", {"code": _Codec([{"type": "uint256"}]).decode(data[4:])[0]})
    return errors.ContractRefusedError("Reverted", {"data": data} if data else {})


def _member(parameter: dict[str, Any], value: object) -> object:
    """The member of an enumeration of millmark.ledger.records, for a parameter of one: people do not know states by
    number."""
    kind, _, place = str(parameter.get("internalType", "")).partition(" ")
    found = getattr(records, place.rpartition(".")[2], None) if kind == "enum" else None
    return value if found is None or value not in list(found) else found(value)


def decode_log(contract: Contract, log: RawLog, block_time: int) -> Recorded[Event] | None:
    """Decode the record of a log; None for the registry's logs about its ownership, which are not records. Raises
    IndexHaltedError if the event is unknown or the log does not decode."""
    kind = find_event(contract, log.topics[0]) if log.topics else None
    if kind is None or len(log.topics) != 4:
        if contract is Contract.REGISTRY and log.topics and log.topics[0] in _ownership_topics():
            return None
        raise errors.IndexHaltedError(
            f"log {log.log_index} of block {log.block_number} is not a record that this version knows",
            hint="use the Millmark version that deployed the contracts",
        )
    try:
        key, histories, event = decode(kind, log.data)
    except errors.RecordError as error:
        raise errors.IndexHaltedError(
            f"log {log.log_index} of block {log.block_number} does not decode as {kind.__name__}",
            hint="check the node, or use the Millmark version that deployed the contracts",
        ) from error
    return Recorded(
        event=event,
        sequence=int.from_bytes(log.topics[1], "big"),
        participant=int.from_bytes(log.topics[2], "big"),
        subject=log.topics[3],
        key=key,
        histories=histories,
        data=log.data,
        block_number=log.block_number,
        block_hash=log.block_hash,
        block_time=block_time,
        transaction_hash=log.transaction_hash,
        log_index=log.log_index,
    )


@functools.cache
def _ownership_topics() -> frozenset[bytes]:
    # Told apart by their first parameter: every record's is its sequence.
    return frozenset(
        _selector(entry)
        for entry in load_abi(Contract.REGISTRY)
        if entry["type"] == "event" and entry["inputs"][0]["name"] != "sequence"
    )
