"""The numbers of a process model, checked when they are put together. Needs numpy. Section 2 of
`quality/process/PROCESS.md` has the layout of the bytes, section 3 what is computed with them."""

from __future__ import annotations

import enum
import re
import struct
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import ModelError
from millmark.quality.inference import MAGIC_SIZE, MAX_DECIMALS, MAX_FIXED, Reader, require_range
from millmark.quality.model import MAX_MODEL_BYTES, model_digest

Integers: TypeAlias = NDArray[np.int64]

ONE: Final = 1 << 16
"""The integer that stands for 1: all words, weights and shares have 16 bits after the point."""
LIMIT: Final = 64 * ONE
"""Largest magnitude of a word: 64 standard deviations. A state that reaches it has run away."""
MAX_COLUMNS: Final = 64
MAX_MEMORY: Final = 256
"""Most words that a system keeps beside the measured state."""
MAX_HIDDEN: Final = 256
MAX_HISTORY: Final = 32
MAX_SPREAD: Final = 2**38
_MAX_SUM: Final = 2**53
"""Below it, float64 sums of integers are exact in any order, so BLAS computes exact integers."""
MOST_SLOPE_PPM: Final = 800_000
"""phi and psi contract: neither may change by more than 0.8 of what its argument changes."""
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,31}")


class Role(enum.IntEnum):
    """What a column of the telemetry is."""

    STATE = 1
    """Measured, and predicted."""
    ENERGY = 2
    """Measured and predicted: Wh that the machine drew during the step that ends at this row."""
    SETPOINT = 3
    """Held by the machine from this row to the next; what is proposed."""
    GIVEN = 4
    """Known in advance, such as the kind of part."""
    BACKLOG = 5
    """Work that waits; it follows from arrivals and throughput, and is not learned."""


PREDICTED = (Role.STATE, Role.ENERGY)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the telemetry. Raises ModelError if a field is out of range."""

    name: str
    """Lower case: letters, digits, and `_.-`."""
    role: Role
    decimals: int
    """Values are integers in units of 10^-decimals of the sensor's unit."""
    zero: int
    """The value whose word is 0."""
    spread: int
    """What one standard deviation is in the column's integers; its word is `ONE`."""
    low: int
    high: int
    """Smallest and largest value in the training data."""
    still: int
    """Most rows in a row with one value in the training data; 0 where a column may stand still for any time."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ModelError(
                f"{self.name[:40]!a} is not the name of a column", hint="use lower-case letters and digits"
            )
        require_range("decimals", self.decimals, 0, MAX_DECIMALS)
        require_range("spread", self.spread, 1, MAX_SPREAD)
        for what, value in (("zero", self.zero), ("low", self.low), ("high", self.high)):
            require_range(what, value, -MAX_FIXED, MAX_FIXED)
        require_range("still", self.still, 0, 2**32 - 1)
        if self.low > self.high:
            raise ModelError(f"the lowest value of {self.name} is above its highest")


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """One dynamical system: words of the measured state and of its own memory, and how they move in a step.

    With c columns of which n are predicted, m words beside the state, q words of memory, S = n + q, D = S + m, k hidden
    units and a history of h rows:
    """

    anchored: bool
    """Whether steps count from the one at the latest row: a machine that stands still is predicted to stand still, also
    where an unseen disturbance holds it; the encoder then reads how the history differs from the latest row."""
    history: int
    """h: rows that the initial state is read from, the latest last."""
    memory: int
    """q"""
    encoder: Integers
    """(S, h c): what is added to the latest measured state, with 0 for the memory, as the initial state."""
    linear: Integers
    """(S, D)"""
    bias: Integers
    """(S,)"""
    inner: Integers
    """(k, D); k = 0 for a linear system."""
    inner_bias: Integers
    """(k,)"""
    outer: Integers
    """(S, k)"""

    @property
    def hidden(self) -> int:
        return len(self.inner_bias)

    def require_fit(self, columns: int, predicted: int, others: int) -> None:
        """Raises ModelError unless all shapes fit, and no sum can reach 2^53."""
        require_range("history", self.history, 1, MAX_HISTORY)
        require_range("memory", self.memory, 0, MAX_MEMORY)
        require_range("hidden units", self.hidden, 0, MAX_HIDDEN)
        rows, width = predicted + self.memory, predicted + self.memory + others
        _require_shape("encoder", self.encoder, (rows, self.history * columns))
        _require_shape("linear", self.linear, (rows, width))
        _require_shape("bias", self.bias, (rows,))
        _require_shape("inner", self.inner, (self.hidden, width))
        _require_shape("outer", self.outer, (rows, self.hidden))
        _require_sums("an encoder", self.encoder, np.zeros(rows, np.int64))
        _require_sums("a step", np.hstack([self.linear, self.outer]), self.bias)
        _require_sums("a hidden layer", self.inner, self.inner_bias)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One of phi and psi: a share in [0, 1] from the measured state (n words) and the other share. Raises ModelError if
    a shape does not fit, a sum can reach 2^53, or it does not contract."""

    inner: Integers
    """(k, n + 1); the other share comes last."""
    inner_bias: Integers
    """(k,)"""
    outer: Integers
    """(k,)"""
    bias: int

    def __post_init__(self) -> None:
        require_range("hidden units", len(self.inner_bias), 1, MAX_HIDDEN)
        if self.inner.ndim != 2 or len(self.inner) != len(self.inner_bias):
            raise ModelError("the shapes of phi or psi do not fit")
        _require_shape("outer", self.outer, (len(self.inner_bias),))
        _require_sums("phi or psi", self.inner, self.inner_bias)
        _require_sums("phi or psi", self.outer[np.newaxis], np.array([self.bias]))
        if (slope := slope_ppm(self)) > MOST_SLOPE_PPM:
            raise ModelError(
                f"phi or psi may change by {slope} millionths of what its argument changes",
                hint=f"at most {MOST_SLOPE_PPM}, so that their fixed point is one and is found",
            )


