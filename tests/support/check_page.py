"""The page that verifies in a browser: packed as gateways serve it, and run under Node."""

from __future__ import annotations

import argparse
import base64
import functools
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import pytest

from millmark.ledger.bundle import parse_bundle
from millmark.ledger.trust import parse_trust
from millmark.ledger.verify import Step, VerificationError, verify_bundle
from millmark.services.check.build import build_folder, folder_digest, unpack_files
from tests.proofs.forgeries import forge
from tests.proofs.forging import MAX_AGE_S, Forged
from tests.support.bundle_content import Content, read_content
from tests.support.patience import MAX_S

__all__ = ["Checker", "build_page", "compare_forgeries", "run_checker", "unpack_page"]

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "services" / "check" / "node_modules"
"""What the packed files come from, if npm is here."""
RUN = Path(__file__).parent / "pyodide" / "run.mjs"


def build_page(folder: Path, *, memory: bool | None = None) -> str:
    """The page in a folder, built once in each process; by default with its memory where Node is installed. Returns its
    digest. Skips where the memory is asked for, and Node is not installed."""
    has_node = shutil.which("node") is not None
    if memory and not has_node:
        pytest.skip("node is not installed")
    shutil.copytree(Path(_built(has_node if memory is None else memory).name) / "page", folder)
    return folder_digest(folder)


@functools.cache
def _built(memory: bool) -> TemporaryDirectory[str]:
    folder = TemporaryDirectory()  # deleted when the process ends
    build_folder(Path(folder.name) / "page", memory=memory)
    return folder


def unpack_page(page: Path, folder: Path) -> Path:
    """The page's folder as Node needs it. Node starts it from its memory, if it has one."""
    files = {path.relative_to(page).as_posix(): path.read_bytes() for path in page.rglob("*") if path.is_file()}
    unpack_files(files, folder)
    return folder


class Checker:
    """The page's verifier in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.slow: str | None = json.loads(process.stdout.readline())["slow"]
        """Why Python had to start from its sources; None where it started from the memory that was kept."""

    def check(self, bundle: bytes, trust: bytes, now_s: int, **options: Any) -> dict[str, Any]:
        """What the page answers."""
        given = {"bundle": _text(bundle), "trust": _text(trust), "now": now_s, **options}
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(given) + "\n")
        stdin.flush()
        answer: dict[str, Any] = json.loads(stdout.readline())
        return answer


@contextmanager
def run_checker(unpacked: Path) -> Iterator[Checker]:
    """Runs the verifier of an unpacked page under Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    command = [node, str(RUN), str(unpacked), "check"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Checker(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(MAX_S)


def compare_forgeries(
    checker: Checker,
    content: Content,
    per_step: int,
    seed: int,
    steps: Iterable[Step] = Step,
    shows: TextIO | None = None,
) -> tuple[int, list[str]]:
    """Has forged bundles judged by the verifier and by the page, and writes a line for each step to `shows`, for runs
    of an hour. Returns their number, and the differences."""
    differing: list[str] = []
    tried = 0
    for step in steps:
        rng, before = Random(f"{seed} page {step.name}"), len(differing)  # noqa: S311  # to be had again, not secret
        for _ in range(per_step):
            generator, forged = forge(content, step, rng)
            expected, found = _judge(forged), _ask(checker, forged)
            if found != expected or found[0] is not step:
                differing.append(f"{step.name}, {generator.__name__}: page {found}, command line {expected}")
        tried += per_step
        if shows is not None:
            shows.write(f"{step.name}: {per_step} tried, {len(differing) - before} differing\n")
            shows.flush()
    return tried, differing


def _judge(forged: Forged) -> tuple[Step | None, str | None]:
    try:
        verify_bundle(forged.data, forged.trust, now_s=forged.now_s, max_age_s=MAX_AGE_S)
    except VerificationError as error:
        return error.step, str(error)
    return None, None


def _ask(checker: Checker, forged: Forged) -> tuple[Step | None, str | None]:
    answer = checker.check(forged.data, forged.trust.to_bytes(), forged.now_s, days=MAX_AGE_S // 86_400)
    if answer["outcome"] == "verified":
        return None, None
    return Step(answer["step"]), answer["cause"]


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def main(arguments: list[str] | None = None) -> int:
    """Has forgeries of the vector's bundle judged by both, and prints the result. Returns 0 if nothing differs."""
    parser = argparse.ArgumentParser(description="Compare the page's verifier with the command line's on forgeries.")
    parser.add_argument("--per-step", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--step", choices=[step.name for step in Step], action="append", help="this step alone")
    given, vectors = parser.parse_args(arguments), ROOT / "tests" / "vectors" / "bundle"
    trust = parse_trust((vectors / "trust.json").read_bytes())
    content = read_content(parse_bundle((vectors / "part.bundle").read_bytes()), trust)
    began = time.monotonic()
    with TemporaryDirectory() as folder:
        digest = build_page(Path(folder) / "page")
        with run_checker(unpack_page(Path(folder) / "page", Path(folder) / "unpacked")) as checker:
            steps = [Step[name] for name in given.step] if given.step else Step
            tried, differing = compare_forgeries(checker, content, given.per_step, given.seed, steps, sys.stderr)
    found = {"page": digest, "tried": tried, "differing": len(differing), "examples": differing[:10]}
    sys.stdout.write(json.dumps({**found, "seconds": round(time.monotonic() - began, 1)}, indent=2) + "\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
