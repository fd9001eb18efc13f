"""What executables say they are: their real answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from millmark.services.network import NodeProgramError, find_kind, find_program
from millmark.services.network.processes import identify_program, parse_program

_GETH = "Geth\nVersion: 1.13.15-stable\nArchitecture: amd64\nGo Version: go1.26.8\nOperating System: linux\n"
_QUORUM = "Geth\nVersion: 1.10.3-stable\nQuorum Version: 24.4.1\nArchitecture: amd64\nNetwork Id: 1337\n"
_ELECTRONEUM = "Etn-Sc\nVersion: Aurelius-6.0.0-stable\nArchitecture: amd64\n"
_BESU = "besu/v26.2.0/linux-x86_64/openjdk-java-21\n"
_ANSWERS = {
    "besu": {"--version": _BESU, "version": ""},  # it starts a virtual machine for each
    "geth": {"--version": "geth version 1.13.15-stable\n", "version": _GETH},
    "electroneum-sc": {
        "--version": "Incorrect Usage. flag provided but not defined: -version\n",
        "version": _ELECTRONEUM,
    },
}


@pytest.mark.parametrize(
    ("text", "kind", "version"),
    [
        (_GETH, "geth", "1.13.15"),
        (_QUORUM, "goquorum", "24.4.1"),  # its executable is called geth as well
        (_ELECTRONEUM, "electroneum-sc", "Aurelius-6.0.0"),
        (_BESU, "besu", "26.2.0"),
    ],
)
def test_a_program_is_what_it_says(text: str, kind: str, version: str) -> None:
    program = parse_program(Path("/opt/node"), text)
    assert program is not None
    assert (program.kind.name, program.version, program.path) == (kind, version, Path("/opt/node"))


@pytest.mark.parametrize(("kind", "asked"), [("besu", 1), ("geth", 2), ("electroneum-sc", 2)])
def test_a_program_is_asked_until_it_says_what_it_is(kind: str, asked: int) -> None:
    questions: list[str] = []

    def answer(_: Path, question: str) -> str:
        questions.append(question)
        return _ANSWERS[kind][question]

    assert identify_program(Path("/opt/node"), answer).kind.name == kind
    assert len(questions) == asked


@pytest.mark.parametrize("text", ["", "Geth\n", "Version: 1.13.15\n", "curl 8.5.0\n", "reth\nVersion: 1.0.0\n"])
def test_other_programs_are_not_known(text: str) -> None:
    assert parse_program(Path("/opt/node"), text) is None


def test_a_geth_without_clique_is_refused() -> None:
    with pytest.raises(NodeProgramError, match=r"geth 1\.14\.12, which has no Clique"):
        parse_program(Path("/opt/geth"), _GETH.replace("1.13.15", "1.14.12"))


def test_a_path_without_node_programs_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodeProgramError, match="no besu on the PATH; name the executable with --program"):
        find_program(find_kind("besu"))
