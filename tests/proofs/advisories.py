"""Asks for known vulnerabilities of every locked package: `python -m tests.proofs.advisories`.

pip-audit asks PyPI, or OSV with `-s osv` (arguments go to it); npm asks its registry. Exit code 1 if there are any,
3 if a database was not reached or does not know a package: then nothing is said about it, which is not "none".
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["judge_npm", "judge_pip", "main"]

ROOT = Path(__file__).parents[2]
_LOCKS = ("dev", "lowest", "halmos", "supply")
_PACKAGES = ("contracts", "services/check", "tests/browser")
_LIMIT_S = 900
_NONE, _FOUND, _UNKNOWN = 0, 1, 3


def judge_pip(output: str) -> tuple[int, str]:
    """The exit code, and the line for a person, of what `pip-audit --format json` printed."""
    try:
        packages: list[dict[str, Any]] = list(json.loads(output)["dependencies"])
    except (ValueError, KeyError, TypeError):
        return _UNKNOWN, "the database was not reached"
    found = [f"{one['name']} {one['version']}: {bad['id']}" for one in packages for bad in one.get("vulns", ())]
    unknown = sum("skip_reason" in one for one in packages)
    if found:
        return _FOUND, "; ".join(found)
    if unknown:
        return _UNKNOWN, f"{unknown} of {len(packages)} packages are not in the database"
    return _NONE, f"none in {len(packages)} packages"


def judge_npm(output: str) -> tuple[int, str]:
    """The same of what `npm audit --json` printed."""
    try:
        found: dict[str, Any] = json.loads(output)["vulnerabilities"]
    except (ValueError, KeyError, TypeError):
        return _UNKNOWN, "the database was not reached"
    return (_FOUND, "; ".join(sorted(found))) if found else (_NONE, "none")


def main(arguments: Sequence[str]) -> int:
    """Prints a line for each lock."""
    codes = []
    for lock in _LOCKS:
        command = [str(ROOT / ".venv-supply/bin/pip-audit"), "--format", "json", "--no-deps", "--disable-pip"]
        command += ["--require-hashes", "--requirement", f"scripts/requirements-{lock}.lock", *arguments]
        codes.append(_tell(f"requirements-{lock}.lock", *judge_pip(_ask(command, ROOT))))
    for folder in _PACKAGES:
        output = _ask(["npm", "audit", "--json", "--package-lock-only"], ROOT / folder)
        codes.append(_tell(f"{folder}/package-lock.json", *judge_npm(output)))
    # A vulnerability matters more than a database that was not reached.
    return _FOUND if _FOUND in codes else max(codes)


def _ask(command: Sequence[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=_LIMIT_S).stdout


def _tell(name: str, code: int, line: str) -> int:
    sys.stdout.write(f"{name}: {line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
