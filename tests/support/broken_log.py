"""Standard error as it is when nobody can write to it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["dead_standard_error", "full_standard_error", "standard_error"]


@contextmanager
def standard_error(descriptor: int) -> Iterator[None]:
    """Makes `descriptor` the standard error of Python, unbuffered below as the real one."""
    before = sys.stderr
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False)), line_buffering=True)
    try:
        yield
    finally:
        sys.stderr = before


@contextmanager
def dead_standard_error() -> Iterator[None]:
    """A pipe whose reader has ended: EPIPE."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with standard_error(writer):
            yield
    finally:
        os.close(writer)


@contextmanager
def full_standard_error() -> Iterator[None]:
    """A file on a full disk: a real ENOSPC of the kernel."""
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with standard_error(full):
            yield
    finally:
        os.close(full)
