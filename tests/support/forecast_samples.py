"""Orders of one product over weeks, to be forecast, and what came afterwards."""

from __future__ import annotations

from datetime import date, timedelta

from millmark.ledger.products import Product
from millmark.ledger.store.rows import ChainIdentityRow
from millmark.services.planning.forecast.document import WEEK_S, Cut, ForecastDocument, History, Ordered, begin_s
from millmark.services.products.loading import Catalogue

__all__ = ["IDENTITY", "KETTLE", "MONDAY", "cut", "grown", "sample"]

MONDAY = date(2026, 1, 5)
IDENTITY = ChainIdentityRow(1, 77, bytes(32), bytes(20), b"\7" * 20, bytes(32))
KETTLE = Catalogue().find("appliance")


def cut(weeks: int, block: int = 1_000_000) -> Cut:
    """In the middle of a week so many weeks after the first."""
    return Cut(block, b"\5" * 32, begin_s(MONDAY) + weeks * WEEK_S + 3 * 86_400)


def sample(weeks: int = 40, each: int = 6, product: Product | None = KETTLE) -> History:
    """A history of one product whose buyers mostly take white."""
    found = History(cut(weeks), products={} if product is None else {product.product: product})
    for week in range(weeks):
        for number in range(each + week % 2):
            colour = ("white", "white", "white", "red", "graphite")[number % 5]
            options = {"colour": colour, "size": "1.7-l" if number % 2 else "1.0-l"}
            subject = f"{week}-{number}".encode().rjust(32, b"\0")
            found.orders.append(
                Ordered(subject, MONDAY + timedelta(weeks=week), "appliance", "H87", 2, options, {"moulding": 4})
            )
    return found


def grown(made: ForecastDocument, quantities: list[int]) -> History:
    """The sample, and what came in the weeks of the forecast."""
    later = sample()
    later.cut = cut(40 + len(quantities))
    for week, quantity in enumerate(quantities):
        monday = MONDAY + timedelta(weeks=40 + week)
        subject = f"later-{week}".encode().rjust(32, b"\0")
        later.orders.append(Ordered(subject, monday, "appliance", "H87", quantity, {"colour": "red"}, {}))
    return later
