"""Checks, stores and sends requests that other participants signed, and reports their status.

A request is durable in this gateway's outbox before it is acknowledged. From then on it is sent like any other record.
The relay's key signs the transaction and pays; the request's signer is the one who acts. Refused beforehand, so that no
gas is spent in vain: another chain or forwarder; a target other than registry and ledger; a call that makes no record;
too much gas; a deadline that is past or too far ahead; a nonce that is not the next one; an invalid signature; a key of
a participant other than the caller; and whatever the ledger would reject, with its own error.

A relay whose database was restored from an older backup does not know all requests that it sent. Until it was compared
with the ledger, and as long as it is the older one, it answers nothing about requests, takes none and sends none.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast

from structlog.typing import FilteringBoundLogger

from millmark.ledger import canonical, errors, submit
from millmark.ledger.chain import Chain, RawLog, read_kinds
from millmark.ledger.errors import ContractRefusedError, NodeBehindError, RequestError, SettingsError
from millmark.ledger.forward_requests import ForwardRequest, parse_request
from millmark.ledger.provenance.answers import Printable
from millmark.ledger.records import Contract
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import FORWARDER, Entry, OutboxState, QueuedRecord
from millmark.services.access import ForbiddenError, Principal
from millmark.services.gateway.comparison import Comparison
from millmark.services.gateway.http.problems import TryLaterError
from millmark.services.serving.logs import build_logger
from millmark.services.serving.loop import Loop, Looped

# The key that pays for relayed requests must have no other use.
#
# Whatever else records with it has an outbox of its own, or a submitter of its own on the same outbox. Both would
# choose the nonces of the key's transactions, and each would take those of the other.

_PAYER_HINT = "make a key for relaying alone: `millmark keys new`; it needs no role"


def verify_payer(chain: Chain, payer: bytes, company: bytes | None) -> None:
    """Verifies that the relay's key is neither the gateway's signing key `company`, nor a participant's, nor the
    registry owner's. All are addresses of 20 bytes. Raises SettingsError, ChainUnreachableError."""
    if payer == company:
        raise SettingsError("the relay's key is the key with which this gateway records", hint=_PAYER_HINT)
    number = cast(int, chain.read_struct(Contract.REGISTRY, "keyOf", payer)["participant"])
    if number:
        raise SettingsError(f"the relay's key is a key of participant {number}", hint=_PAYER_HINT)
    if chain.read(Contract.REGISTRY, "owner")[0] == payer:
        raise SettingsError("the relay's key is the key that owns the registry", hint=_PAYER_HINT)


# Decides when a refusal by the contracts may be told to a client of the relay, whose record then fails for good.
#
# A node that is behind refuses what the ledger would take. Where blocks come by themselves, a refusal therefore counts
# only when it is repeated on a later head, and both heads are at or above every block that the outbox and the index
# know. In a reorganisation, what the call needs may be in no block for a while, so as many blocks have to be on top of
# the first head as make it final. Until then the client is told to ask again.

T = TypeVar("T")
_MAX_CALLS = 10_000
_MAX_BLOCKS = 100
"""Between the two heads. A refusal from long ago is not of the same circumstances."""
_HINT = "nothing was lost; try again"


