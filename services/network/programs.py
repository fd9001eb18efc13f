"""Node programs on this machine: found, and asked what they are. A name tells nothing: `geth` may be go-ethereum of any
version, or GoQuorum."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from millmark.services.network.errors import NodeProgramError
from millmark.services.network.kinds import KINDS, Kind, find_kind

__all__ = ["NodeProgram", "find_program", "identify_program", "parse_program"]

_ANSWER_S = 180.0
"""A Java program takes seconds to print its version, and much longer on a busy machine: Besu took 69 s where it had a
twentieth of a core."""
_QUESTIONS = ("--version", "version")
"""Besu knows the first alone, and needs a whole start of its virtual machine to refuse the second. The geth family
answers or refuses the first at once, without naming the fork."""
_LAST_CLIQUE = (1, 13)
_HINT = "name the executable of Besu, of geth 1.13.15 or older, of GoQuorum or of electroneum-sc"


@dataclass(frozen=True, slots=True)
class NodeProgram:
    """An executable, and what it says it is."""

    kind: Kind
    path: Path
    version: str


def find_program(kind: Kind | None = None) -> NodeProgram:
    """The first program on the PATH of that kind, or of any. Raises NodeProgramError if there is none."""
    for command in dict.fromkeys(name for known in (kind and [kind]) or KINDS.values() for name in known.commands):
        path = shutil.which(command)
        if path is None:
            continue
        program = identify_program(Path(path))
        if kind is None or program.kind == kind:
            return program
    what = "node program" if kind is None else kind.name
    raise NodeProgramError(f"there is no {what} on the PATH", hint="name the executable with --program")


def _ask(path: Path, argument: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "JAVA_HOME")}
    try:
        answer = subprocess.run(
            [path.absolute(), argument], capture_output=True, stdin=subprocess.DEVNULL, timeout=_ANSWER_S,
            env=environment, check=False, text=True, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NodeProgramError(f"{path} does not tell its version in {_ANSWER_S:.0f} s", hint=_HINT) from None
    except OSError as error:
        raise NodeProgramError(f"{path} cannot be run: {error.strerror}", hint=_HINT) from None
    return answer.stdout[:10_000]


def identify_program(path: Path, ask: Callable[[Path, str], str] | None = None) -> NodeProgram:
    """Asks an executable what it is. Raises NodeProgramError if it is not a node program that can be used here."""
    for argument in _QUESTIONS:
        if (program := parse_program(path, (ask or _ask)(path, argument))) is not None:
            return program
    raise NodeProgramError(f"{path} is not a node program that is known here", hint=_HINT)


def parse_program(path: Path, text: str) -> NodeProgram | None:
    """The program that printed `text` when asked for its version; None if it is not known. Raises NodeProgramError for
    a geth without Clique."""
    found = _parse_version(text)
    if found is None:
        return None
    kind, version = found
    if kind.name == "geth" and _numbers(version) > _LAST_CLIQUE:
        raise NodeProgramError(
            f"{path} is geth {version}, which has no Clique any more", hint="geth 1.13.15 is the last with it"
        )
    return NodeProgram(kind, path.resolve(), version)


def _parse_version(text: str) -> tuple[Kind, str] | None:
    if besu := re.match(r"besu/v?([0-9][\w.+-]*)", text.strip()):
        return find_kind("besu"), besu[1]
    if quorum := re.search(r"^Quorum Version: *(\S+)", text, re.MULTILINE):
        return find_kind("goquorum"), quorum[1]
    version = re.search(r"^Version: *(\S+)", text, re.MULTILINE)
    name = text.strip().partition("\n")[0].lower()
    if version is None or name not in ("geth", "etn-sc"):
        return None
    return find_kind("geth" if name == "geth" else "electroneum-sc"), version[1].removesuffix("-stable")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
