"""The embedded chain with the nodes of tries kept, beside py-evm's own tries: every answer and every block the same."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.chain import EmbeddedChain, RpcError
from tests.support.bundle_world import build_bundle_world
from tests.support.figures import Tell
from tests.support.stores import new_store

_HEAD = ("eth_getBlockByNumber", ["latest", False])


@dataclass(slots=True)
class TwinFigures:
    """What two chains were asked, and the CPU time that each spent on it."""

    requests: int = 0
    blocks: int = 0
    cpu_s: float = 0.0
    py_evm_cpu_s: float = 0.0

    def to_json(self) -> dict[str, float]:
        figures = {"cpu_s": round(self.cpu_s, 2), "py_evm_cpu_s": round(self.py_evm_cpu_s, 2)}
        return {**asdict(self), **figures, "ratio": round(self.py_evm_cpu_s / self.cpu_s, 2)}


class TwinChain:
    """Two chains that answer as one. Raises AssertionError as soon as an answer or a block differs."""

    def __init__(self, genesis_time_s: int | None = None) -> None:
        genesis_time_s = genesis_time_s or int(time.time())
        self._ours, self._plain = EmbeddedChain(genesis_time_s), EmbeddedChain(genesis_time_s, plain=True)
        self._ahead_s = 0
        self.figures = TwinFigures()

    def request(self, method: str, params: list[Any]) -> Any:
        if method == "evm_increaseTime":
            self._ahead_s += params[0]
        time_s = int(time.time()) + self._ahead_s
        started = time.thread_time()
        ours = _answer(self._ours, time_s, method, params)
        between = time.thread_time()
        plain = _answer(self._plain, time_s, method, params)
        self.figures.cpu_s += between - started
        self.figures.py_evm_cpu_s += time.thread_time() - between
        self.figures.requests += 1
        self._compare(method, _plainly(ours), _plainly(plain))
        if isinstance(ours, RpcError):
            raise ours
        return ours

    def _compare(self, method: str, ours: Any, plain: Any) -> None:
        heads = [chain.request(*_HEAD) for chain in (self._ours, self._plain)]
        self.figures.blocks = int(heads[0]["number"], 16)
        if (ours, heads[0]) != (plain, heads[1]):
            raise AssertionError(f"{method} after block {self.figures.blocks}: {ours!r}, with py-evm's tries {plain!r}")


def _answer(chain: EmbeddedChain, time_s: int, method: str, params: list[Any]) -> Any:
    try:
        return chain.request_at(time_s, method, params)
    except RpcError as error:
        return error


def _plainly(answer: Any) -> Any:
    return (answer.code, answer.message, answer.data) if isinstance(answer, RpcError) else answer


pytestmark = pytest.mark.integration

MONTH_S = 30 * 86_400


@pytest.mark.left_out
def test_a_ledger_with_every_kind_of_record_is_the_same(tmp_path: Path, tell: Tell) -> None:
    """Each request of the story is answered by both: transactions, calls, estimates, receipts, logs and proofs. A
    block's hash covers its state, its receipts and their gas."""
    twin = TwinChain(int(time.time()) - MONTH_S)
    build_bundle_world(new_store(tmp_path), twin)
    assert twin.figures.blocks > 100
    tell(f"embedded chain beside py-evm's own tries: {twin.figures.to_json()}")
