"""The bytes of a process model: section 2 of `quality/process/PROCESS.md`. Needs numpy.

One model has exactly one byte form, and its digest is the SHA-256 of that.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from millmark.quality.errors import ModelError
from millmark.quality.header import MAGIC_SIZE, Reader
from millmark.quality.model import MAX_MODEL_BYTES, model_digest
from millmark.quality.process.records import (
    MAX_HIDDEN,
    MAX_HISTORY,
    MAX_MEMORY,
    Column,
    Integers,
    Pair,
    ProcessModel,
    Regime,
    Role,
    System,
    Utilisation,
)

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
        utilisation=_parse_utilisation(reader, predicted) if paired else None,
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


def _parse_utilisation(reader: Reader, predicted: int) -> Utilisation:
    phi, psi = _parse_pair(reader, predicted), _parse_pair(reader, predicted)
    return Utilisation(phi, psi, reader.take(_LONG)[0])


def _read(reader: Reader, kind: str, shape: tuple[int, ...]) -> Integers:
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    found: Integers = np.frombuffer(reader.take_bytes(size), dtype=kind).reshape(shape).astype(np.int64)
    return found
