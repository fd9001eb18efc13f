"""The ledger's contracts on one chain: checked when connected, then read and called by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from ledger.chain.artifacts import verify_code
from ledger.chain.codec import decode_log, decode_result, encode_function, multicall_data
from ledger.chain.deployment import Deployment
from ledger.chain.forwarder import execute_data, execute_gas, fetch_nonce, is_taken, verify_domain
from ledger.chain.node import Node
from ledger.chain.profiles import EngineProfile
from ledger.errors import ContractRefusedError, WrongChainError, WrongContractError
from ledger.events import Event, Header, Recorded
from ledger.forward_requests import SignedRequest
from ledger.records import Contract, Value

__all__ = ["Chain"]


class Chain:
    """Registry and ledger behind one node.

    Raises WrongChainError when the node serves another chain than the deployment's, WrongContractError when the code at
    its addresses is not this version's, when the ledger asks another registry, or when anybody else's word than the
    forwarder's is taken on who acts.
    """

    def __init__(self, node: Node, profile: EngineProfile, deployment: Deployment) -> None:
        self.node = node
        self.profile = profile
        self.deployment = deployment
        self.chain_id = node.chain_id()
        self.registry = deployment.registry
        self.ledger = deployment.ledger
        self.forwarder = deployment.forwarder
        if self.chain_id != deployment.chain_id:
            raise WrongChainError(
                f"the node serves chain {self.chain_id}, the deployment is on chain {deployment.chain_id}",
                hint="point chain_url at the right network, or use that network's deployment file",
            )
        self.contracts = self._connect()
        """Address of every contract whose code takes part, by its name in Solidity."""

    def address(self, contract: Contract) -> bytes:
        return self.registry if contract is Contract.REGISTRY else self.ledger

    def genesis_hash(self) -> bytes:
        return self.node.header(0).hash

    @property
    def first_block(self) -> int:
        """Before it there is nothing of the ledger."""
        return self.deployment.block_number

    def head_number(self) -> int:
        return self.node.block_number()

    def final_number(self) -> int:
        """The highest block that is final by the engine's profile; -1 when none is."""
        return max(self.node.block_number() - self.profile.finality_depth, -1)

    def header(self, number: int) -> Header:
        return self.node.header(number)

    def recorded(self, header: Header) -> tuple[Recorded[Event], ...]:
        """All records of one block, in log order; none is missing."""
        contracts = {self.registry: Contract.REGISTRY, self.ledger: Contract.LEDGER}
        logs = self.node.logs(header, list(contracts))
        decoded = (decode_log(contracts[log.address], log, header.timestamp) for log in logs)
        return tuple(record for record in decoded if record is not None)

    def read(self, contract: Contract, function: str, *values: object) -> tuple[Value, ...]:
        """Return values of a view function now. Raises ContractRefusedError when it reverts."""
        data = encode_function(contract, function, *values)
        return decode_result(contract, function, self.node.call(self.address(contract), data))

    def read_struct(self, contract: Contract, function: str, *values: object) -> Mapping[str, Value]:
        """The one struct that a view function returns."""
        return cast(Mapping[str, Value], self.read(contract, function, *values)[0])

    def sequence(self, contract: Contract) -> int:
        """Number of records so far."""
        return cast(int, self.read(contract, "sequence")[0])

    def head(self, subject: bytes) -> bytes:
        """Head of an order's or lot's history; zero bytes when it has none."""
        return cast(bytes, self.read(Contract.LEDGER, "headOf", subject)[0])

    def join_calls(self, contract: Contract, calls: Sequence[bytes]) -> bytes:
        """Calldata of the one transaction that makes all `calls`, or none."""
        return calls[0] if len(calls) == 1 else multicall_data(contract, calls)

    def simulate(self, contract: Contract, data: bytes, sender: bytes, known_limit: int | None = None) -> int:
        """Gas limit with which the call can be sent now. Raises ContractRefusedError with the contract's own error.

        `known_limit`, of a call of the same shape: it is given back where the call takes no more than half of its
        headroom. An estimate executes the call a dozen times, this once."""
        fixed, address = self.profile.fixed_gas_limit, self.address(contract)
        if fixed is None and known_limit is not None and self._is_enough(address, data, sender, known_limit):
            return known_limit
        self.node.call(address, data, sender, fixed)  # an estimate alone may hide the contract's error
        if fixed is not None:
            return fixed
        estimate = self.node.estimate_gas(address, data, sender)
        return min(estimate * (100 + self.profile.gas_headroom_percent) // 100, self.node.gas_limit())

    def fund(self, address: bytes) -> None:
        """Gas money for a key, on engines that give it away; nothing on others."""
        if self.profile.faucet:
            self.node.fund(address)

    def contract_at(self, address: bytes) -> Contract:
        """Registry or ledger. Raises WrongContractError for any other address."""
        for contract in Contract:
            if self.address(contract) == address:
                return contract
        raise WrongContractError(f"0x{address.hex()} is neither registry nor ledger")

    def simulate_as(self, contract: Contract, data: bytes, key: bytes) -> int:
        """Gas that the call takes now when it is forwarded for `key`, with headroom. Raises ContractRefusedError with
        the contract's own error, which the forwarder would replace by its own."""
        call, address = data + key, self.address(contract)
        self.node.call(address, call, self.forwarder, self.profile.fixed_gas_limit)
        return self.node.estimate_gas(address, call, self.forwarder) * (100 + self.profile.gas_headroom_percent) // 100

    def simulate_forward(self, signed: SignedRequest, sender: bytes) -> int:
        """Gas limit with which `sender` can have the request executed now. Raises ContractRefusedError: with the
        contract's own error, or the forwarder's when it does not take the request."""
        request, gas_limit = signed.request, execute_gas(signed)
        if is_taken(self.node, signed):
            self.node.call(request.to, request.data + request.signer, self.forwarder, request.gas)
        self.node.call(self.forwarder, execute_data(signed), sender, gas_limit)
        return gas_limit

    def forward_nonce(self, key: bytes, number: int | None = None) -> int:
        """The nonce that the key's next request must have, after block `number` or the latest."""
        return fetch_nonce(self.node, self.forwarder, key, number)

    def _is_enough(self, address: bytes, data: bytes, sender: bytes, limit: int) -> bool:
        headroom = self.profile.gas_headroom_percent
        try:
            self.node.call(address, data, sender, limit * (200 + headroom) // (200 + 2 * headroom))
        except ContractRefusedError:
            return False  # for want of gas or not: the estimate tells
        return True

    def _connect(self) -> dict[str, bytes]:
        """Each contract's code is checked before it is asked what it runs."""
        contracts: dict[str, bytes] = {}
        self._take(contracts, "TraceLedger", self.ledger)
        self._take(contracts, "Registry", self.registry)
        if self._word_address(Contract.LEDGER, "registry") != self.registry:
            raise WrongContractError(
                f"the ledger at 0x{self.ledger.hex()} asks another registry than the deployment's",
                hint="use the deployment file of that ledger",
            )
        self._take(contracts, "LotOperations", self._word_address(Contract.LEDGER, "lotOperations"))
        self._take(contracts, "Evaluator", self._word_address(Contract.REGISTRY, "evaluator"))
        self._take(contracts, "Forwarder", self.forwarder)
        for name in ("TraceLedger", "Registry", "LotOperations"):
            self._verify_forwarder_of(name, contracts[name])
        verify_domain(self.node, self.chain_id, self.forwarder, self.ledger)
        return contracts

    def _verify_forwarder_of(self, name: str, address: bytes) -> None:
        """The address is an immutable, which is no part of what `verify_code` compares."""
        answer = self.node.call(address, encode_function(Contract.LEDGER, "trustedForwarder"))
        if decode_result(Contract.LEDGER, "trustedForwarder", answer) != (self.forwarder,):
            raise WrongContractError(
                f"{name} at 0x{address.hex()} takes another forwarder's word than the deployment's",
                hint="use the deployment file of that ledger",
            )

    def _take(self, contracts: dict[str, bytes], name: str, address: bytes) -> None:
        verify_code(name, self.node.code(address), address)
        contracts[name] = address

    def _word_address(self, contract: Contract, function: str) -> bytes:
        return cast(bytes, self.read(contract, function)[0])
