"""How a state of the model is packed into one 64-bit key, so that millions are compared and sorted as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["Change", "Changes", "Column", "Columns", "Keys", "Layout", "Mask"]

Keys = NDArray[np.uint64]
Column = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Change = Mapping[str, Column | int]
"""New values of the fields that an act changes."""
Changes = dict[str, Column | int]


class Columns:
    """One array for each field, over many states. A selection of rows is gathered field by field, when it is read."""

    def __init__(self, fields: Mapping[str, Column], rows: NDArray[np.signedinteger] | None = None) -> None:
        self._fields, self._rows = fields, rows
        self._gathered: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        if self._rows is None:
            return self._fields[name]
        if name not in self._gathered:
            self._gathered[name] = self._fields[name][self._rows]
        return self._gathered[name]

    def at(self, rows: NDArray[np.signedinteger]) -> Columns:
        """The same, of those rows only."""
        return Columns(self._fields, rows)


class Layout:
    """Names of fields and their widths in bits."""

    def __init__(self, widths: Iterable[tuple[str, int]]) -> None:
        self.shifts: dict[str, tuple[int, int]] = {}
        used = 0
        for name, bits in widths:
            self.shifts[name] = (used, bits)
            used += bits
        self.bits = used
        """Over 64 in worlds that are only walked, whose states are no keys."""

    def unpack(self, keys: Keys) -> Columns:
        return Columns({name: self.read(keys, name) for name in self.shifts})

    def read(self, keys: Keys, name: str) -> Column:
        shift, bits = self.shifts[name]
        return ((keys >> np.uint64(shift)) & np.uint64((1 << bits) - 1)).astype(np.uint8)

    def pack(self, values: Mapping[str, int]) -> int:
        return sum(value << self.shifts[name][0] for name, value in values.items())

    def mask(self, names: Iterable[str]) -> int:
        """The bits of some fields."""
        bits = 0
        for name in names:
            shift, width = self.shifts[name]
            bits |= ((1 << width) - 1) << shift
        return bits

    def change(self, keys: Keys, change: Change) -> Keys:
        """The keys with other values in some fields."""
        keys = keys & np.uint64(~self.mask(change) & (2**64 - 1))
        for name, value in change.items():
            shift = np.uint64(self.shifts[name][0])
            keys |= np.uint64(value) << shift if isinstance(value, int) else value.astype(np.uint64) << shift
        return keys

    def describe(self, key: int) -> dict[str, int]:
        return {name: key >> shift & ((1 << bits) - 1) for name, (shift, bits) in self.shifts.items()}
