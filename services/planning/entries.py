"""Reads a TOML file into a model, and says in this product's own words which entry is wrong and how: pydantic and
tomllib have theirs, which no page could say in the reader's language."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from millmark.ledger.phrases import Phrase
from millmark.services.planning.errors import CalendarError
from millmark.services.planning.grounds import PlanningGround

M = TypeVar("M", bound=BaseModel)
_PLACE = re.compile(r"\(at line ([0-9]+), column ([0-9]+)\)$")


class EntryFault(Phrase):
    """What is wrong with an entry. `words` are those of pydantic."""

    ENTRY_MISSING = "it is missing"
    ENTRY_UNKNOWN = "there is no such entry"
    NO_TEXT = "it is not a text"
    NO_WHOLE_NUMBER = "it is not a whole number"
    NO_NAME = "it is neither a whole number nor a text"
    NO_SWITCH = "it is neither true nor false"
    NO_LIST = "it is not a list"
    NO_TABLE = "it is not a table"
    NO_DAY = "it is not a day such as 2026-05-04"
    NO_TIME_OF_DAY = "it is not a time of day from 00:00 to 23:59"
    TOO_SMALL = "it is less than {ge:d}"
    TOO_GREAT = "it is more than {le:d}"
    TOO_FEW = "it has fewer than {min_length:d} items"
    TOO_SHORT = "it has fewer than {min_length:d} characters"
    TOO_LONG = "it has more than {max_length:d} characters"
    NO_SUCH_CHOICE = "it is not one of {expected}"
    NO_ZONE = "there is no time zone {zone} (one is Europe/Berlin)"
    ENTRY_UNFIT = "it cannot be used: {words}"


_FAULTS: Mapping[str, EntryFault] = {
    "missing": EntryFault.ENTRY_MISSING,
    "extra_forbidden": EntryFault.ENTRY_UNKNOWN,
    "string_type": EntryFault.NO_TEXT,
    "int_type": EntryFault.NO_WHOLE_NUMBER,
    "bool_type": EntryFault.NO_SWITCH,
    "list_type": EntryFault.NO_LIST,
    "dict_type": EntryFault.NO_TABLE,
    "model_type": EntryFault.NO_TABLE,
    "model_attributes_type": EntryFault.NO_TABLE,
    "date_type": EntryFault.NO_DAY,
    "string_pattern_mismatch": EntryFault.NO_TIME_OF_DAY,  # the only text that has a form
    "greater_than_equal": EntryFault.TOO_SMALL,
    "less_than_equal": EntryFault.TOO_GREAT,
    "too_short": EntryFault.TOO_FEW,
    "string_too_short": EntryFault.TOO_SHORT,
    "string_too_long": EntryFault.TOO_LONG,
    "literal_error": EntryFault.NO_SUCH_CHOICE,
    "no_zone": EntryFault.NO_ZONE,
}
"""By pydantic's types of errors."""


def parse_entries(data: bytes, model: type[M], file: str) -> M:
    """`file`: its name without `.toml`. Raises CalendarError, which names the entry or the line to correct."""
    try:
        return model.model_validate(tomllib.loads(data.decode()))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place, why = _describe(first)
        cause = PlanningGround.FILE_ENTRY.write(file=file, place=place, why=why)
        raise CalendarError(cause, hint="see CALLS.md for what it may have") from None
    except UnicodeDecodeError:
        raise CalendarError(PlanningGround.FILE_NO_TEXT.write(file=file), hint="correct the file") from None
    except tomllib.TOMLDecodeError as error:
        raise CalendarError(_unreadable(file, str(error)), hint="correct the file") from None


def _describe(error: ErrorDetails) -> tuple[str, str]:
    """Which entry it is, and what is wrong with it."""
    place, fault = list(map(str, error["loc"])), _FAULTS.get(error["type"], EntryFault.ENTRY_UNFIT)
    if place[-1:] == ["int"] and fault is EntryFault.NO_WHOLE_NUMBER:  # the first of two types that it may have
        place, fault = place[:-1], EntryFault.NO_NAME
    values = {"words": error["msg"], **error.get("ctx", {})}
    if "expected" in values:
        values["expected"] = values["expected"].replace(" or ", ", ")
    return ".".join(place), fault.write(**values)


def _unreadable(file: str, words: str) -> str:
    found = _PLACE.search(words)
    if found is None:
        return PlanningGround.FILE_END_UNREADABLE.write(file=file, words=words)
    line, column = map(int, found.groups())
    return PlanningGround.FILE_UNREADABLE.write(
        file=file, line=line, column=column, words=words[: found.start()].rstrip()
    )
