"""What this product wrote itself, in the reader's language: into records, entries and its database, and as the errors
that say why something was not done."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from markupsafe import Markup, escape

from millmark.ledger.chain.council import CouncilGround
from millmark.ledger.errors import MillmarkError
from millmark.ledger.ids.grounds import IdentifierGround
from millmark.ledger.phrases import Phrase
from millmark.ledger.plans.breaches import PlanBreach, PlanRefusal
from millmark.ledger.plans.check import Unseen
from millmark.ledger.plans.grounds import OfferGround
from millmark.ledger.provenance.reader import LookupGround
from millmark.ledger.verify.statements import printable
from millmark.services.access.grounds import Ground
from millmark.services.directory.grounds import ConsortiumGround
from millmark.services.inspections.grounds import HealthGround
from millmark.services.planning.entries import EntryFault
from millmark.services.planning.feedback.sentences import Sentence
from millmark.services.planning.grounds import PlanningGround
from millmark.services.planning.steps import MakingStep
from millmark.services.portal.language import Catalogue
from millmark.services.webhooks.grounds import WebhookGround

__all__ = ["GROUNDS", "SENTENCES", "say_error", "say_failure", "say_written", "show_data", "show_digest"]

GROUNDS: tuple[type[Phrase], ...] = (
    Ground,
    PlanRefusal,
    PlanBreach,
    PlanningGround,
    EntryFault,
    OfferGround,
    LookupGround,
    IdentifierGround,
    ConsortiumGround,
    CouncilGround,
    HealthGround,
    WebhookGround,
)
SENTENCES: tuple[type[Phrase], ...] = (Sentence, MakingStep, Unseen)
"""Grounds are `ground.NAME` in the catalogue, sentences `written.NAME`: of either no two have one name."""
_BEGINNINGS: Mapping[str, str] = {
    "kind": "plan.cause.",
    "state": "OrderState.",
    "field": "planner.field.",
    "what": "directory.field.",
}
"""By a value's name, how the keys begin under which the catalogue has words for it."""
_REFUSAL = re.compile(r"([A-Z]\w+)\(.*\)", re.DOTALL)
"""A contract's refusal: the error's name in Solidity, and its values."""
_DIGEST = re.compile("0x[0-9a-f]{64}")
_ENGLISH = Markup('<span lang="en" translate="no">{}</span>')  # a constant; `format` escapes


def say_written(catalogue: Catalogue, text: str) -> Markup:
    """A text in the page's language, if it is one of the product's sentences; any other as somebody wrote it."""
    said = _say(catalogue, text, SENTENCES)
    return show_data(text) if said is None else said


def say_error(catalogue: Catalogue, error: MillmarkError | str) -> Markup:
    """An error in the page's language, or the words of one, with what to do about it. If it is none of the grounds: its
    own words, which are English, after what the catalogue says of its kind."""
    # The hint is for commands and the API; the catalogue has what helps on a page.
    causes = (error.cause,) if isinstance(error, MillmarkError) else (error, error.partition("; ")[0])
    for cause in causes:
        said = _say(catalogue, cause, [*GROUNDS, *SENTENCES])
        if said is not None:
            return said
    refusal = _REFUSAL.match(causes[-1])
    if refusal is not None and catalogue.knows(f"refusal.{refusal[1]}"):
        return escape(catalogue.say(f"refusal.{refusal[1]}"))
    english = _ENGLISH.format(str(error))
    if isinstance(error, str):
        return english
    kinds = (f"problem.{one.code}" for one in type(error).__mro__ if issubclass(one, MillmarkError))
    kind = next((one for one in kinds if catalogue.knows(one)), "")
    return escape(catalogue.say(kind)) + " " + english if kind else english


def say_failure(catalogue: Catalogue, code: str, where: str = "") -> Markup:
    """What does not work, and what to do about it, by its code. `where`: the part of the process."""
    key = f"failure.{code}"
    found = catalogue.say(key if catalogue.knows(key) else "failure")
    return escape(found).format(where=show_data(where or code))


def show_data(text: object) -> Markup:
    """Text that must not be translated: names, identifiers, values. What strangers wrote can neither hide nor move."""
    shown = text if isinstance(text, Markup) else printable(str(text))
    return Markup('<span translate="no">{}</span>').format(shown)  # a constant; `format` escapes


def show_digest(value: bytes | None) -> Markup:
    """Shortened; the full value is in the tooltip."""
    if value is None:
        return Markup("–")  # a constant
    text = "0x" + value.hex()
    return Markup('<code translate="no" title="{}">{}…{}</code>').format(text, text[:10], text[-6:])


def _say(catalogue: Catalogue, text: str, kinds: Iterable[type[Phrase]]) -> Markup | None:
    for kind in kinds:
        found = kind.find(text)
        if found is not None:
            phrase, values = found
            if "why" in values and all(one.find(values["why"]) is None for one in GROUNDS):
                continue  # a sentence of others that begins alike
            key = f"{'ground' if kind in GROUNDS else 'written'}.{phrase.name.lower()}"
            shown = {name: _show(catalogue, name, value) for name, value in values.items()}
            return escape(catalogue.say(key)).format(**shown)
    return None


def _show(catalogue: Catalogue, name: str, value: str) -> Markup:
    key = _BEGINNINGS.get(name, "") + (value.upper().replace(" ", "_") if name == "state" else value)
    if name in _BEGINNINGS and catalogue.knows(key):
        return escape(catalogue.say(key))
    match name:
        case "error" | "why" | "difference":
            return say_error(catalogue, value)
        case "reasons":
            return escape(catalogue.say("semicolon")).join(say_error(catalogue, one) for one in value.split("; "))
        case "cause":
            return say_written(catalogue, value)
        case "file":
            return show_data(f"{value}.toml")
        case "words":
            return _ENGLISH.format(value)
        case "count":
            return escape(value.replace("no", "0"))
    if _DIGEST.fullmatch(value):
        return show_digest(bytes.fromhex(value[2:]))
    return escape(value) if value.isdecimal() else show_data(value)
