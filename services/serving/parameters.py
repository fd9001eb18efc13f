"""Types of parameters in paths and queries."""

from __future__ import annotations

import re
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