class RepeatedRefusals:
    """Thread-safe."""

    def __init__(self, chain: Chain, outbox: Outbox) -> None:
        self._chain, self._outbox = chain, outbox
        self._lock = threading.Lock()
        self._first: OrderedDict[bytes, int] = OrderedDict()
        """The head after the first refusal of a call, by the call's hash."""

    def ask(self, call: bytes, question: Callable[[], T]) -> T:
        """Returns the answer to a question about `call` that the contracts may refuse. Raises ContractRefusedError
        once that is final, and NodeBehindError until then or while the node is behind."""
        if not self._chain.profile.timed_blocks:
            return question()
        head = self._verify_head()
        name = canonical.keccak256(call)
        try:
            answer = question()
        except ContractRefusedError:
            self._verify_repeated(name, head)
            raise
        with self._lock:
            self._first.pop(name, None)
        return answer

    def _verify_head(self) -> int:
        self._chain.verify_served()
        head, seen = self._chain.head_number(), self._outbox.seen_block()
        if head < seen:
            raise NodeBehindError(f"the node is behind: its latest block is {head}, block {seen} is known", hint=_HINT)
        return head

    def _verify_repeated(self, name: bytes, head: int) -> None:
        """`head` is the one before this refusal, the kept one that after the first: a block in between must not make
        one head count as two."""
        depth = self._chain.finality_depth
        with self._lock:
            first = self._first.get(name)
            if first is not None and first + depth < head <= first + depth + _MAX_BLOCKS:
                return
            if first is None or head > first + depth:
                self._first[name] = self._chain.head_number()
                self._first.move_to_end(name)
            first_counting = self._first[name] + depth + 1
            while len(self._first) > _MAX_CALLS:
                self._first.popitem(last=False)
        raise NodeBehindError(
            f"the contracts refuse the call as of block {head}; that counts once block {first_counting} repeats it",
            hint=_HINT,
        )


@dataclass(frozen=True, slots=True)
class RelayTerms(Printable):
    """What a key's next request must satisfy."""

    chain_id: int
    forwarder: bytes
    """Address of the forwarder, for the EIP-712 domain."""
    nonce: int
    """The key's next nonce, as of the latest block."""
    final_nonce: int
    """The key's next nonce as of the last final block. A request with a lower nonce that is not on the ledger can no
    longer be recorded."""
    final_time_s: int
    """Time of the last final block, in seconds since 1970. A request whose deadline is earlier can no longer be
    recorded."""
    now_s: int
    """The gateway's clock or the time of the latest block, whichever is later. Deadlines must be later than this."""
    most_gas: int
    """Most gas that a request may ask for."""
    longest_s: int
    """Longest time from `now_s` to a request's deadline, in seconds."""


@dataclass(frozen=True, slots=True)
class Simulation(Printable):
    """The effect of a forwarded call on the current state."""

    gas: int | None
    """Gas needed, with a margin; null if the ledger rejects the call."""
    error_name: str | None
    """Name of the contract's error."""
    error: str | None
    """The error with its values and a hint."""


@dataclass(frozen=True, slots=True)
class RelayedLog(Printable):
    """A log that the called contract emitted."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    log_index: int


@dataclass(frozen=True, slots=True)
class RelayedRequest(Printable):
    """A request and its status."""

    digest: bytes
    """EIP-712 digest, which identifies the request."""
    key: bytes
    """Address of the signer, who acts."""
    nonce: int
    deadline: int
    """In seconds since 1970."""
    kinds: tuple[str, ...]
    """Kinds of the records in the request, in order."""
    state: OutboxState
    """QUEUED, NONCED, SIGNED and SENT while in progress; then MINED and FINAL, or FAILED if the ledger rejected it."""
    error_name: str | None
    """Name of the contract's error, if the request failed."""
    error: str | None
    transaction_hash: bytes | None
    block_number: int | None
    block_hash: bytes | None
    gas_used: int | None
    logs: tuple[RelayedLog, ...]
    """Logs of the called contract, once the request is in a block."""


MAX_GAS = 10_000_000
"""A third of a typical block's gas. A request with more could hardly share a block with others."""
LONGEST_S = 3600
_PAUSE_S = 0.05
_RETRY_S = 1.0
_IN_BLOCK = (OutboxState.MINED, OutboxState.FINAL)


