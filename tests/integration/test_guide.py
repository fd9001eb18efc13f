"""The guides' commands as printed: "Your own network", from an empty folder to a part that its buyer proves alone, and
"A plan over two companies' machines", to a machine that fails."""

from __future__ import annotations

import functools
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from millmark.ledger.chain import HttpTransport, Node
from millmark.ledger.keys import create_keystore
from millmark.services.cli import main
from millmark.services.commands import home as home_commands
from millmark.services.commands.plan.planner import Planner
from tests.support.figures import Tell
from tests.support.patience import MAX_S
from tests.support.ports import pick_port

CHAIN_PORT = 8545
_PAUSE_S = 0.2
_NOT_YET = re.compile(r"is called \S+ here|is not known here|is offered to nobody")
"""What a command says of something that another company recorded a moment ago; the document says so."""
_READS = re.compile(r" (list|show|status|offers)( |$)")
"""Commands that record nothing, and may be asked again."""
_PRELOADED = (
    "millmark.services.commands.gateway",
    "millmark.services.gateway",
    "millmark.services.serving.server",
    "millmark.services.commands.chain",
)


@dataclass(frozen=True, slots=True)
class File:
    """A file that a document shows: its block begins with its kind and its name."""

    name: str
    text: str


def read_document(text: str) -> list[File | tuple[str, str]]:
    """The files and commands of a document's blocks, in their order; commands with the output that is shown."""
    parts: list[File | tuple[str, str]] = []
    for head, body in re.findall(r"^```(console|(?:json|toml) \S+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        if head == "console":
            parts += read_transcript(f"```console\n{body}```\n")
        else:
            parts.append(File(head.partition(" ")[2], body))
    return parts


def read_transcript(text: str) -> list[tuple[str, str]]:
    """The commands in a document's blocks, each with the output that is shown."""
    steps = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
        assert not parts[0].strip(), parts[0]
        steps += [(command.strip(), output) for command, _, output in (part.partition("\n") for part in parts[1:])]
    return steps


def agrees(expected: str, printed: str) -> bool:
    """Whether it was printed: `...` in a line stands for anything in it, and alone in a line for any lines."""
    lines = [line.rstrip() for line in expected.strip().splitlines()]
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "..." else ".*".join(map(re.escape, line.split("..."))) + r"[^\S\n]*\n"
        for line in lines
    )
    return re.fullmatch(pattern, printed.strip() + "\n" if printed.strip() else "") is not None


@dataclass
class Shell:
    """A shell in a folder, with jobs. Ports are replaced by free ones, and back in what is printed.

    `millmark` is forked off one process that has imported it: seventy starts would take a minute of processor.
    """

    folder: Path
    ports: Mapping[int, int]
    jobs: list[tuple[BaseProcess, Path]] = field(default_factory=list)
    ahead_s: int = 0
    """How much later it is for commands than for this machine: `sleep` does not wait."""

    def run(self, command: str, expected: str) -> str:
        """Returns what a command printed, once it printed what is expected; or what it printed last."""
        end = time.monotonic() + MAX_S
        if command.startswith("echo "):
            return subprocess.run(
                ["bash", "-c", command], capture_output=True, text=True, check=True, cwd=self.folder
            ).stdout
        if command.startswith("sleep "):
            self.sleep(int(command.split()[1]))
            return ""
        if command.startswith("kill "):
            self.stop([int(one) for one in re.findall(r"%(\d+)", command)])
            return ""
        if command.endswith(" &"):
            process, output = self._start(command.removesuffix(" &"))
            self.jobs.append((process, output))
            while not agrees(expected, self._read(output)) and process.is_alive() and time.monotonic() < end:
                time.sleep(_PAUSE_S)
            return self._read(output) + ("" if process.is_alive() else f"(ended with {process.exitcode})\n")
        while True:
            process, output = self._start(command)
            process.join(MAX_S)
            printed = self._read(output)
            if agrees(expected, printed) or not (_NOT_YET.search(printed) or _READS.search(command)):
                return printed
            if time.monotonic() > end:
                return printed
            time.sleep(_PAUSE_S)

    def sleep(self, seconds: int) -> None:
        """It is later for the chain and for the commands to come, but not for the gateways that run."""
        Node(HttpTransport(f"http://127.0.0.1:{self.ports[CHAIN_PORT]}")).wait(seconds)
        self.ahead_s += seconds

    @staticmethod
    def processor_s() -> float:
        """Seconds of processor of the commands that ended, of all shells of this process."""
        server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
        fields = Path(f"/proc/{server}/stat").read_text().rpartition(") ")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def stop(self, numbers: Sequence[int] = ()) -> None:
        """Ends these jobs, which count from 1 as in a shell; all without numbers."""
        ended = [self.jobs[number - 1][0] for number in numbers] or [process for process, _ in reversed(self.jobs)]
        for process in ended:
            if process.is_alive():
                os.kill(process.pid or 0, signal.SIGINT)
        for process in ended:
            process.join(MAX_S)
            assert not process.is_alive()

    def _start(self, command: str) -> tuple[BaseProcess, Path]:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*_PRELOADED, __name__])
        output = self.folder.parent / f"output-{len(list(self.folder.parent.glob('output-*')))}"
        output.touch()
        typed, _, log = self._ported(command).partition(" 2> ")
        errors = self.folder / log if log else output
        given = self._words(typed), self.folder, output, errors, self.ahead_s
        process = context.Process(target=_run, args=given, daemon=True)
        process.start()
        return process, output

    def _words(self, command: str) -> list[str]:
        """As the shell takes a command apart, with its patterns replaced by names of files."""
        split = ["bash", "-c", f'printf "%s\\0" {command}']
        return subprocess.run(split, capture_output=True, text=True, check=True, cwd=self.folder).stdout.split("\0")[
            :-1
        ]

    def _ported(self, text: str) -> str:
        return _replace(text, self.ports)

    def _read(self, output: Path) -> str:
        return _replace(output.read_text(), {new: old for old, new in self.ports.items()})