def slope_ppm(pair: Pair) -> int:
    """Largest slope in the other share, in millionths, rounded up: a Lipschitz bound, as the logistic curve's slope is
    at most 1/4 and that of a hidden unit at most its weight. Of the coupled map (eta, e) -> (phi, psi) the spectral
    norm is at most the larger of the two."""
    total = sum(abs(int(one)) * abs(int(two)) for one, two in zip(pair.outer, pair.inner[:, -1], strict=True))
    return -(-total * 1_000_000 // (4 * ONE * ONE))


@dataclass(frozen=True, slots=True, eq=False)
class Utilisation:
    """eta = phi(x, e) and e = psi(x, eta), and what they achieve."""

    phi: Pair
    psi: Pair
    capacity: int
    """Units of the backlog, in its integers, that are done in a step at eta = e = 1."""

    def __post_init__(self) -> None:
        require_range("capacity", self.capacity, 1, 2**40)


@dataclass(frozen=True, slots=True, eq=False)
class Regime:
    """Where the training data lie: the square of the distance from their mean, whitened."""

    whitening: Integers
    """(n + m', n + m'), lower triangular; m' counts the columns that are neither predicted nor the backlog."""
    limit: int
    """Largest square of the distance (in units of `ONE`^2) at which the model is used."""

    def __post_init__(self) -> None:
        require_range("limit of the distance", self.limit, 1, 2**62)


@dataclass(frozen=True, slots=True, eq=False)
class ProcessModel:
    """A machine's model. Raises ModelError if its parts do not fit each other."""

    columns: tuple[Column, ...]
    """Predicted columns first, then the others."""
    step_s: int
    """Seconds from a row to the next."""
    trained_until: int
    """Unix time of the latest row that it was trained on."""
    systems: tuple[System, ...]
    """One or two: the network, and the linear ARX."""
    gate: bytes
    """By predicted column, which system's prediction counts."""
    regime: Regime
    utilisation: Utilisation | None
    errors: tuple[int, ...] = field(default=())
    """By predicted column, the largest absolute error at the horizon in nine of ten validation windows, in the column's
    integers."""

    def __post_init__(self) -> None:
        require_range("columns", len(self.columns), 1, MAX_COLUMNS)
        require_range("seconds of a step", self.step_s, 1, 2**32 - 1)
        require_range("end of the training data", self.trained_until, 0, 2**40)
        require_range("systems", len(self.systems), 1, 2)
        self._require_order()
        for system in self.systems:
            system.require_fit(len(self.columns), self.predicted, self.others)
        if len(self.gate) != self.predicted or max(self.gate) >= len(self.systems):
            raise ModelError("the gate does not name a system for each predicted column")
        if len(self.errors) != self.predicted or min(self.errors) < 0 or max(self.errors) > MAX_FIXED:
            raise ModelError("the model does not have an error for each predicted column")
        side = len(self.columns) - len(self.find(Role.BACKLOG))
        _require_shape("whitening", self.regime.whitening, (side, side))
        _require_sums("the distance", self.regime.whitening, np.zeros(side, np.int64))
        self._require_utilisation()

    def _require_order(self) -> None:
        predicted = [column.role in PREDICTED for column in self.columns]
        if not any(predicted) or sorted(predicted, reverse=True) != predicted:
            raise ModelError("predicted columns must come first, and there must be one")
        if len({column.name for column in self.columns}) != len(self.columns):
            raise ModelError("two columns have the same name")
        for role in (Role.ENERGY, Role.BACKLOG):
            if len(self.find(role)) > 1:
                raise ModelError(f"more than one column is the {role.name.lower()}")

    def _require_utilisation(self) -> None:
        if (self.utilisation is None) != (not self.find(Role.BACKLOG)):
            raise ModelError("a backlog, and phi and psi, go together")
        if self.utilisation is None:
            return
        for pair in (self.utilisation.phi, self.utilisation.psi):
            _require_shape("phi or psi", pair.inner, (len(pair.inner_bias), self.predicted + 1))

    @property
    def predicted(self) -> int:
        """n: columns that are measured and predicted."""
        return sum(column.role in PREDICTED for column in self.columns)

    @property
    def others(self) -> int:
        """m: words beside the state: the columns that are not predicted, then eta and e where there are phi and psi."""
        return len(self.columns) - self.predicted + (0 if self.utilisation is None else 2)

    @property
    def history(self) -> int:
        """Rows that the initial state of all systems needs."""
        return max(system.history for system in self.systems)

    def find(self, *roles: Role) -> list[int]:
        """Places of the columns that have one of these roles."""
        return [place for place, column in enumerate(self.columns) if column.role in roles]


def _require_shape(what: str, values: Integers, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise ModelError(f"{what} has the shape {values.shape}", hint=f"expected {shape}")


def _require_sums(what: str, weights: Integers, biases: Integers) -> None:
    # Weights are i32 in the format, so that this sum is exact; words are twice as large where two are subtracted.
    if not weights.size:
        return
    if int(np.abs(weights).max()) >= 2**31:
        raise ModelError(f"a weight of {what} is not an i32")
    worst = np.abs(weights).sum(axis=-1) * (2 * LIMIT)
    if int(worst.max()) >= _MAX_SUM or int(np.abs(biases).max()) >= _MAX_SUM:
        raise ModelError(f"a sum of {what} can reach 2^53")


# The bytes of a process model: section 2 of `quality/process/PROCESS.md`.
# One model has exactly one byte form, and its digest is the SHA-256 of that.

MAGIC: Final = b"MMQP"
FORMAT_VERSION: Final = 1

_HEADER = struct.Struct(
    ">HIQBBB"
)  # version, seconds of a step, end of the training data, columns, systems, phi and psi
_COLUMN = struct.Struct(">BBqqqqI")  # role, decimals, zero, spread, low, high, still
_SIZE = struct.Struct(">B")
_SYSTEM = struct.Struct(">BBHH")  # anchored, history, memory, hidden
_PAIR = struct.Struct(">Hq")  # hidden, bias
_LONG = struct.Struct(">q")

process_digest = model_digest
"""SHA-256 of a model's bytes."""


def build_process_model(model: ProcessModel) -> bytes:
    """The model's bytes. Raises ModelError if there would be more than 1 MiB."""
    parts = [
        MAGIC,
        _HEADER.pack(
            FORMAT_VERSION,
            model.step_s,
            model.trained_until,
            len(model.columns),
            len(model.systems),
            model.utilisation is not None,
        ),
        *(_build_column(column) for column in model.columns),
        *(_build_system(system) for system in model.systems),
        model.gate,
        *(_LONG.pack(error) for error in model.errors),
        _weights(model.regime.whitening),
        _LONG.pack(model.regime.limit),
    ]
    if model.utilisation is not None:
        parts += [_build_pair(model.utilisation.phi), _build_pair(model.utilisation.psi)]
        parts.append(_LONG.pack(model.utilisation.capacity))
    built = b"".join(parts)
    if len(built) > MAX_MODEL_BYTES:
        raise ModelError(f"the model has {len(built)} bytes", hint=f"at most {MAX_MODEL_BYTES}")
    return built


def _build_column(column: Column) -> bytes:
    name = column.name.encode("ascii")
    fields = column.role, column.decimals, column.zero, column.spread, column.low, column.high, column.still
    return _SIZE.pack(len(name)) + name + _COLUMN.pack(*fields)


def _build_system(system: System) -> bytes:
    head = _SYSTEM.pack(system.anchored, system.history, system.memory, system.hidden)
    weights = (_weights(values) for values in (system.encoder, system.linear, system.inner, system.outer))
    return head + b"".join(weights) + _longs(system.bias) + _longs(system.inner_bias)


def _build_pair(pair: Pair) -> bytes:
    head = _PAIR.pack(len(pair.inner_bias), pair.bias)
    return head + _weights(pair.inner) + _weights(pair.outer) + _longs(pair.inner_bias)


def _weights(values: Integers) -> bytes:
    # Within i32: the records refuse larger ones.
    return values.astype(">i4").tobytes()


def _longs(values: Integers) -> bytes:
    return values.astype(">i8").tobytes()


def parse_process_model(content: bytes) -> ProcessModel:
    """Parse the bytes of a model. Raises ModelError if they are not exactly those of one."""
    if len(content) > MAX_MODEL_BYTES:
        raise ModelError(f"the model has {len(content)} bytes", hint=f"at most {MAX_MODEL_BYTES}")
    reader = Reader(content)
    if reader.take_bytes(MAGIC_SIZE) != MAGIC:
        raise ModelError("this is not a process model", hint="expected the magic MMQP")
    version, step_s, trained_until, count, systems, paired = reader.take(_HEADER)
    if version != FORMAT_VERSION:
        raise ModelError(f"model has format version {version}", hint=f"this release reads {FORMAT_VERSION}")
    if paired not in (0, 1):
        raise ModelError("whether there are phi and psi is neither 0 nor 1")
    columns = tuple(_parse_column(reader) for _ in range(count))
    predicted = sum(column.role in (Role.STATE, Role.ENERGY) for column in columns)
    others = count - predicted + 2 * paired
    model = ProcessModel(
        columns=columns,
        step_s=step_s,
        trained_until=trained_until,
        systems=tuple(_parse_system(reader, count, predicted, others) for _ in range(systems)),
        gate=reader.take_bytes(predicted),
        errors=tuple(reader.take(_LONG)[0] for _ in range(predicted)),
        regime=_parse_regime(reader, columns),
        utilisation=Utilisation(_parse_pair(reader, predicted), _parse_pair(reader, predicted), reader.take(_LONG)[0])
        if paired
        else None,
    )
    if reader.left:
        raise ModelError(f"{reader.left} bytes follow the model")
    return model


def _parse_column(reader: Reader) -> Column:
    (size,) = reader.take(_SIZE)
    name = reader.take_bytes(size)
    role, *fields = reader.take(_COLUMN)
    try:
        return Column(name.decode("ascii"), Role(role), *fields)
    except ValueError:
        raise ModelError("a column has an unknown role, or a name that is not ASCII") from None


def _parse_system(reader: Reader, columns: int, predicted: int, others: int) -> System:
    anchored, history, memory, hidden = reader.take(_SYSTEM)
    # Before anything is read: no array may be larger than the format allows.
    if anchored > 1 or not 1 <= history <= MAX_HISTORY or memory > MAX_MEMORY or hidden > MAX_HIDDEN:
        raise ModelError("the sizes of a system are out of range")
    rows, width = predicted + memory, predicted + memory + others
    encoder, linear, inner, outer = (
        _read(reader, ">i4", shape)
        for shape in ((rows, history * columns), (rows, width), (hidden, width), (rows, hidden))
    )
    bias, inner_bias = _read(reader, ">i8", (rows,)), _read(reader, ">i8", (hidden,))
    return System(bool(anchored), history, memory, encoder, linear, bias, inner, inner_bias, outer)


def _parse_pair(reader: Reader, predicted: int) -> Pair:
    hidden, bias = reader.take(_PAIR)
    inner, outer = _read(reader, ">i4", (hidden, predicted + 1)), _read(reader, ">i4", (hidden,))
    return Pair(inner, _read(reader, ">i8", (hidden,)), outer, bias)


def _parse_regime(reader: Reader, columns: tuple[Column, ...]) -> Regime:
    side = sum(column.role is not Role.BACKLOG for column in columns)
    return Regime(_read(reader, ">i4", (side, side)), reader.take(_LONG)[0])


def _read(reader: Reader, kind: str, shape: tuple[int, ...]) -> Integers:
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    found: Integers = np.frombuffer(reader.take_bytes(size), dtype=kind).reshape(shape).astype(np.int64)
    return found
