"""Languages and widths in pixels at which the browser tests tell a role's day.

Two of the four in the suite; the other two where `MILLMARK_TEST_VIEWS` is `other`, which `scripts/prove stories` sets.
"""

from __future__ import annotations

import os

__all__ = ["VIEWS", "View", "choose_views", "name_view"]

View = tuple[str, int]
PHONE, DESK = 390, 1280


def choose_views(*usual: View) -> list[View]:
    """These, or all others."""
    if os.environ.get("MILLMARK_TEST_VIEWS") != "other":
        return list(usual)
    return [(language, width) for language in ("en", "zh") for width in (PHONE, DESK) if (language, width) not in usual]


def name_view(view: View) -> str:
    """The name of a test's parameter, such as `zh-1280`."""
    return f"{view[0]}-{view[1]}"


VIEWS = choose_views(("en", PHONE), ("zh", DESK))
