"""Types of arguments and options that several business commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_NAMED = "identifier, its last part, or subject"
_PRIVATE = "It stays in the private book; its salted hash goes on chain."
OrderName = Annotated[str, typer.Argument(metavar="ORDER", help=f"The order: {_NAMED}.")]
LotName = Annotated[str, typer.Argument(metavar="LOT", help=f"The lot: {_NAMED}.")]
LotNames = Annotated[list[str], typer.Argument(metavar="LOT...", help=f"The lots, each: {_NAMED}.")]
NewName = Annotated[str, typer.Argument(metavar="IDENTIFIER", help="Its identifier: a GS1 Digital Link, URN or DID.")]
AssignmentNumber = Annotated[
    int, typer.Argument(metavar="ASSIGNMENT", min=1, help="Its number: `millmark assignments list`.")
]
Operation = Annotated[int, typer.Option(min=1, help="The operation of the order, from 1.")]
ProductName = Annotated[
    str, typer.Argument(metavar="PRODUCT", help="Its name in `millmark products list`, or the file of one.")
]
Options = Annotated[
    list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="An option of the product, once each.")
]
Quantity = Annotated[int, typer.Option(min=1, help="Whole number of units.")]
Unit = Annotated[str, typer.Option(help="UN/ECE code of the unit: H87 piece, KGM kilogram, MTR metre.")]
Claims = Annotated[Path | None, typer.Option(help=f"JSON file with what is claimed. {_PRIVATE}")]
Reason = Annotated[str, typer.Option(help=f"Why. {_PRIVATE}")]
Company = Annotated[str, typer.Option(help="Its name or number.")]
Accepting = Annotated[bool, typer.Option("--accept", help="Agree to what the other side proposed last.")]
InState = Annotated[str | None, typer.Option("--state", help="Only those in this state, of any state.")]
OfCompany = Annotated[str | None, typer.Option(help="Only those of this company: name or number.")]
OfOrder = Annotated[str | None, typer.Option("--order", help="Only those of this order.")]
