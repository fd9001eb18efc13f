"""Models on chain: the gas of publishing one, executing it, and settling a challenged certificate with it; and whether
the contract's verdicts are those of the evaluators."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from millmark.ledger import records
from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import Chain, Transaction, Transport, await_receipt, first_fees, sign_transaction
from millmark.ledger.events import Event, Recorded
from millmark.ledger.events.certificates import CertificateIssued
from millmark.ledger.evidence import (
    EvidenceEntry,
    EvidenceLog,
    LeafKind,
    build_leaf_data,
    build_window_commitment,
    build_window_entry,
)
from millmark.quality import Decision, Dense, Network, Scale, build_model, model_digest
from millmark.quality import Inference as Inspected
from millmark.quality.errors import QualityError
from millmark.quality.evaluate import load_evaluator
from millmark.quality.inference import MAX_FIXED, pack_window, unpack_window
from millmark.quality.network.records import infer_row, quantise_row
from millmark.services.demo.consortium import NOTHING, Company, Consortium, found_consortium
from millmark.services.inspections.statements import InspectedEntry
from millmark.services.store import open_store

SIZES = ((16, 32, 16, 2), (152, 32, 16, 2))
"""The networks with documented gas: input width, outputs of the hidden layers, number of logits."""
SIZE_NAME = "-".join(map(str, SIZES[0]))
LEAF = b"\xff" * 32
"""A hash without zero bytes."""
MAX_GAS = 10_000_000
YEAR_S = 365 * 86_400
_MAX_WAIT_S = 60.0

Measure = Callable[[Company, Sequence[records.Record], str], list[int]]
"""Makes records, collects their gas under their kind and a variant, and returns their sequences."""


def build_network(sizes: Sequence[int], seed: int) -> Network:
    """A dense network with random weights. Its multipliers spread the outputs of each layer over 0..127."""
    draw = random.Random(seed)  # noqa: S311  # reproducible weights, not secrets
    layers: list[Dense] = []
    for inputs, outputs in pairwise(sizes):
        last = len(layers) == len(sizes) - 2
        weights = bytes(draw.randrange(-127, 128) & 0xFF for _ in range(inputs * outputs))
        biases = tuple(draw.randrange(-10_000, 10_001) for _ in range(outputs))
        layers.append(Dense(inputs, outputs, 0 if last else int(2**24 * 40 / (5000 * inputs**0.5)), biases, weights))
    decision = Decision(outputs=sizes[-1], rejects=1, threshold=0)
    return Network(sizes[0], 6, decision, (Scale(0, 1, 46),), tuple(layers))


def draw_window(width: int, draw: random.Random) -> bytes:
    """A random window of large values, which cost the most gas."""
    return pack_window([draw.choice((-1, 1)) * draw.randrange(2**50, MAX_FIXED) for _ in range(width)])


def evaluation_data(code: bytes, values: bytes) -> bytes:
    """Calldata of `IEvaluator.evaluate`."""
    padded = values.ljust(-(-len(values) // 32) * 32, b"\0")
    head = code.rjust(32, b"\0") + (64).to_bytes(32, "big") + len(values).to_bytes(32, "big")
    return keccak256(b"evaluate(address,bytes)")[:4] + head + padded


@dataclass(frozen=True, slots=True)
class _Part:
    """A lot without an order, and its measurement in a stream."""

    lot: bytes
    stream: bytes
    entry: EvidenceEntry
    proof: tuple[bytes, ...]


def measure_inferences(
    consortium: Consortium, lots: Sequence[bytes], stream: bytes, measure: Measure
) -> dict[str, tuple[int, int]]:
    """(records, gas) of executing a model of each size in a transaction of its own; records are made by `measure`.

    `lots` belong to no order and were never certified; `stream` is of the first maker, and anchored with one entry.
    """
    found = {}
    numbers = []
    for seed, sizes in enumerate(SIZES):
        name = "-".join(map(str, sizes))
        network = build_network(sizes, seed)
        [number] = measure(consortium.inspector, [records.PublishModel(build_model(network), NOTHING)], name)
        numbers.append(number)
        code = read_code(consortium, number)
        values = draw_window(sizes[0], random.Random(seed))  # noqa: S311  # as above
        found[f"Evaluation ({name})"] = (1, _execute(consortium, evaluation_data(code, values)))
    consortium.record(consortium.auditor, [records.ApproveModel(numbers[0], NOTHING)])
    network = build_network(SIZES[0], 0)
    _settle(consortium, network, numbers[0], _measure_parts(consortium, network, lots, stream), measure)
    return found


def _measure_parts(consortium: Consortium, network: Network, lots: Sequence[bytes], stream: bytes) -> list[_Part]:
    """Anchors a window of each lot, the same for all."""
    log = EvidenceLog()
    log.append({"n": 1})
    commitment = build_window_commitment(LEAF, _window(network))
    for index, lot in enumerate(lots):
        log.append(build_window_entry(lot, commitment, index, index, 0), kind=LeafKind.WINDOW)
    consortium.record(consortium.makers[0], [records.Anchor(stream, log.tree.size, log.tree.root())])
    proofs = [tuple(log.tree.inclusion_proof(entry.index)) for entry in log.entries]
    measured = zip(lots, log.entries[1:], proofs[1:], strict=True)
    return [_Part(lot, stream, entry, proof) for lot, entry, proof in measured]


def _window(network: Network) -> bytes:
    return draw_window(network.width, random.Random(0))  # noqa: S311  # reproducible, not a secret


def read_code(consortium: Consortium, number: int) -> bytes:
    code = consortium.chain.read_struct(records.Contract.REGISTRY, "modelOf", number)["code"]
    assert isinstance(code, bytes)  # narrows the type: the ABI says address
    return code


def _execute(consortium: Consortium, data: bytes) -> int:
    """Gas used by a transaction to the evaluator."""
    chain, signer = consortium.chain, consortium.owner.signer
    [evaluator] = chain.read(records.Contract.REGISTRY, "evaluator")
    assert isinstance(evaluator, bytes)  # narrows the type: the ABI says address
    fees = first_fees(chain.node, chain.profile)
    transaction = Transaction(
        chain_id=chain.chain_id,
        nonce=chain.node.transaction_count(signer.address),
        max_priority_fee_wei=fees.priority_fee_wei,
        max_fee_wei=fees.max_fee_wei,
        gas_limit=MAX_GAS,
        to=evaluator,
        data=data,
    )
    sent = sign_transaction(transaction, signer)
    chain.node.send(sent.raw)
    receipt = await_receipt(chain.node, sent.hash, _MAX_WAIT_S)
    assert receipt.succeeded, "the evaluator refuses a model of its own format"  # not a service
    return receipt.gas_used


def _settle(consortium: Consortium, network: Network, model: int, parts: Sequence[_Part], measure: Measure) -> None:
    """Issues a correct certificate for each lot, challenges all but the first, and demands the opening of that one."""
    inspected = [_inspect(consortium, network, part) for part in parts]
    statements = [_state(consortium, model, part, one) for part, one in zip(parts, inspected, strict=True)]
    measure(consortium.inspector, [records.IssueCertificate(statement) for statement in statements], "last")
    issuings = consortium.chain.recorded(consortium.chain.header(consortium.chain.final_number()))
    challenges = [
        records.Challenge(issuing.sequence, issuing.key, _issued(statement, issuing), _shown(one), _proven(part))
        for issuing, statement, one, part in zip(issuings, statements, inspected, parts, strict=True)
    ]
    measure(consortium.carrier, challenges[1:], SIZE_NAME)  # without the first, whose opening is demanded next
    measure(consortium.auditor, [records.DemandOpening(parts[0].lot, NOTHING, issuings[0].sequence)], "alone")


def _inspect(consortium: Consortium, network: Network, part: _Part) -> Inspected:
    context = _entry(part).build_context(consortium.chain.chain_id, consortium.chain.ledger)
    window = _window(network)
    logits = infer_row(network, quantise_row(network, unpack_window(window)))
    digest = model_digest(build_model(network))
    return Inspected(context, digest, LEAF, window, logits, network.decision.judge(logits))


def _state(consortium: Consortium, model: int, part: _Part, inspected: Inspected) -> records.Statement:
    now = consortium.chain.header(consortium.chain.final_number()).timestamp
    return _entry(part).build_statement(
        inspected.digest, inspected.verdict, order=NOTHING, model=model, expires_at=now + YEAR_S, claims_root=LEAF
    )


def _entry(part: _Part) -> InspectedEntry:
    return InspectedEntry(part.lot, part.stream, part.entry.index, part.entry.leaf_hash)


def _proven(part: _Part) -> records.Measured:
    entry = part.entry
    return records.Measured(build_leaf_data(entry.kind, entry.salt, entry.entry), part.proof)


def _issued(statement: records.Statement, issuing: Recorded[Event]) -> records.Issued:
    event = issuing.event
    assert isinstance(event, CertificateIssued)  # narrows the type
    return records.Issued(statement, event.anchor_size, event.anchor_root)


def _shown(inspected: Inspected) -> records.Inference:
    return records.Inference(inspected.window, inspected.salt, inspected.logits, int(inspected.verdict))


Answer = tuple[int, tuple[int, ...]]
"""Verdict and logits; (0, ()) for an invalid input."""
NO_ANSWER: Answer = (0, ())
_EVALUATORS = ("numpy", "python", "torch")


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of the contract and the other evaluators on one network."""

    sizes: tuple[int, ...]
    inputs: int
    invalid: int
    """Number of invalid inputs among them."""
    differing: int
    """Number of inputs on which not all evaluators agreed."""
    digest: str
    """SHA-256 in hex over the contract's answers, in order."""

    @property
    def name(self) -> str:
        return "-".join(map(str, self.sizes))


