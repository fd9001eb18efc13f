"""What the page calls: verifies a bundle against a trust file, and tells the result in the reader's language."""

from __future__ import annotations

import json
from itertools import groupby

from millmark.ledger.canonical import sha256
from millmark.ledger.errors import MillmarkError
from millmark.ledger.slots import load_layouts
from millmark.ledger.trust import parse_trust
from millmark.ledger.verify import Report, VerificationError, verify_bundle
from millmark.ledger.verify.report import WAITING, Worth, find_first, find_worth
from millmark.ledger.verify.statements import LANGUAGES, words_of

_DAY_S = 86_400


def prepare() -> None:
    """Reads from files what a check reads from them, so that checks need no files after it."""
    load_layouts()
    for language in LANGUAGES:
        words_of(language)
    check(b"", b"", 0, "en", 0, any_status=False)


def check(bundle: bytes, trust: bytes, now_s: int, language: str, max_age_days: int, *, any_status: bool) -> str:
    """JSON: `outcome` is `verified`, `refused` or `unusable`; then the reason, what of the part comes first, and what
    the bundle proves."""
    answer: dict[str, object] = {"trust_digest": sha256(trust).hex(), "bundle_digest": sha256(bundle).hex()}
    try:
        report = verify_bundle(
            bundle, parse_trust(trust), now_s=now_s, max_age_s=max_age_days * _DAY_S, any_status=any_status
        )
    except VerificationError as error:
        refused = error.exit_code == 1
        answer |= {
            "outcome": "refused" if refused else "unusable",
            "step": error.step.value,
            "name": error.step.name,
            "cause": str(error),
            **_told(getattr(error, "report", None), language, refused=refused),
        }
    except MillmarkError as error:
        answer |= {"outcome": "unusable", "step": 0, "cause": str(error), **_told(None, language)}
    else:
        # With `any_status` the last step was not tried: 11 tells the page so.
        answer |= {"outcome": "verified", "step": 11 if any_status else 12, **_told(report, language)}
    return json.dumps(answer)


def _told(report: Report | None, language: str, *, refused: bool = False) -> dict[str, object]:
    """What a reader is told: first, and then all. `worth`: a value of Worth, which gives the colour. `waits`: whether
    the certificate of a part is doubted, and nothing worse is so."""
    first = () if report is None else find_first(report.statements)
    words, worth = words_of(language), find_worth(first, refused=refused)
    return {
        "waits": worth is Worth.OPEN and any(one.code in WAITING for one in first),
        "first": [words.text(one) for one in first],
        "worth": worth.value,
        "sections": _sections(report, language),
    }


def _sections(report: Report | None, language: str) -> list[dict[str, object]]:
    """The report's statements by section, each as a line of text; `kind` says what a line is worth."""
    if report is None:
        return []
    words = words_of(language)
    return [
        {
            "section": section.value,
            "title": words.titles.get(section.value, ""),
            "lines": [{"code": one.code, "kind": one.kind.value, "text": words.text(one)} for one in statements],
        }
        for section, statements in groupby(report.statements, lambda one: one.section)
    ]
