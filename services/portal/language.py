"""Texts of the pages, one catalogue file per language, all with the same keys:

catalogue/en.json, catalogue/zh.json
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from importlib import resources

__all__ = ["Catalogue", "Language", "choose_language", "read_catalogues"]


class Language(enum.StrEnum):
    """BCP 47 tags, as used in the lang attribute."""

    EN = "en"
    ZH = "zh"


class Catalogue:
    """The texts of one language. A missing key is a bug, and raises KeyError."""

    def __init__(self, language: Language, words: Mapping[str, str]) -> None:
        self.language, self._words = language, words

    def say(self, key: str, **values: object) -> str:
        """The text under a key, with its placeholders replaced."""
        return self._words[key].format(**values) if values else self._words[key]

    def knows(self, key: str) -> bool:
        return key in self._words


def read_catalogues() -> dict[Language, Catalogue]:
    return {one: Catalogue(one, _read(f"{one}.json")) for one in Language}


def _read(name: str) -> dict[str, str]:
    words: dict[str, str] = json.loads(
        (resources.files("millmark.services.portal") / "catalogue" / name).read_text(encoding="utf-8")
    )
    return words


def choose_language(accepted: str) -> Language:
    """The preferred language in an Accept-Language header; English if it lists none that is available."""
    best, weight = Language.EN, 0.0
    for item in accepted[:1000].split(","):
        tag, _, rest = item.strip().partition(";")
        primary = tag.strip().lower().partition("-")[0]
        if primary in tuple(Language) and _weight(rest) > weight:
            best, weight = Language(primary), _weight(rest)
    return best


def _weight(text: str) -> float:
    """The weight in `q=0.8`: 1 if absent, 0 if it is not a number; limited to 0 to 1."""
    name, _, value = text.strip().partition("=")
    if not name:
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0) if name.strip() == "q" else 0.0
    except ValueError:
        return 0.0