def _replace(text: str, ports: Mapping[int, int]) -> str:
    return re.sub(r"\b\d{4,5}\b", lambda found: str(ports.get(int(found[0]), found[0])), text)


def _run(arguments: Sequence[str], folder: Path, output: Path, errors: Path, ahead_s: int) -> None:
    """In the forked process: the command, with an empty HOME and none of the settings of who runs the tests."""
    # A key that takes a second to open protects nothing here.
    home_commands.create_keystore = functools.partial(create_keystore, scrypt_cost=2)  # type: ignore[attr-defined]
    if ahead_s:
        Planner.now_s = lambda self: int(time.time()) + ahead_s  # type: ignore[method-assign]  # noqa: ARG005
    for name in [name for name in os.environ if name.startswith("MILLMARK_")]:
        del os.environ[name]
    os.environ["HOME"] = str(folder)
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, path in ((1, output), (2, errors)):
        with path.open("ab") as file:
            os.dup2(file.fileno(), number)
    assert arguments[0] == "millmark", arguments
    sys.argv = list(arguments)
    main()


pytestmark = pytest.mark.integration

GUIDE = (Path(__file__).parents[2] / "services" / "home" / "GUIDE.md").read_text()
STEPS = read_transcript(GUIDE)
PLANNING = (Path(__file__).parents[2] / "services" / "planning" / "GUIDE.md").read_text()
PORTS = (8545, *range(8600, 8608))
"""Of the chain, the operator and the companies, as the guides have them."""
EACH_SEES_EACH = "participants list"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    folder = tmp_path / "empty"
    folder.mkdir()
    shell = Shell(folder, {port: pick_port() for port in PORTS})
    try:
        yield shell
    finally:
        shell.stop()


def test_the_guide_is_what_happens(shell: Shell, tell: Tell) -> None:
    began = time.monotonic()
    for command, expected in STEPS:
        printed = shell.run(command, expected)
        assert agrees(expected, printed), f"$ {command}\n{printed}"
    took = time.monotonic() - began
    shell.stop()
    tell(f"guide: {len(STEPS)} commands in {took:.0f} s, {shell.processor_s():.0f} s of processor")


def test_the_guide_to_planning_is_what_happens(shell: Shell, tell: Tell) -> None:
    pytest.importorskip("ortools")
    steps = read_document(PLANNING)
    for step in steps:
        if isinstance(step, File):
            (shell.folder / step.name).write_text(step.text)
            continue
        command, expected = step
        printed = shell.run(command, expected)
        assert agrees(expected, printed), f"$ {command}\n{printed}"
    shell.stop()
    tell(f"guide to planning: {len(steps)} steps, {shell.processor_s():.0f} s of processor, of all guides")


def test_it_takes_seven_steps_and_few_commands() -> None:
    assert re.findall(r"^## (\d)\. ", GUIDE, re.MULTILINE) == list("1234567")
    commands = [command for command, _ in STEPS]
    assert {command.split()[0] for command in commands} == {"millmark", "echo", "kill"}
    names = next(place for place, command in enumerate(commands) if EACH_SEES_EACH in command)
    acts = [command for command in commands[:names] if not command.endswith("status")]
    assert len(acts) == 18
    assert [sum(f" {word} " in f"{command} " for command in acts) for word in ("init", "join", "gateway")] == [1, 7, 8]


def test_a_transcript_is_read_and_compared_line_by_line() -> None:
    shown = "```console\n$ a\nb ... d\n...\nf\n$ g\n```\n"
    assert read_transcript(shown) == [("a", "b ... d\n...\nf\n"), ("g", "")]
    expected = read_transcript(shown)[0][1]
    assert agrees(expected, "b c d\nf\n")
    assert agrees(expected, "b c d  \n1\n2\nf")
    assert not agrees(expected, "b c\nd\nf")
    assert not agrees(expected, "b c d\nf\ng")
    assert not agrees("", "x")
    assert agrees("", "")
