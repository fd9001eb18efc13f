"""Judges proposed setpoints in disturbed runs, and the fixed point of phi and psi.

The runs are of the example's moulding machine, whose equations no model sees: its cooling and its tool drift while it
follows each proposal. Nothing is chosen on these runs. Times are processor seconds.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Final

import numpy as np

from millmark.quality.errors import InputError
from millmark.quality.process.arrays import SETTLED, MachineState, Prices, Refusal, settle
from millmark.quality.process.proposals import Bound, Proposal, Step, propose_setpoint
from millmark.quality.process.records import ONE, Integers, ProcessModel, parse_process_model
from millmark.quality.process.telemetry import COLUMNS, STEP_S, Machine, Telemetry, read_as
from tests.bench.quality.tables import Bench

CPU_MS: Final = 50
"""Processor time of a proposal, at most, in the median."""
PRICES: Final = Prices(6000, 31, 380, 10, 20, 25)
BOUNDS: Final = {
    "temperature_set": Bound(1_920_000, 2_220_000, 80_000),
    "pressure_set": Bound(660_000, 940_000, 60_000),
    "speed_set": Bound(220_000, 430_000, 50_000),
}
LIMITS: Final = {"temperature": (1_920_000, 2_240_000), "pressure": (640_000, 970_000)}
_STEP: Final = Step()
_ARRIVALS: Final = 8.0
_WARM: Final = 30
"""Rows before the first proposal."""
_PROPOSALS: Final = 12
"""Number in a run; each holds for `_STEP.hold` rows."""
_STATES: Final = 10_000

Line = tuple[str, ...]
Result = tuple[Sequence[Line], Mapping[str, object], bool]


@dataclass(slots=True)
class _Tally:
    """What the disturbed runs came to."""

    proposed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    violated: int = 0
    """Rows in which the plant left a limit, or a setpoint a bound or rate."""
    rows: int = 0
    cpu_ms: list[float] = field(default_factory=list)


def run_process(runs: int) -> Bench:
    """`runs`: disturbed runs of the setpoints."""
    parts = {"setpoints": run_control(runs), "settling": run_settling()}
    rows = [row for found, _, _ in parts.values() for row in found]
    answer = {name: found for name, (_, found, _) in parts.items()}
    passed = all(passed for *_, passed in parts.values())
    return Bench("setpoints", ("part", "what", "ours", "bar"), rows, answer, passed)


def run_control(runs: int) -> Result:
    """Disturbed runs under our proposals."""
    model = parse_process_model((resources.files("millmark.quality") / "models" / "moulder.bin").read_bytes())
    tally = _Tally()
    for seed in range(runs):
        _run(model, seed, tally)
    median = float(np.median(tally.cpu_ms))
    answer: dict[str, object] = {
        "runs": runs,
        "proposed": tally.proposed,
        "refused": dict(tally.refused),
        "violated": tally.violated,
        "rows": tally.rows,
        "cpu_ms_median": median,
        "cpu_ms_95": float(np.quantile(tally.cpu_ms, 0.95)),
    }
    rows: list[Line] = [
        ("setpoints", f"rows out of limits, of {tally.rows} in {runs} runs", str(tally.violated), "0"),
        ("setpoints", "CPU ms of a proposal, median", f"{median:.1f}", f"<= {CPU_MS}"),
    ]
    passed = tally.violated == 0 and median <= CPU_MS and tally.proposed > 0
    return rows, answer, passed


def _run(model: ProcessModel, seed: int, tally: _Tally) -> None:
    draw = np.random.default_rng(10_000 + seed)
    machine = Machine(wear=float(draw.uniform(0, 5)))
    setpoints = np.array([206.0, 79.0, 31.0]) + draw.uniform(-1, 1, 3) * (5, 5, 4)
    cooling = 0.0
    rows: list[tuple[float, ...]] = []
    for minute in range(_WARM + _PROPOSALS * _STEP.hold):
        # Cooling water drifts and recovers; now and then a batch of work arrives at once.
        cooling = 0.95 * cooling + float(draw.normal(0, 0.5))
        if minute < _WARM and minute % 6 == 0:
            setpoints = np.array([206.0, 79.0, 31.0]) + draw.uniform(-1, 1, 3) * (5, 5, 4)
        if minute >= _WARM and (minute - _WARM) % _STEP.hold == 0:
            setpoints = _ask(model, rows, setpoints, tally)
        row = machine.step(setpoints, float(draw.poisson(_ARRIVALS)), draw, cooling)
        rows.append(row.values)
        if minute >= _WARM:
            tally.rows += 1
            tally.violated += _is_outside(model, row.values)


def _ask(
    model: ProcessModel,
    rows: Sequence[Sequence[float]],
    setpoints: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    tally: _Tally,
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The setpoints from now on: those proposed, as an operator who accepts everything would set them."""
    table = Telemetry(COLUMNS, np.arange(len(rows)) * STEP_S, np.array(rows), STEP_S, (), np.zeros(len(rows), np.int64))
    fixed, arrivals = read_as(model.columns, table), round(_ARRIVALS * 1000)
    began = time.process_time()
    found = propose_setpoint(model, MachineState(fixed.tolist(), arrivals), BOUNDS, LIMITS, PRICES, _STEP)
    tally.cpu_ms.append(1000 * (time.process_time() - began))
    if isinstance(found, Refusal):
        tally.refused[found.reason.value] += 1
        return setpoints
    tally.proposed += 1
    for name, bound in BOUNDS.items():
        value, before = found.setpoints[name], found.present[name]
        tally.violated += not (bound.low <= value <= bound.high and abs(value - before) <= bound.rate)
    return _set(found)


def _set(found: Proposal) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([found.setpoints[name] / 10 ** found.decimals[name] for name in BOUNDS])


def _is_outside(model: ProcessModel, values: Sequence[float]) -> bool:
    for column in model.columns:
        if column.name in LIMITS:
            low, high = LIMITS[column.name]
            if not low <= values[COLUMNS.index(column.name)] * 10**column.decimals <= high:
                return True
    return False


def run_settling() -> Result:
    """The damped fixed point of the example's phi and psi, from random states up to six standard deviations away."""
    model = parse_process_model((resources.files("millmark.quality") / "models" / "moulder.bin").read_bytes())
    if model.utilisation is None:
        raise InputError("the model has neither phi nor psi")
    draw = np.random.default_rng(0)
    states: Integers = np.rint(draw.uniform(-6, 6, (_STATES, model.predicted)) * ONE).astype(np.int64)
    starts = [np.full(_STATES, value) for value in (0, ONE)]
    low = settle(model.utilisation, states, (starts[0], starts[0]))
    high = settle(model.utilisation, states, (starts[1], starts[1]))
    # Both ends lead to one point; what remains is what counts as settled, carried through the damping.
    apart = max(int(np.abs(one - two).max()) for one, two in zip(low, high, strict=True))
    inside = all(int(one.min()) >= 0 and int(one.max()) <= ONE for one in (*low, *high))
    rows = [("settling", f"states of {_STATES} that settle from both ends", str(_STATES), str(_STATES))]
    return rows, {"states": _STATES, "apart": apart, "inside": inside}, inside and apart <= 10 * SETTLED
