"""How a gateway's JSON reads to people, what people write becomes JSON, and what arguments several commands share."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from millmark.ledger.errors import ENUMERATIONS, InputError
from millmark.ledger.verify.words.en import UNITS
from millmark.services.acts.act import ASSIGNMENT, LOT, ORDER, REASON
from millmark.services.files import read_bounded

OrderName = Annotated[str, typer.Argument(metavar="ORDER", help=ORDER.help)]
LotName = Annotated[str, typer.Argument(metavar="LOT", help=LOT.help)]
AssignmentNumber = Annotated[int, typer.Argument(metavar="ASSIGNMENT", min=1, help=ASSIGNMENT.help)]
ProductName = Annotated[
    str, typer.Argument(metavar="PRODUCT", help="Its name in `millmark products list`, or the file of one.")
]
Options = Annotated[
    list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="An option of the product, once each.")
]
Reason = Annotated[str, typer.Option(help=REASON.help)]
InState = Annotated[str | None, typer.Option("--state", help="Only those in this state, of any state.")]
OfCompany = Annotated[str | None, typer.Option(help="Only those of this company: name or number.")]
OfOrder = Annotated[str | None, typer.Option("--order", help="Only those of this order.")]


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MAX_CLAIMS_BYTES = 1 << 20


def short(identifier: str) -> str:
    """The last part of an identifier."""
    return re.split(r"[/:]", identifier)[-1] or identifier


def name_of(item: Mapping[str, Any]) -> str:
    """The short name of a thing; its number or subject where no name is known."""
    identifier = item.get("identifier")
    if identifier:
        return short(str(identifier))
    return str(item.get("machine") or item.get("subject"))


def order_of(assignment: Mapping[str, Any]) -> str:
    """The short name of an assignment's order; its subject where no name is known."""
    return short(assignment["identifier"]) if assignment["identifier"] else str(assignment["order"])


def party(company: Mapping[str, Any] | None) -> str:
    if company is None:
        return "-"
    return str(company["name"] or f"participant {company['participant']}")


def operation(item: Mapping[str, Any]) -> int:
    """People count operations from 1; contracts and JSON from 0."""
    return int(item["operation"]) + 1


def state(item: Mapping[str, Any]) -> str:
    """The state of a thing, in the word that the pages have for it, too."""
    word = str(item["state"])
    # A lot's states have names of their own.
    return _worded("LotState", word) if "custodian" in item else word.replace("_", " ")


def status(certificate: Mapping[str, Any]) -> str:
    """Whether a certificate counts, in the word that the pages have for it, too."""
    return _worded("CertificateStatus", str(certificate["status"]))


def _worded(kind: str, name: str) -> str:
    return ENUMERATIONS.get(f"{kind}.{name.upper()}", name.replace("_", " "))


def quantity_of(item: Mapping[str, Any]) -> str:
    """A quantity in the unit's common symbol, as the pages show it."""
    return f"{item['quantity']} {UNITS.get(str(item['unit']), item['unit'])}"


def state_word(text: str | None) -> Any:
    """A state as the API writes it, from its name there or from the word that is shown for it."""
    if text is None:
        return None
    folded = text.strip().lower()
    shown = {word: name for name, word in ENUMERATIONS.items() if name.startswith("LotState.")}
    name = shown.get(folded, folded).removeprefix("LotState.").lower()
    return name.replace("-", "_").replace(" ", "_")


def when(moment: str | None) -> str:
    return "-" if moment is None else moment[:16].replace("T", " ")


def day_or_time(text: str) -> str:
    """A day as its beginning in UTC; anything else unchanged, for the gateway to judge."""
    return f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text


def quantities(pairs: Sequence[str], option: str) -> list[tuple[str, int]]:
    """Reads NAME=QUANTITY; without a quantity it is 1. Raises InputError."""
    found = []
    for pair in pairs:
        name, sign, quantity = pair.rpartition("=")
        if sign and not (quantity.isascii() and quantity.isdecimal()):
            raise InputError(
                f"{option} {pair[:80]}: {quantity[:20]!r} is not a whole number", hint="write NAME=QUANTITY"
            )
        found.append((name, int(quantity)) if sign else (quantity, 1))
    return found


def read_claims(path: Path | None) -> dict[str, Any] | None:
    """A JSON object from a file. Raises InputError."""
    if path is None:
        return None

    try:
        found = json.loads(read_bounded(path, _MAX_CLAIMS_BYTES))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{path} is not a JSON object", hint='write members such as {"colour": "blue"}')
    return found
