"""Runs a peer of a bench in the Python of its own environment."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from quality.errors import InputError

__all__ = ["run_peer"]

_LIMIT_S: Final = 1800


def run_peer(name: str, python: Path, *arguments: str | Path) -> str:
    """Return what the peer printed. Raises InputError if it fails, or has not ended after half an hour."""
    try:
        done = subprocess.run([python, *arguments], check=False, capture_output=True, text=True, timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        message = f"{name} has not ended after {_LIMIT_S // 60} minutes"
        raise InputError(message, hint="run it while the machine does nothing else") from None
    if done.returncode:
        raise InputError(f"{name} failed: {done.stderr.strip().splitlines()[-1:]}", hint=f"see {name}")
    return done.stdout
