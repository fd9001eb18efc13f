"""The README's transcript, command by command, against the gateway that the demonstration leaves behind."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
_MOST_S = 60.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a small demonstration leaves; its report is in demo.json."""
    folder = tmp_path_factory.mktemp("scan")
    random = np.random.default_rng(7)
    rows = np.column_stack([np.array([-1, 1] * 20), random.normal(size=(40, 500))])
    np.savetxt(folder / "windows.tsv", rows, delimiter="\t", fmt=["%d", *["%.6f"] * 500])
    options = [f"--out={folder}", f"--data={folder / 'windows.tsv'}", f"--json={folder / 'demo.json'}"]
    command = [sys.executable, "-m", "services.cli", "demo", "--orders=3", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / "demo.json").read_text())
    assert report["code"] in done.stdout
    assert "▀" in done.stdout, "the code itself is shown"
    return folder


@pytest.fixture(scope="module")
def link(home: Path) -> Iterator[str]:
    """The demonstration's link, at a gateway that runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "MILLMARK_GATEWAY_PORT": str(port)}
    command = [sys.executable, "-m", "services.cli", "--home", str(home), "gateway"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait(f"http://127.0.0.1:{port}/health")
            report = json.loads((home / "demo.json").read_text())
            yield report["code"].replace(":8600/", f":{port}/")
        finally:
            process.terminate()


def wait(address: str) -> None:
    end = time.monotonic() + _MOST_S
    while True:
        try:
            with urlopen(address):  # noqa: S310  # our own gateway
                return
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.1)


def transcript() -> list[tuple[str, str]]:
    """Commands, and what each prints; `...` stands for anything in a line."""
    text = README.split("<!-- scan -->")[1].split("<!-- /scan -->")[0].strip().strip("`").strip()
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def test_the_transcript_is_what_happens(link: str, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "LINK": link, "PATH": path, "PYTHONPATH": str(ROOT)}
    steps = transcript()
    assert len(steps) >= 7
    for command, expected in steps:
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=120, cwd=tmp_path, env=environment
        )
        pattern = ".*".join(map(re.escape, expected.strip().split("...")))
        assert re.fullmatch(pattern, done.stdout.strip()), (command, done.stdout, done.stderr)


def test_the_gateway_says_that_its_proof_was_kept(link: str) -> None:
    with urlopen(link) as answer:  # noqa: S310  # our own gateway
        page = answer.read().decode()
    assert "This gateway keeps the file below" in page
    assert "CELL-" in page, "machines are called by their names"


def test_a_part_without_a_kept_proof_says_so(link: str, home: Path) -> None:
    """Another part of the same home, by the code that the command makes from the book."""
    report = json.loads((home / "demo.json").read_text())
    traced = report["trace"]["lot"]["identifier"]
    other = next(
        name for name in (traced.replace(traced[-5:], f"A000{number}") for number in (1, 2, 3)) if name != traced
    )
    port = re.findall(r":(\d+)/", link)[0]
    command = [sys.executable, "-m", "services.cli", "--home", str(home), "digital-link", other, "--code"]
    environment = {**os.environ, "MILLMARK_GATEWAY_PORT": port}
    done = subprocess.run(
        [*command, f"--qr={home / 'code.svg'}"], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == 0, done.stderr
    code = json.loads(done.stdout)["code"]
    assert (home / "code.svg").read_text().startswith("<svg")
    with urlopen(code) as answer:  # noqa: S310  # our own gateway
        page = answer.read().decode()
    assert "No proof can be shown now" in page
    assert "millmark bundle" in page


def test_a_code_of_what_is_not_in_the_book_is_not_made(home: Path) -> None:
    name = "https://id.gs1.org/01/09506000013459/21/NONE"
    command = [sys.executable, "-m", "services.cli", "--home", str(home), "digital-link", name, "--code"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "not in the private book" in done.stderr