class Relay(Looped):
    """The relay of one gateway, which sends under one key. Its thread can safely be interrupted at any point."""

    def __init__(
        self, chain: Chain, sending: Chain, store: Store, signer: Signer, logger: FilteringBoundLogger | None = None
    ) -> None:
        """`sending` is a second connection to the same chain, for the thread alone."""
        self._chain = chain
        self._outbox = Outbox(store)
        self._signer = signer
        self._refusals = RepeatedRefusals(chain, self._outbox)
        self._submitter = submit.Submitter(sending, self._outbox, signer)
        self._comparison = Comparison(chain, store, signer.address, relay=True)
        self._funded = False
        self._accepting = threading.Lock()
        logger = logger or build_logger()
        self.loop = Loop("millmark-relay", self._round, logger, failed="relay failed", retry_s=_RETRY_S)

    @property
    def chain(self) -> Chain:
        return self._chain

    @property
    def key(self) -> bytes:
        """Address of the key that pays."""
        return self._signer.address

    def _round(self) -> float:
        try:
            return self.loop.idle(_PAUSE_S) if self.step() else _PAUSE_S
        except TryLaterError:  # the index is being brought up to the ledger
            return _RETRY_S

    def step(self) -> bool:
        """One round of sending. Returns True if nothing is left to send. Raises OutboxOlderError, TryLaterError as long
        as nothing may be sent."""
        self._comparison.verify()
        if not self._funded:
            self._chain.fund(self._signer.address)
            self._funded = True
        return self._submitter.step()

    # The routes

    def terms(self, key: bytes) -> RelayTerms:
        """What the key's next request must match. Raises as all routes do: OutboxOlderError, TryLaterError as long as
        the relay may not know all requests that it sent."""
        self._comparison.verify()
        chain = self._chain
        final = chain.header(chain.final_number())
        # Where blocks are final at once, the latest state is the final one: no older state is read.
        number = None if chain.profile.finality_depth == 0 else final.number
        return RelayTerms(
            chain_id=chain.chain_id,
            forwarder=chain.forwarder,
            nonce=chain.forward_nonce(key),
            final_nonce=chain.forward_nonce(key, number),
            final_time_s=final.timestamp,
            now_s=self._now_s(),
            most_gas=MAX_GAS,
            longest_s=LONGEST_S,
        )

    def simulate(self, contract: Contract, data: bytes, key: bytes, principal: Principal) -> Simulation:
        """Simulates a call that the key would sign. Raises RecordError for a call that makes no record,
        ForbiddenError for another participant's key, and NodeBehindError as long as a refusal is not final."""
        self._comparison.verify()
        self._verify_key(key, principal)
        read_kinds(contract, data)
        try:
            call = contract.value.encode() + key + data
            gas = self._refusals.ask(call, lambda: self._chain.simulate_as(contract, data, key))
        except ContractRefusedError as error:
            return Simulation(None, error.name, str(error))
        # The margin must not suggest more gas than the relay accepts.
        return Simulation(min(gas, MAX_GAS), None, None)

    def accept(self, raw: bytes, principal: Principal) -> RelayedRequest:
        """Stores a request; idempotent. Raises RequestError, RecordError, ForbiddenError, ChainUnreachableError, and
        ContractRefusedError with the ledger's own error."""
        # Parsing and the signature come first: the other checks cost calls to the node.
        signed = parse_request(raw)
        signed.verify()
        self._comparison.verify()
        self._verify_key(signed.request.signer, principal)
        with self._accepting:  # otherwise two requests with the same nonce could pass the checks side by side
            if self._find(signed.request.digest) is None:
                self._verify(signed.request)
                # The last check and the most expensive one: what would revert must not cost the relay any gas.
                forward = partial(self._chain.simulate_forward, signed, self._signer.address)
                self._refusals.ask(signed.to_bytes(), forward)
                entry = Entry(submit.forward_key(signed.request.digest), FORWARDER, "Forward", signed.to_bytes())
                self._outbox.enqueue(self._signer.address, [entry])
                self.loop.wake()
        return self.look(signed.request.digest, principal)

    def look(self, digest: bytes, principal: Principal) -> RelayedRequest:
        """The status of a request. Raises NotFoundError if the request is unknown or belongs to another participant."""
        # An unknown request may have been sent, and a waiting one may be on the ledger.
        self._comparison.verify()
        record = self._find(digest)
        if record is None:
            raise _missing()
        request = parse_request(record.payload).request
        try:
            self._verify_key(request.signer, principal)
        except ForbiddenError:
            # The same error as for an unknown request: its existence is not disclosed.
            raise _missing() from None
        return self._describe(request, record)

    # Helpers

    def _find(self, digest: bytes) -> QueuedRecord | None:
        key = submit.forward_key(digest)
        return self._outbox.find([key]).get(key)

    def _verify_key(self, key: bytes, principal: Principal) -> None:
        """A key that is not registered yet may be used, to accept its own registration. The ledger limits what it can
        do. Not the key that pays, which must not become a participant's."""
        if key == self.key:
            raise ForbiddenError("the key is the one that pays at this relay", hint="sign with another key")
        owner = self._chain.read_struct(Contract.REGISTRY, "keyOf", key)["participant"]
        if owner not in (0, principal.participant) and not principal.owner:
            raise ForbiddenError(
                "the key belongs to another participant", hint="that participant has to submit the request"
            )

    def _verify(self, request: ForwardRequest) -> None:
        chain = self._chain
        if (request.chain_id, request.forwarder) != (chain.chain_id, chain.forwarder):
            raise RequestError(
                "the request is for another chain or forwarder", hint="use the deployment file of this ledger"
            )
        _read_kinds(chain, request)
        # The relay pays for the gas that a request may use.
        if request.gas > MAX_GAS:
            raise RequestError(f"the request asks for more than {MAX_GAS} gas", hint="split it into several requests")
        now_s = self._now_s()
        # A far deadline would let a request that was never mined block its signer's next nonce for as long.
        if not now_s < request.deadline <= now_s + LONGEST_S:
            raise RequestError(
                f"the deadline is not within {LONGEST_S} s from now", hint="check the clock, then sign again"
            )
        nonce = chain.forward_nonce(request.signer)
        if request.nonce != nonce:
            raise RequestError(
                f"the nonce is {request.nonce}, but the key's next nonce is {nonce}", hint="sign with that nonce"
            )
        # The nonce on the chain does not count requests that are still in the outbox.
        others = (
            parse_request(one.payload).request for one in self._outbox.open_records(self._signer.address, FORWARDER)
        )
        if any((one.signer, one.nonce) == (request.signer, request.nonce) for one in others):
            raise RequestError(
                "another request with this nonce is being sent", hint="wait until it is final or has failed"
            )

    def _now_s(self) -> int:
        """The time that deadlines are compared with. The next block cannot be older than the last one."""
        return max(int(time.time()), self._chain.node.header().timestamp)

    def _describe(self, request: ForwardRequest, record: QueuedRecord) -> RelayedRequest:
        sent = self._outbox.latest_transaction(record.id) if record.state is not OutboxState.QUEUED else None
        receipt = None if sent is None or sent.hash is None else self._chain.node.receipt(sent.hash)
        done = receipt if record.state in _IN_BLOCK else None
        # The outbox says mined, but the node has no receipt: a reorganization undid it, and it will be sent again.
        gone = record.state in _IN_BLOCK and done is None
        return RelayedRequest(
            digest=request.digest,
            key=request.signer,
            nonce=request.nonce,
            deadline=request.deadline,
            kinds=_read_kinds(self._chain, request),
            state=OutboxState.SENT if gone else record.state,
            error_name=record.error_name,
            error=record.error,
            transaction_hash=None if sent is None else sent.hash,
            block_number=None if done is None else done.block_number,
            block_hash=None if done is None else done.block_hash,
            gas_used=None if done is None else done.gas_used,
            logs=() if done is None else tuple(_log(log) for log in done.logs if log.address == request.to),
        )


def _read_kinds(chain: Chain, request: ForwardRequest) -> tuple[str, ...]:
    try:
        return read_kinds(chain.contract_at(request.to), request.data)
    except errors.WrongContractError as error:
        raise RequestError(error.cause, hint="only records for registry and ledger are relayed") from None


def _missing() -> errors.NotFoundError:
    return errors.NotFoundError("the request is not known here", hint="submit it with POST /v1/relay")


def _log(log: RawLog) -> RelayedLog:
    return RelayedLog(log.address, log.topics, log.data, log.log_index)
