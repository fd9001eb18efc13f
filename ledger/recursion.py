"""Libraries that raise the interpreter's recursion limit as they are imported, and what is done about it."""

from __future__ import annotations

import sys

__all__ = ["bound_recursion"]

_LIMIT = 1000


def bound_recursion() -> None:
    """Brings the limit back to Python's own, to be called after such an import.

    py-evm and py_ecc, and with them web3 and the keystores, raise it a hundredfold, for contracts that call each other
    1024 deep; with that, a hundred kilobytes of "[" end any process that reads JSON with a segmentation fault. Our
    contracts call five deep.
    """
    sys.setrecursionlimit(min(sys.getrecursionlimit(), _LIMIT))
