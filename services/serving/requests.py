"""What a request may ask for: numbers in digits, and expensive work only as much at a time as the server bears."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

_DIGITS = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)


def _read_digits(value: object) -> object:
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise PydanticCustomError("int_parsing", "Input should be a whole number, in digits")
    return value


WholeNumber = Annotated[int, BeforeValidator(_read_digits)]
"""A number in a URL. pydantic alone also takes " 3 ", "+3", "03", "3.0" and, for ten, "1_0", so that one thing would
have many addresses, which the OpenAPI document does not allow."""


# Limits concurrent expensive work. Waiting callers each hold a server thread, so the queue is short and further
# callers are refused at once.


class BoundedWork:
    """Lets `at_once` callers work at a time and `waiting` more wait. Thread-safe."""

    def __init__(self, *, at_once: int, waiting: int) -> None:
        self._admitted = threading.BoundedSemaphore(at_once + waiting)
        self._working = threading.BoundedSemaphore(at_once)

    @contextmanager
    def take(self) -> Iterator[bool]:
        """Yields True once the caller may work, or False immediately if too many callers are waiting."""
        if not self._admitted.acquire(blocking=False):
            yield False
            return
        try:
            with self._working:
                yield True
        finally:
            self._admitted.release()
