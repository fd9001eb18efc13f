"""The guides' commands as printed: "Your own network", from an empty folder to a part that its buyer proves alone, and
"A plan over two companies' machines", to a machine that fails."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.figures import Tell
from tests.support.guide_shell import File, Shell, agrees, read_document, read_transcript
from tests.support.ports import pick_port

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
