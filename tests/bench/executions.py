"""Comparison of the on-chain evaluator with the three others, on random inputs of each network size supported on chain.

One input in ten is invalid: it contains a value of -128, or has one value too many or too few. For these, the contract
must return no verdict and the other evaluators must refuse.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from millmark.ledger.chain import Chain, Transport
from millmark.ledger.records import Contract, PublishModel
from millmark.quality import Network, build_model
from millmark.quality.errors import QualityError
from millmark.quality.evaluate import load_evaluator
from millmark.quality.inputs import MAX_FIXED, pack_window
from millmark.quality.network.plain import quantise_row
from millmark.services.demo.consortium import NOTHING, found_consortium
from millmark.services.store import open_store
from tests.bench.inferences import SIZES, build_network, evaluation_data, read_code

__all__ = ["Agreement", "answer_by_evaluators", "compare_executions", "draw_windows"]

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
            [number] = consortium.record(consortium.inspector, [PublishModel(build_model(network), NOTHING)])
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
        [evaluator] = chain.read(Contract.REGISTRY, "evaluator")
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
