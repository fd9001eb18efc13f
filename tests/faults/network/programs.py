"""The node program that a network of the lab, or of the tests, runs."""

from __future__ import annotations

import os
from pathlib import Path

from millmark.services.network import NodeProgram, find_program, identify_program
from millmark.services.network.peers import NodeProgramError

__all__ = ["PROGRAM_VARIABLE", "describe_missing", "lab_program"]

PROGRAM_VARIABLE = "MILLMARK_TEST_NODE"
"""Environment variable with the path of a node program, of any kind that is known here."""
_BUILT = Path(__file__).parents[3] / ".geth"


def lab_program() -> NodeProgram:
    """The program that the environment names; otherwise the geth that scripts/test built, or one on the PATH. Raises
    NodeProgramError."""
    named = os.environ.get(PROGRAM_VARIABLE)
    if named:
        return identify_program(Path(named))
    built = sorted(_BUILT.glob("*/geth"))
    return identify_program(built[-1]) if built else find_program()


def describe_missing() -> str | None:
    """Why no network can run on this machine, or None. Raises NodeProgramError if a program was named and cannot be
    used."""
    if os.environ.get(PROGRAM_VARIABLE):
        lab_program()
        return None
    try:
        lab_program()
    except NodeProgramError:
        return f"no node program: scripts/test builds geth where Go is installed; or {PROGRAM_VARIABLE} names one"
    return None
