"""How a gateway's JSON reads to people, and what people write becomes JSON. Imports nothing heavy, for help's sake."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from millmark.ledger.errors import ENUMERATIONS, InputError

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
    from millmark.ledger.verify.words.english import UNITS  # noqa: PLC0415 - brings the verifier, which help needs not

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


def agreed(quantity: int, unit: str) -> dict[str, Any]:
    """The members of terms about a quantity; none if none is agreed."""
    return {"quantity": quantity, "unit": unit} if quantity else {}


def configure_order(
    home: Path, name: str, options: Sequence[str], operations: int | None, claims: Mapping[str, Any] | None
) -> tuple[int, dict[str, Any]]:
    """The number of operations and the document of an order for a product.

    Raises SpecificationError, and InputError for claims or a number of operations that contradict the product.
    """
    from millmark.ledger.products import build_order_document, configure, parse_choices  # noqa: PLC0415 - help parses no product
    from millmark.services.products import Catalogue  # noqa: PLC0415 - as above

    product = Catalogue(home).find(name)
    made = configure(product, parse_choices(product, options))
    document = build_order_document(made)
    twice = sorted(document.keys() & (claims or {}).keys())
    if twice:
        raise InputError(f"the claims have the member {twice[0]}, which follows from the product", hint="leave it out")
    if operations not in (None, len(made.operations)):
        raise InputError(
            f"this {product.product} takes {len(made.operations)} operations, not {operations}",
            hint="leave --operations out",
        )
    return len(made.operations), {**document, **(claims or {})}


def reason_of(text: str) -> dict[str, Any]:
    return {"text": text}


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
    from millmark.services.files import read_bounded  # noqa: PLC0415 - help reads no file

    try:
        found = json.loads(read_bounded(path, _MAX_CLAIMS_BYTES))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{path} is not a JSON object", hint='write members such as {"colour": "blue"}')
    return found
