"""The process of a machine in the demo, and the desk at which settings of it are proposed.

The telemetry is drawn by the process model's own example, a machine with temperature, pressure and speed; detector and
model are the product's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from millmark.quality.drift import Drift, Reference, build_reference, watch
from millmark.quality.process import (
    Bound,
    MachineState,
    Prices,
    ProcessModel,
    Proposal,
    Refusal,
    parse_process_model,
    propose_setpoint,
)
from millmark.quality.process import Step as Horizon
from millmark.quality.process.example import COLUMNS, Machine
from millmark.services.planning.feedback.causes import MachineCause
from millmark.services.planning.feedback.setpoints import Answer, Proposed, Unproposed
from millmark.services.planning.shelf import Shelf

__all__ = ["OperatorDesk", "Process"]

_REFERENCE_ROWS, _WATCHED_ROWS, _READ_ROWS = 700, 400, 60
_SEED = 1
_ARRIVALS, _BACKLOG = 7.8, 190.0
_SET = (208.0, 80.0, 33.0)
"""Temperature, pressure and speed as they are set."""
_SETPOINT, _MEASURED = "temperature_set", "temperature"
_LOWEST, _HIGHEST, _RATE = 195, 225, 8
"""Where the temperature may be set, and how far at once, in degrees."""
_PRICES = Prices(rate_per_hour=5400, price_per_kwh=31, price_per_unit=60)
Words = NDArray[np.int64]


@cache
def _model() -> ProcessModel:
    return parse_process_model((resources.files("millmark.quality") / "models" / "moulder.bin").read_bytes())


@dataclass(slots=True)
class Process:
    """What a machine does, a row a minute, and what is measured of it, in the integers of the model's columns."""

    machine: Machine = field(default_factory=lambda: Machine(backlog=_BACKLOG))
    settings: NDArray[np.float64] = field(default_factory=lambda: np.array(_SET))
    rows: list[list[int]] = field(default_factory=list)
    reference: Reference = field(init=False)
    """Reference from the first rows, when it does not drift."""
    _draw: np.random.Generator = field(default_factory=lambda: np.random.default_rng(_SEED))

    def __post_init__(self) -> None:
        self.reference = build_reference(*_watched(self._run(_REFERENCE_ROWS, 0.0)))

    @property
    def columns(self) -> list[str]:
        return [column.name for column in _model().columns]

    def measure(self, cooling: float) -> tuple[list[list[int]], Drift]:
        """Works on, and compares what is measured with the reference. `cooling`: degrees by which something takes heat
        away."""
        rows = self._run(_WATCHED_ROWS, cooling)
        return rows, watch(self.reference, *_watched(rows))

    def state(self) -> MachineState:
        backlog = _model().columns[-1]
        return MachineState(self.rows[-_READ_ROWS:], round(_ARRIVALS * 10**backlog.decimals))

    def take(self, proposal: Proposal) -> None:
        """Sets what was proposed."""
        place = COLUMNS.index(_SETPOINT) - COLUMNS.index("energy") - 1
        self.settings[place] = proposal.setpoints[_SETPOINT] / 10 ** proposal.decimals[_SETPOINT]

    def _run(self, count: int, cooling: float) -> list[list[int]]:
        made = []
        for _ in range(count):
            row = self.machine.step(self.settings, _ARRIVALS, self._draw, cooling)
            values = dict(zip(COLUMNS, row.values, strict=True))
            made.append([round(values[one.name] * 10**one.decimals) for one in _model().columns])
        self.rows += made
        return made


@dataclass(slots=True)
class OperatorDesk:
    """Where settings are proposed to the machine's operator, who takes them."""

    process: Process
    operator: str
    proposal: Proposal | None = None
    said: Answer | None = None

    def search(self, _causes: Sequence[MachineCause], _now_s: int) -> None:
        """Does nothing: `propose` searches. Only the gateway has to search outside the transaction."""

    def propose(self, _shelf: Shelf, _cause: MachineCause, _now_s: int) -> Proposed | Unproposed:
        """Settings by the process model."""
        found = self._search()
        if not isinstance(found, Proposal):
            return Unproposed(found.cause)
        self.proposal = found
        return Proposed(self.text)

    def answer(self, _shelf: Shelf, _cause: bytes, _now_s: int) -> Answer | None:
        return self.said

    @property
    def text(self) -> str:
        """What is proposed."""
        if self.proposal is None:
            return "no settings"
        one = 10 ** self.proposal.decimals[_SETPOINT]
        before, after = (values[_SETPOINT] / one for values in (self.proposal.present, self.proposal.setpoints))
        return f"{after:.1f} °C in place of {before:.1f} °C"

    def accept(self, now_s: int) -> None:
        """Has the operator take what was proposed."""
        if self.proposal is not None:
            self.process.take(self.proposal)
            self.said = Answer(True, now_s, self.operator)

    def _search(self) -> Proposal | Refusal:
        column = next(one for one in _model().columns if one.name == _SETPOINT)
        one = 10**column.decimals
        bounds = {_SETPOINT: Bound(_LOWEST * one, _HIGHEST * one, _RATE * one)}
        return propose_setpoint(_model(), self.process.state(), bounds, {}, _PRICES, Horizon(3, 6))


def _watched(rows: Sequence[Sequence[int]]) -> tuple[Words, Words]:
    """Words (n, k) and margins (n,) for the detector: the predicted columns, and how far the temperature is from its
    lowest setting."""
    words, model = np.array(rows, dtype=np.int64), _model()
    column = next(one for one in model.columns if one.name == _MEASURED)
    lowest = _LOWEST * 10**column.decimals
    return words[:, : model.predicted], words[:, model.columns.index(column)] - lowest