def compare_executions(
    count: int, seed: int, tell: Callable[[str, int], None], transport: Transport | None = None
) -> list[Agreement]:
    """Compares `count` inputs per size, on an embedded chain by default. `tell` is called with (size, inputs done)."""
    found = []
    with open_store("sqlite://") as store:
        consortium = found_consortium(store, transport)
        for sizes in SIZES:
            network = build_network(sizes, seed)
            [number] = consortium.record(consortium.inspector, [records.PublishModel(build_model(network), NOTHING)])
            evaluator = OnChain(consortium.chain, read_code(consortium, number))
            windows = draw_windows(sizes[0], count, seed)
            executed = []
            for done, values in enumerate(windows, 1):
                executed.append(evaluator.answer(values))
                tell("-".join(map(str, sizes)), done)
            found.append(_compare(sizes, network, windows, executed))
    return found


def draw_windows(width: int, count: int, seed: int) -> list[tuple[int, ...]]:
    """Random windows; every tenth one is invalid for a network of this width. Deterministic by `seed`."""
    draw = random.Random(seed)  # noqa: S311  # reproducible windows, not secrets
    windows = []
    for index in range(count):
        values = [draw.randrange(-MAX_FIXED, MAX_FIXED + 1) >> draw.randrange(8) for _ in range(width)]
        if index % 30 == 9:  # the least value that is too large
            values[draw.randrange(width)] = draw.choice((-1, 1)) * (MAX_FIXED + 1)
        elif index % 30 == 19:  # one value too few
            values.pop()
        elif index % 30 == 29:  # one value too many
            values.append(0)
        windows.append(tuple(values))
    return windows


