"""How the values of a contract's error are shown to people."""

from __future__ import annotations

import enum

__all__ = ["show_value"]


def show_value(name: str, value: object) -> str:
    """The value of an error's argument in words."""
    # People count operations from 1; the contracts, and `values`, from 0.
    return str(value + 1) if name == "operation" and isinstance(value, int) else _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, enum.Enum):
        return value.name.lower().replace("_", " ")
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
