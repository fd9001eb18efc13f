"""Restores the interpreter's recursion limit, which some libraries raise on import."""

from __future__ import annotations

import sys

_LIMIT = 1000


def bound_recursion() -> None:
    """Reset the limit to Python's default; call it after such an import.

    py-evm and py_ecc, and hence web3 and eth_keyfile, multiply it by a hundred, for contracts that call each other 1024
    levels deep. With such a limit, a hundred kilobytes of "[" crash any process that parses JSON with a segmentation
    fault. Our contracts call five levels deep.
    """
    sys.setrecursionlimit(min(sys.getrecursionlimit(), _LIMIT))