class OnChain:
    """Evaluates a model stored as contract code, through read-only calls."""

    def __init__(self, chain: Chain, code: bytes) -> None:
        [evaluator] = chain.read(records.Contract.REGISTRY, "evaluator")
        assert isinstance(evaluator, bytes)  # narrows the type: the ABI says address
        self._node, self._evaluator, self._code = chain.node, evaluator, code

    def answer(self, values: Sequence[int]) -> Answer:
        found = self._node.call(self._evaluator, evaluation_data(self._code, pack_window(values)))
        # verdict, offset of the logits, their number, the logits
        words = [int.from_bytes(found[at : at + 32], signed=True) for at in range(0, len(found), 32)]
        return words[0], tuple(words[3:])


def answer_by_evaluators(network: Network, windows: Sequence[Sequence[int]]) -> dict[str, list[Answer]]:
    """Answers of each evaluator to the windows, by the evaluator's name."""
    rows: list[list[int]] = []
    valid: list[int] = []
    for index, window in enumerate(windows):
        try:
            rows.append(list(quantise_row(network, window)))
        except QualityError:
            continue
        valid.append(index)
    found = {}
    for name in _EVALUATORS:
        logits = load_evaluator(name)(network)(np.array(rows, dtype=np.int8).reshape(len(rows), network.width))
        answers = [NO_ANSWER] * len(windows)
        for index, row in zip(valid, logits.tolist(), strict=True):
            answers[index] = int(network.decision.judge(row)), tuple(row)
        found[name] = answers
    return found


def _compare(
    sizes: tuple[int, ...], network: Network, windows: Sequence[Sequence[int]], executed: Sequence[Answer]
) -> Agreement:
    answered = answer_by_evaluators(network, windows)
    differing = sum(len({one, *others}) > 1 for one, *others in zip(executed, *answered.values(), strict=True))
    return Agreement(
        sizes=sizes,
        inputs=len(windows),
        invalid=list(executed).count(NO_ANSWER),
        differing=differing,
        digest=hashlib.sha256(repr(executed).encode()).hexdigest(),
    )
