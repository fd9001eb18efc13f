"""The ledger's contracts on one chain: verified on connecting, then read and called by function name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from millmark.ledger import errors
from millmark.ledger.chain.blocks import RawLog
from millmark.ledger.chain.codec import decode_log, decode_result, encode_function, multicall_data, verify_code
from millmark.ledger.chain.deploying import Deployment, fetch_ledger_id
from millmark.ledger.chain.forwarder import execute_data, execute_gas, fetch_nonce, is_taken, verify_domain
from millmark.ledger.chain.node import Head, Node
from millmark.ledger.chain.profiles import EngineProfile, FinalityDepth
from millmark.ledger.events import Event, Header, Recorded
from millmark.ledger.forward_requests import SignedRequest
from millmark.ledger.records import Contract, Value

if TYPE_CHECKING:
    from millmark.ledger.trust import TrustedContract

_HINT_NETWORK = "point chain_url at the right network, or use that network's deployment file"
_HINT_SYNC = "wait until the node is in sync, and check that it has peers; nothing was lost"
_CALL_GAS, _BYTE_GAS, _ZERO_BYTE_GAS, _FLOOR_GAS = 21_000, 16, 4, 10
"""Gas of a call to nothing: a base, and more for each byte of calldata (yellow paper, appendix G), or at least ten for
each zero byte and forty for any other (EIP-7623)."""
_STIPEND_GAS = 2_300


@dataclass(frozen=True, slots=True)
class Sight:
    """What a node showed at one moment, for one key."""

    head: Head
    count: int
    """Number of nonces that the key used up to the latest block, which may be later than `head`."""
    final: int
    """The highest final block; -1 if there is none."""


class Chain:
    """Registry and ledger, accessed through one node.

    Raises WrongChainError when the node serves a chain other than the deployment's, NodeBehindError while it lacks the
    block that created the ledger. Raises WrongContractError when the code at the deployment's addresses is not that of
    this version, the ledger's id or registry is not the deployment's, or a contract trusts a different forwarder
    (ERC-2771).
    """

    def __init__(self, node: Node, profile: EngineProfile, deployment: Deployment) -> None:
        self.node = node
        self.profile = profile
        self._depth = FinalityDepth(node, profile)
        self.deployment = deployment
        self.chain_id = node.chain_id()
        self.registry = deployment.registry
        self.ledger = deployment.ledger
        self.ledger_id = deployment.ledger_id
        self.forwarder = deployment.forwarder
        if self.chain_id != deployment.chain_id:
            raise errors.WrongChainError(
                f"the node serves chain {self.chain_id}, the deployment is on chain {deployment.chain_id}",
                hint=_HINT_NETWORK,
            )
        self.verify_served()
        self.contracts = self._connect()
        """Address of every contract whose code is involved, by Solidity name."""
        self.proved: tuple[Mapping[str, TrustedContract], bytes | None] | None = None
        """Code hashes of the contracts, and the predecessor, once they were asked for (`fetch_trust`)."""
        self.stored_headers: dict[int, bytes] = {}
        """Headers of final blocks with their seals, by number, as far as they were asked for (`fetch_seals`)."""

    def address(self, contract: Contract) -> bytes:
        return self.registry if contract is Contract.REGISTRY else self.ledger

    def genesis_hash(self) -> bytes:
        return self.node.header(0).hash

    def verify_served(self) -> None:
        """Verify that the node still serves the deployment's chain, with the block that created the ledger.

        Neither chain id nor addresses show that: a network that was made anew with the same keys has the same. Call it
        through the connection that signs, each time before it does. Raises WrongChainError, NodeBehindError.
        """
        deployed = self.deployment
        created = self.node.find_header(deployed.created_number)
        # One request, since the block's hash covers all blocks before it. The genesis block tells only what is wrong.
        if created is not None and created.hash == deployed.created_hash:
            return
        genesis = self.genesis_hash()
        if genesis != deployed.genesis_hash:
            raise errors.WrongChainError(
                f"the node serves the chain with genesis block 0x{genesis.hex()}, the deployment is on that with "
                f"0x{deployed.genesis_hash.hex()}",
                hint=_HINT_NETWORK,
            )
        if created is None:
            raise errors.NodeBehindError(
                f"the node is not in sync: its latest block is {self.node.block_number()}, the ledger was created in "
                f"block {deployed.created_number}",
                hint=_HINT_SYNC,
            )
        raise errors.WrongChainError(
            f"block {created.number} of the node is 0x{created.hash.hex()}, the ledger was created in "
            f"0x{deployed.created_hash.hex()}: this is another network, with the same genesis block",
            hint=_HINT_NETWORK,
        )

    def look(self, key: bytes) -> Sight:
        """Ask what sending for a key depends on, and verify as `verify_served` does, all in one question. Raises
        WrongChainError, NodeBehindError."""
        created, head, count = self.node.look(key, self.deployment.created_number)
        if created is None or created.hash != self.deployment.created_hash:
            self.verify_served()
            raise errors.ChainUnreachableError("nodes of different chains answer at one address", hint=_HINT_NETWORK)
        return Sight(head, count, max(head.number - self._depth.at(head.number), -1))

    def verify_state(self) -> None:
        """Verify that the node's latest state has the ledger. Raises NodeBehindError, WrongContractError."""
        answer = self.node.call(self.ledger, encode_function(Contract.LEDGER, "ledgerId"))
        if not answer:
            raise self._no_contract("TraceLedger", self.ledger)
        self._verify_ledger_id(cast(bytes, decode_result(Contract.LEDGER, "ledgerId", answer)[0]))

    @property
    def first_block(self) -> int:
        """The first block that can contain records."""
        return self.deployment.block_number

    def head_number(self) -> int:
        return self.node.block_number()

    @property
    def finality_depth(self) -> int:
        """Number of later blocks after which a block is final, as of the last look at the latest block."""
        return self._depth.last

    def final_number(self) -> int:
        """The highest block that is final according to the engine profile; -1 if there is none."""
        # Of the latest block that the node shows. Behind one address, a number may be of another node, and higher: then
        # blocks would be called final that have too few on top of them here.
        head = self.node.head().number
        return max(head - self._depth.at(head), -1)

    def header(self, number: int) -> Header:
        return self.node.header(number)

    def recorded(self, header: Header) -> tuple[Recorded[Event], ...]:
        """All records of one block, in log order. Complete: the receipts are checked against the header's root."""
        return self._decode(header, self.node.logs(header, self._recording))

    def headers_of(self, numbers: Sequence[int]) -> Iterator[Header]:
        """Headers of these blocks, asked for at once. Raises in the place of one that is not to be had."""
        return self.node.headers(numbers)

    def recorded_in_each(self, headers: Sequence[Header]) -> Iterator[tuple[Recorded[Event], ...]]:
        """As `recorded`, of several blocks, asked for at once. Raises in the place of one that is not to be had."""
        for header, logs in zip(headers, self.node.logs_of_each(headers, self._recording), strict=True):
            yield self._decode(header, logs)

    @property
    def _recording(self) -> tuple[bytes, bytes]:
        return self.registry, self.ledger

    def _decode(self, header: Header, logs: Iterable[RawLog]) -> tuple[Recorded[Event], ...]:
        contracts = dict(zip(self._recording, (Contract.REGISTRY, Contract.LEDGER), strict=True))
        decoded = (decode_log(contracts[log.address], log, header.timestamp) for log in logs)
        return tuple(record for record in decoded if record is not None)

    def read(self, contract: Contract, function: str, *values: object) -> tuple[Value, ...]:
        """Call a view function on the latest block. Raises ContractRefusedError when it reverts."""
        data = encode_function(contract, function, *values)
        return decode_result(contract, function, self.node.call(self.address(contract), data))

    def read_struct(self, contract: Contract, function: str, *values: object) -> Mapping[str, Value]:
        """Like `read`, for a function that returns a single struct."""
        return cast(Mapping[str, Value], self.read(contract, function, *values)[0])

    def sequence(self, contract: Contract) -> int:
        """Number of records that the contract has made."""
        return cast(int, self.read(contract, "sequence")[0])

    def head(self, subject: bytes) -> bytes:
        """Head of an order's or lot's history; zero bytes if there is none."""
        return cast(bytes, self.read(Contract.LEDGER, "headOf", subject)[0])

    def join_calls(self, contract: Contract, calls: Sequence[bytes]) -> bytes:
        """Calldata of a single transaction that makes all `calls`, or none of them if one reverts."""
        return calls[0] if len(calls) == 1 else multicall_data(contract, calls)

    def simulate(self, contract: Contract, data: bytes, sender: bytes, known_limit: int | None = None) -> int:
        """Return a gas limit for sending the call now. Raises ContractRefusedError with the contract's own error.

        `known_limit` is the result for an earlier call of the same shape. It is returned again if this call needs no
        more than half of its headroom.
        """
        # Tried in order of cost: a known limit takes one call, an estimate about a dozen executions in the node.
        fixed, address = self.profile.fixed_gas_limit, self.address(contract)
        if fixed is None and known_limit is not None and self.try_all([(contract, data, known_limit)], sender)[0]:
            return known_limit
        self._call(address, data, sender, fixed)  # some engines hide the contract's error in an estimate
        if fixed is not None:
            return fixed
        return min(self._estimate(address, data, sender), self.node.gas_limit())

    def fund(self, address: bytes) -> None:
        """Fund a key for gas on engines where that is possible; does nothing on others."""
        if self.profile.faucet:
            self.node.fund(address)

    def contract_at(self, address: bytes) -> Contract:
        """Return which of registry and ledger has this address. Raises WrongContractError for any other address."""
        for contract in Contract:
            if self.address(contract) == address:
                return contract
        raise errors.WrongContractError(f"0x{address.hex()} is the address of neither registry nor ledger")

    def simulate_as(self, contract: Contract, data: bytes, key: bytes) -> int:
        """Return the gas that the call needs now when forwarded for `key`, with headroom. Raises ContractRefusedError
        with the contract's own error."""
        # Called in the forwarder's name, with the key appended (ERC-2771), since the forwarder hides the inner error.
        call, address = data + key, self.address(contract)
        self._call(address, call, self.forwarder, self.profile.fixed_gas_limit)
        return self._estimate(address, call, self.forwarder)

    def verify_accepted(self, contract: Contract, data: bytes, sender: bytes, head: Head) -> None:
        """Raises ContractRefusedError if the contract refuses the call after block `head`, or it needs more gas than
        that block has; ChainUnreachableError if the node does not have the block."""
        limit = self.profile.fixed_gas_limit or head.gas_limit
        self._call(self.address(contract), data, sender, limit, head.number)

    def simulate_forward(self, signed: SignedRequest, sender: bytes, number: int | None = None) -> int:
        """Return the gas limit for `sender` to send the request now, or after block `number`. Raises
        ContractRefusedError with the contract's own error, or the forwarder's if that rejects the request."""
        request, gas_limit = signed.request, execute_gas(signed)
        if is_taken(self.node, signed, number):
            self._call(request.to, request.data + request.signer, self.forwarder, request.gas, number)
        self._call(self.forwarder, execute_data(signed), sender, gas_limit, number)
        return gas_limit

    def forward_nonce(self, key: bytes, number: int | None = None) -> int:
        """The nonce required of the key's next request, after block `number` or the latest."""
        return fetch_nonce(self.node, self.forwarder, key, number)

    def try_all(self, calls: Sequence[tuple[Contract, bytes, int]], sender: bytes) -> list[bool]:
        """Whether each call, made now, needs no more than half of the headroom of its known gas limit. All in one
        question. Not established, where it is False: why. Raises ChainUnreachableError."""
        headroom = self.profile.gas_headroom_percent
        answers = self.node.try_calls(
            [
                # The estimate from which the limit was computed, plus half of the headroom.
                (self.address(contract), data, sender, limit * (200 + headroom) // (200 + 2 * headroom))
                for contract, data, limit in calls
            ]
        )
        if b"" in answers:
            self.verify_state()  # as in `_call`
        return [isinstance(answer, bytes) for answer in answers]

    def _call(
        self, address: bytes, data: bytes, sender: bytes, gas_limit: int | None, number: int | None = None
    ) -> None:
        """Simulate a call after block `number`, or the latest. Raises as `verify_state` does if there was no contract
        to refuse it."""
        # A call to an address without code succeeds, and returns nothing. So do the contracts' calls that return no
        # value; therefore the second request. Not established: that one state answered both.
        if not self.node.call(address, data, sender, gas_limit, number):
            self.verify_state()

    def _estimate(self, address: bytes, data: bytes, sender: bytes) -> int:
        """Return the gas limit with headroom. Raises ChainUnreachableError if the estimate is that of a call to an
        address without code, as a state before the ledger's creation gives it."""
        estimate = self.node.estimate_gas(address, data, sender)
        zeros = data.count(0)
        others = len(data) - zeros
        least = _CALL_GAS + max(
            _ZERO_BYTE_GAS * zeros + _BYTE_GAS * others, _FLOOR_GAS * (zeros + _BYTE_GAS // _ZERO_BYTE_GAS * others)
        )
        # Engines estimate up to 1/63 too much, and the stipend of a call with value.
        if estimate <= (least + _STIPEND_GAS) * 64 // 63:
            raise errors.ChainUnreachableError(
                f"the node estimates {estimate} gas, as for a call to nothing: the state it looked at lacks the ledger",
                hint=_HINT_SYNC,
            )
        return estimate * (100 + self.profile.gas_headroom_percent) // 100

    def _no_contract(self, name: str, address: bytes) -> errors.ChainUnreachableError | errors.WrongContractError:
        deployed, head = self.deployment.created_number, self.node.block_number()
        cause = f"this node has no contract at 0x{address.hex()}, address of {name}: it is "
        numbers = f"(latest block {head}, ledger created in block {deployed})"
        if head < deployed or self.node.syncing() is not None:
            return errors.NodeBehindError(f"{cause}not in sync yet {numbers}", hint=_HINT_SYNC)
        return errors.WrongContractError(
            f"{cause}of another network, or not in sync yet {numbers}",
            hint="check chain_url and the address in the deployment file, and wait until the node is in sync",
        )

    def _connect(self) -> dict[str, bytes]:
        """Verify the code of all contracts, and the addresses that they refer to. Returns addresses by name."""
        # Code first: only a contract with verified code can be believed about the addresses of the others.
        contracts: dict[str, bytes] = {}
        self._take(contracts, "TraceLedger", self.ledger)
        self._take(contracts, "Registry", self.registry)
        self._verify_ledger_id(fetch_ledger_id(self.node, self.ledger))
        if self._word_address(Contract.LEDGER, "registry") != self.registry:
            raise errors.WrongContractError(
                f"the ledger at 0x{self.ledger.hex()} uses a registry other than the deployment's",
                hint="use the deployment file of that ledger",
            )
        self._take(contracts, "LotOperations", self._word_address(Contract.LEDGER, "lotOperations"))
        self._take(contracts, "CertificateOperations", self._word_address(Contract.LEDGER, "certificateOperations"))
        self._take(contracts, "Evaluator", self._word_address(Contract.REGISTRY, "evaluator"))
        self._take(contracts, "Forwarder", self.forwarder)
        for name in ("TraceLedger", "Registry", "LotOperations", "CertificateOperations"):
            self._verify_forwarder_of(name, contracts[name])
        verify_domain(self.node, self.chain_id, self.forwarder, self.ledger)
        return contracts

    def _verify_ledger_id(self, found: bytes) -> None:
        if found != self.ledger_id:
            raise errors.WrongContractError(
                f"the ledger at 0x{self.ledger.hex()} has the id 0x{found.hex()}, "
                f"that of the deployment 0x{self.ledger_id.hex()}",
                hint="the chain was made anew: get its own deployment file",
            )

    def _verify_forwarder_of(self, name: str, address: bytes) -> None:
        """Verify which forwarder a contract trusts: an immutable, so `verify_code` does not compare it."""
        answer = self.node.call(address, encode_function(Contract.LEDGER, "trustedForwarder"))
        if decode_result(Contract.LEDGER, "trustedForwarder", answer) != (self.forwarder,):
            raise errors.WrongContractError(
                f"{name} at 0x{address.hex()} trusts a forwarder other than the deployment's",
                hint="use the deployment file of that ledger",
            )

    def _take(self, contracts: dict[str, bytes], name: str, address: bytes) -> None:
        code = self.node.code(address)
        if not code:
            raise self._no_contract(name, address)
        verify_code(name, code, address)
        contracts[name] = address

    def _word_address(self, contract: Contract, function: str) -> bytes:
        return cast(bytes, self.read(contract, function)[0])


# A chain whose node does not answer yet.


class LateChain(Chain):
    """Connects, with all that is verified then, when its node is first needed; until that succeeds, whatever needs the
    node raises what connecting does. What the deployment says is there from the beginning."""

    def __init__(self, node: Node, profile: EngineProfile, deployment: Deployment) -> None:
        # Not the parent's, which asks the node. `node` is missing too, so that no method works without connecting.
        self._connecting = (node, profile, deployment)
        self.profile, self.deployment = profile, deployment
        self.chain_id, self.ledger_id = deployment.chain_id, deployment.ledger_id
        self.registry, self.ledger, self.forwarder = deployment.registry, deployment.ledger, deployment.forwarder

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_connecting":
            raise AttributeError(name)
        connected = vars(Chain(*self._connecting))
        if name not in connected:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        vars(self).update(connected)
        return connected[name]


def connect_or_wait(node: Node, profile: EngineProfile, deployment: Deployment) -> Chain:
    """The chain; if its node does not answer or is in sync only in part, one that connects when it is needed. Raises
    WrongChainError and WrongContractError as `Chain` does."""
    try:
        return Chain(node, profile, deployment)
    except errors.ChainUnreachableError:
        return LateChain(node, profile, deployment)
