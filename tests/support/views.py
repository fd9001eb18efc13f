"""Languages and widths in pixels at which the browser tests tell a role's day.

Some in the suite; all four where `MILLMARK_TEST_VIEWS` is `all`, which `scripts/prove stories` sets.
"""

from __future__ import annotations

import os

__all__ = ["VIEWS", "View", "choose_views"]

View = tuple[str, int]
PHONE, DESK = 390, 1280


def choose_views(*usual: View) -> list[View]:
    """These, or all four, of which the first is English on a phone."""
    if os.environ.get("MILLMARK_TEST_VIEWS") == "all":
        return [(language, width) for language in ("en", "zh") for width in (PHONE, DESK)]
    return list(usual)


VIEWS = choose_views(("en", PHONE), ("zh", DESK))
