"""Renders templates: escaped by default, in the reader's language, without external resources."""

from __future__ import annotations

import base64
import enum
import gzip
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib import resources
from typing import Annotated, Any, Protocol, TypeAlias
from urllib.parse import quote, unquote, urlencode, urlsplit

from fastapi import Path, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from millmark.ledger.chain.council import CouncilGround
from millmark.ledger.errors import InputError, MillmarkError
from millmark.ledger.footprint import Source
from millmark.ledger.footprint.figures import kilograms, kilowatt_hours, percent
from millmark.ledger.ids.canonical import IdentifierGround
from millmark.ledger.phrases import Phrase
from millmark.ledger.plans import call, check, feasible
from millmark.ledger.products import name_in
from millmark.ledger.provenance import answers, footprints, listings, reader
from millmark.ledger.records import ALL_ROLES, Role
from millmark.ledger.store import Store
from millmark.ledger.verify import Section, Statement, Step
from millmark.ledger.verify.printable import printable, quoted
from millmark.ledger.verify.statements import LANGUAGES, Age, Model, NamedMachine, Span, Thing, Unit, Words, words_of
from millmark.ledger.verify.statements import Party as Proved
from millmark.services.access import Principal, Scope, errors, rules, signin
from millmark.services.directory.document import ConsortiumGround, Contact
from millmark.services.inspections.windows import HealthGround
from millmark.services.pictures.plot import Bar, draw_waterfall
from millmark.services.planning.calendar import EntryFault
from millmark.services.planning.errors import MakingStep, PlanningGround
from millmark.services.planning.feedback.causes import Sentence
from millmark.services.serving.requests import WholeNumber
from millmark.services.webhooks.http_post import WebhookGround

# Texts of the pages, one catalogue file per language, all with the same keys: catalogue/en.json, catalogue/zh.json


class Catalogue:
    """The texts of one language, and the words of statements. A missing key is a bug, and raises KeyError."""

    def __init__(self, language: str, texts: Mapping[str, str]) -> None:
        """Raises ImportError if the language has no words."""
        self.language, self._texts, self.words = language, texts, words_of(language)

    def say(self, key: str, **values: object) -> str:
        """The text under a key, with its placeholders replaced."""
        return self._texts[key].format(**values) if values else self._texts[key]

    def knows(self, key: str) -> bool:
        return key in self._texts

    def word(self, value: enum.Enum) -> str:
        """What statements tell of has one word on all pages."""
        return self._texts.get(f"{type(value).__name__}.{value.name}") or self.words.member(value)


def read_catalogues() -> dict[str, Catalogue]:
    """The catalogues by language. Raises FileNotFoundError or ImportError for a language
    that lacks texts or words: no page is made in it."""
    folder = resources.files("millmark.services.portal") / "catalogue"
    return {one: Catalogue(one, json.loads((folder / f"{one}.json").read_text("utf-8"))) for one in LANGUAGES}


def choose_language(accepted: str) -> str:
    """The preferred language in an Accept-Language header; English if it lists none that is available."""
    best, weight = "en", 0.0
    for item in accepted[:1000].split(","):
        tag, _, rest = item.strip().partition(";")
        primary = tag.strip().lower().partition("-")[0]
        if primary in LANGUAGES and _weight(rest) > weight:
            best, weight = primary, _weight(rest)
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


# Declares a page of the portal: its path, who may see it, and its menu entry.

ANYBODY = rules.Rule(rules.Without.CREDENTIAL, page=True)
CODE_HOLDERS = ANYBODY
"""Holders of a part's code. The salt in it is the credential (millmark.ledger.provenance.passports)."""
MEMBERS = rules.Rule(Scope.PROVENANCE, page=True)
OWNER = rules.Rule(Scope.STATUS, owner=True, page=True)

ADMINISTRATORS = rules.Rule(Scope.PEOPLE, owner=True, page=True)
Number = Annotated[WholeNumber, Path(ge=1, lt=2**40)]
"""The number of a record in a path. Others have the page of what does not exist."""


@dataclass(frozen=True, slots=True)
class PageRoute:
    """A page of the portal."""

    path: str
    endpoint: Callable[..., Any]
    rule: rules.Rule
    menu: str | None = None
    """Catalogue key of its menu entry; None for a page that is not in the menu."""
    method: str = "GET"
    folded: bool = False
    """Whether its menu entry is among those that the menu folds away."""
    used_by: Role = ALL_ROLES
    """Companies with other roles alone have little use for it: for them, its entry is folded away, too."""
    of_company: bool = False
    """Whether it does not exist where the gateway acts for no company, as the consortium operator's own."""
    live: bool = True
    """Whether the page follows records, for those who signed in. Not where it would change what somebody is about to
    confirm."""

    def is_folded_for(self, principal: Principal) -> bool:
        """Whether the menu folds its entry away. Who has no role in the registry may see everything at once."""
        return self.folded or bool(principal.roles and not principal.roles & self.used_by)

    @property
    def follows(self) -> bool:
        return self.live and self.method == "GET" and not self.rule.public


# CSRF protection: forms carry a token that is bound to the browser's cookie and session (OWASP).

_SANE = re.compile(r"[A-Za-z0-9_-]{43}")


class FormRefusedError(InputError):
    """A form was not sent from a page of this portal, or is too old."""

    code = "form-refused"


class Forms:
    """Issues and verifies tokens. `key` returns the key that all processes behind one URL share."""

    def __init__(self, key: Callable[[], bytes], origin: str) -> None:
        self._key = key
        self._secure = signin.is_secure(origin)
        self._form, self._session = signin.form_cookie(origin), signin.session_cookie(origin)

    def cookie_of(self, request: Request) -> str:
        """The browser's form cookie, or a new one if it has none."""
        kept = request.cookies.get(self._form, "")
        return kept if _SANE.fullmatch(kept) else secrets.token_urlsafe(32)

    def token(self, request: Request, cookie: str) -> str:
        """The token to put into the form."""
        text = f"{cookie}|{request.cookies.get(self._session, '')}"
        return hmac.new(self._key(), text.encode(), hashlib.sha256).hexdigest()

    def seed(self, request: Request, code: str) -> bytes:
        """32 bytes that only this browser's session can have made again by sending the form with this code."""
        text = f"once|{code}|{request.cookies.get(self._form, '')}|{request.cookies.get(self._session, '')}"
        return hmac.new(self._key(), text.encode(), hashlib.sha256).digest()

    def keep(self, answer: Response, request: Request, cookie: str) -> None:
        """Sets the cookie in the response, if the browser does not have it."""
        if request.cookies.get(self._form) != cookie:
            answer.set_cookie(self._form, cookie, secure=self._secure, httponly=True, samesite="strict")

    def verify(self, request: Request, token: str) -> None:
        """Verifies that a form is from a page of this portal, for this browser and session. Raises FormRefusedError."""
        cookie = request.cookies.get(self._form, "")
        fits = hmac.compare_digest(self.token(request, cookie).encode(), token.encode("utf-8", "replace"))
        if not cookie or not fits or _is_foreign(request):
            raise FormRefusedError(
                "the form was not sent from a page of this portal, or is too old", hint="load the form again"
            )


def _is_foreign(request: Request) -> bool:
    """Whether the browser reports another site as origin. It sends `null` if no referrer may be disclosed."""
    # Browsers that send neither header are judged by the token alone.
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = request.headers.get("origin", "null")
    return origin != "null" and urlsplit(origin).netloc != request.headers.get("host")


# Footprints in the portal's languages: the rows of a waterfall.


def build_waterfall(footprint: footprints.LotFootprint, catalogue: Catalogue) -> str:
    """The SVG of a lot's location-based emissions."""
    bars = [
        Bar(
            describe_contribution(one, catalogue),
            f"{kilograms(one.location_mg)} kg",
            one.location_mg,
            "metered" if one.source is Source.OPERATION else "stated",
        )
        for one in footprint.contributions
    ]
    total = f"{kilograms(footprint.location_mg)} kg"
    whole = Bar(catalogue.say("footprint.whole"), total, footprint.location_mg, "whole")
    return draw_waterfall([*bars, whole], catalogue.say("footprint.title"), catalogue.language)


def describe_contribution(one: footprints.ContributionOf, catalogue: Catalogue) -> str:
    """What it is of, and of which lot."""
    named = unquote(one.identifier.rpartition("/")[2]) if one.identifier else f"0x{one.lot.hex()[:8]}"
    return catalogue.say(f"footprint.{one.source.value}", what=one.what or "", lot=named)


# What this product wrote itself, in the reader's language: into records, entries and its database, and as the errors
# that say why something was not done.

GROUNDS: tuple[type[Phrase], ...] = (
    errors.Ground,
    feasible.PlanRefusal,
    feasible.PlanBreach,
    PlanningGround,
    EntryFault,
    call.OfferGround,
    reader.LookupGround,
    IdentifierGround,
    ConsortiumGround,
    CouncilGround,
    HealthGround,
    WebhookGround,
)
SENTENCES: tuple[type[Phrase], ...] = (Sentence, MakingStep, check.Unseen)
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


PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Vary": "Accept-Language, Cookie",
}
SCRIPTED = {
    "Content-Security-Policy": PAGE_HEADERS["Content-Security-Policy"] + "; script-src 'self'; connect-src 'self'",
    "Permissions-Policy": "publickey-credentials-get=(self), publickey-credentials-create=(self)",
}
"""Passkeys cannot be asked for without a script; these pages have a file of it."""
LIVE = {"Content-Security-Policy": SCRIPTED["Content-Security-Policy"]}
"""Pages for those who signed in follow the gateway's records with a file of script; they work without it."""
_LOCAL = "local.js"
"""Shows times in the reader's zone. All other pages allow this script alone, by its digest; they work without it."""
_LANGUAGE = "millmark-language"
_PAUSE_S, _LONG_PAUSE_S, _COSTLY = 2, 30, 5
"""Least seconds between two loads of a page that follows records; of one whose route costs so many tokens, more."""
_MAX_THINGS = 10
"""Most orders or lots named in one statement."""
_LEAST_PACKED = 1024
_YEAR_S = 365 * 86_400
_PATH = "/:%()!'*,;=@&$+~"
"""Characters that are not escaped in paths; `%` is among them because existing escapes are kept."""
_MAX_STATEMENTS = 50
"""Most statements of one section shown at once; the others are folded away."""
_MAX_SHOWN = 36
"""Most characters of an identifier shown in a list."""
_MEDIA = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Live:
    """What a page needs in order to follow records."""

    place: str
    """Position in the feed before the page's data were read."""
    pause_s: int
    """Least seconds between two loads."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """Whose pages these are."""

    name: str | None
    """None if the company's own book does not say."""
    contact: str | None
    """Where readers report a problem: a `mailto:` or `https:` address, or text; empty for none."""
    listed: Contact | None = None
    """Whom others reach at the company, as the directory says. Shown to everybody, also without a credential, unless
    `contact` is set."""


class Pages:
    """Templates, catalogues and assets. `secure`: whether callers reach the gateway over https. `build_menu` returns
    the menu entries for a caller, `find_folded` those that the menu folds away for it. `find_place` returns the
    position in the feed of records from which pages follow it; without it, none does."""

    def __init__(
        self,
        *,
        secure: bool,
        build_menu: Callable[[Principal], list[str]],
        publisher: Callable[[], Publisher] = lambda: Publisher(None, None),
        catalogues: Mapping[str, Catalogue] | None = None,
        find_folded: Callable[[Principal], frozenset[str]] = lambda _: frozenset(),
        find_place: Callable[[], str] | None = None,
    ) -> None:
        self._secure, self._build_menu, self._publisher = secure, build_menu, publisher
        self._find_folded, self._find_place = find_folded, find_place
        self._catalogues = catalogues or read_catalogues()
        self._environment = Environment(
            loader=PackageLoader("millmark.services.portal"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {"asset": self._asset_url, "integrity_of": self._digest_of}

    @cached_property
    def _assets(self) -> dict[str, bytes]:
        folder = resources.files("millmark.services.portal") / "assets"
        return {one.name: one.read_bytes() for one in folder.iterdir() if one.name.partition(".")[2] in _MEDIA}

    def catalogue(self, request: Request) -> Catalogue:
        """Chosen by the parameter `lang`, else by the cookie that an earlier choice set, else by Accept-Language."""
        for wanted in (request.query_params.get("lang", ""), request.cookies.get(_LANGUAGE, "")):
            if wanted in LANGUAGES:
                return self._catalogues[wanted]
        return self._catalogues[choose_language(request.headers.get("accept-language", ""))]

    def render(
        self,
        request: Request,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        forms: Forms | None = None,
        **values: Any,
    ) -> Response:
        """Renders a template. `forms` is needed if the page contains forms that change something."""
        catalogue = self.catalogue(request)
        principal = getattr(request.state, "principal", None)
        cookie = None if forms is None else forms.cookie_of(request)
        helpers = _helpers(catalogue)
        live = _find_live(request, status, headers)
        text = self._environment.get_template(template).render(
            **helpers,
            helpers=helpers,
            languages=[(one, name, _with_language(request, one)) for one, name in LANGUAGES.items()],
            path=request.url.path,
            principal=principal,
            publisher=self._publisher(),
            menu=[] if principal is None else self._build_menu(principal),
            folded=frozenset() if principal is None else self._find_folded(principal),
            live=live,
            token=forms.token(request, cookie) if forms and cookie else None,
            **values,
        )
        answer = HTMLResponse(
            text,
            status,
            {
                **PAGE_HEADERS,
                **(LIVE if live else self._still),
                "Content-Language": catalogue.language,
                **(headers or {}),
            },
        )
        # Only what has neither session nor form: beside a secret, what a stranger can have a page repeat must not be
        # packed, since the size would tell where they agree (BREACH).
        if forms is None and (principal is None or not principal.credential):
            pack(request, answer)
        if forms is not None and cookie is not None:
            forms.keep(answer, request, cookie)
        # Remembered only from pages that exist, not from error pages.
        chosen = request.query_params.get("lang", "")
        if chosen in LANGUAGES and status < 400:
            answer.set_cookie(_LANGUAGE, chosen, max_age=_YEAR_S, secure=self._secure, httponly=True, samesite="lax")
        return answer

    def prepare(self, request: Request, cost: int) -> None:
        """Lets a page follow records; `cost` is what its route takes in tokens. Call it before the page's data are
        read: otherwise a record that is indexed in between would never be shown."""
        principal: Principal | None = getattr(request.state, "principal", None)
        signed_in = principal is not None and (principal.participant is not None or principal.owner)
        if self._find_place is not None and signed_in:
            request.state.live = Live(self._find_place(), _LONG_PAUSE_S if cost >= _COSTLY else _PAUSE_S)

    def asset(self, request: Request, name: str, tag: str) -> Response | None:
        """An asset, cacheable without limit because its URL contains its digest. None if name or digest is unknown."""
        content = self._assets.get(name)
        if content is None or tag != _tag(content):
            return None
        headers = {"Cache-Control": f"public, max-age={_YEAR_S}, immutable", "ETag": f'"{tag}"'}
        if f'"{tag}"' in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        answer = Response(content, media_type=_MEDIA[name.partition(".")[2]], headers=headers)
        pack(request, answer)
        return answer

    def _asset_url(self, name: str) -> str:
        return f"/portal/assets/{_tag(self._assets[name])}/{name}"

    def _digest_of(self, name: str) -> str:
        """As policies and `integrity` write it. Browsers that know digests of inline scripts alone run none."""
        return f"sha256-{base64.b64encode(hashlib.sha256(self._assets[name]).digest()).decode()}"

    @cached_property
    def _still(self) -> dict[str, str]:
        """The headers of pages that follow nothing and ask for no passkey."""
        policy = PAGE_HEADERS["Content-Security-Policy"]
        return {"Content-Security-Policy": f"{policy}; script-src '{self._digest_of(_LOCAL)}'"}


def _find_live(request: Request, status: int, headers: Mapping[str, str] | None) -> Live | None:
    """None if the page does not follow records: what a form was answered with can only be had once, and pages with a
    policy of their own have another script."""
    if request.method != "GET" or status != 200 or "Content-Security-Policy" in (headers or {}):
        return None
    found: Live | None = getattr(request.state, "live", None)
    return found


def pack(request: Request, answer: Response) -> None:
    """Compresses an answer, if the browser takes that and it is worth it."""
    if "gzip" in request.headers.get("accept-encoding", "") and len(answer.body) > _LEAST_PACKED:
        answer.body = gzip.compress(answer.body, 6, mtime=0)
        answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Content-Length"] = str(len(answer.body))
    answer.headers["Vary"] = ", ".join(filter(None, (answer.headers.get("vary"), "Accept-Encoding")))


def _tag(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()[:12]).decode()


def _with_language(request: Request, language: str) -> str:
    """URL of this page in another language. The rest of the query is unchanged."""
    kept = [one for one in request.url.query.split("&") if one and not one.startswith("lang=")]
    return f"{quote(request.scope['raw_path'], safe=_PATH)}?{'&'.join([*kept, f'lang={language}'])}"


def _helpers(catalogue: Catalogue) -> dict[str, Any]:
    """Functions for templates. `statement` is for what a proof tells, `recorded` for what the index does."""
    words = catalogue.words
    return {
        "lang": catalogue.language,
        "say": catalogue.say,
        "knows": catalogue.knows,
        "word": catalogue.word,
        "unit": lambda code: words.units.get(code) or quoted(code),
        "by_model": lambda number: words.value(Model(number or 0)),
        "party": partial(_party, catalogue),
        "moment": partial(_moment, catalogue),
        "second": lambda second_s: _moment(catalogue, datetime.fromtimestamp(second_s, UTC) if second_s else None),
        "digest": show_digest,
        "data": show_data,
        "written": partial(say_written, catalogue),
        "ground": partial(say_error, catalogue),
        "failing": partial(say_failure, catalogue),
        "brief": _brief,
        "named": lambda names: name_in(names, catalogue.language),
        "called": partial(_brief, whole=True),
        "kilograms": kilograms,
        "kilowatt_hours": kilowatt_hours,
        "percent": percent,
        "contribution": partial(describe_contribution, catalogue=catalogue),
        "statement": partial(_statement, words),
        "recorded": partial(_statement, _without_trust_file(catalogue)),
        "most_statements": _MAX_STATEMENTS,
        "report_sections": tuple(Section),
        "steps": tuple(Step),
    }


def _without_trust_file(catalogue: Catalogue) -> Words:
    """The index's names of participants are from the company's own book."""
    phrases = {**catalogue.words.phrases, "participant": catalogue.say("participant.number")}
    return replace(catalogue.words, phrases=phrases)


def _party(catalogue: Catalogue, party: answers.Party | None) -> Markup:
    if party is None:
        return Markup("–")  # a constant
    if party.name is None:
        return escape(catalogue.say("participant.number", number=party.participant))
    return show_data(party.name)


def _moment(catalogue: Catalogue, time: datetime | None) -> Markup:
    return escape(catalogue.say("never")) if time is None else _time(time)


def _time(time: datetime) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(  # a constant; `format` escapes
        time.strftime("%Y-%m-%dT%H:%M:%SZ"), time.strftime("%Y-%m-%d %H:%M UTC")
    )


def _statement(words: Words, one: Statement) -> Markup:
    """A statement of the verifier, in words of the page's language."""
    # Escaped before the values go in: those are markup already, and must not be escaped twice.
    values = {name: _stated(words, name, value) for name, value in one.values.items()}
    return escape(words.templates[one.code]).format(**values)


def _stated(words: Words, name: str, value: object) -> Markup:
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, Thing):
        return show_digest(value.subject) if value.identifier is None else _brief(value.identifier)
    if isinstance(value, NamedMachine) and value.identifier is not None:
        return escape(words.phrases["machine"]).format(name=_brief(value.identifier))
    if isinstance(value, bytes):
        return show_digest(value)
    if isinstance(value, tuple) and value and isinstance(value[0], Thing):
        shown = escape(words.phrases["joiner"]).join(_stated(words, name, one) for one in value[:_MAX_THINGS])
        return shown if len(value) <= _MAX_THINGS else shown + escape(f" … ({len(value)})")
    text = escape(words.value(value))
    translated = isinstance(value, (enum.Enum, Age, Span, Unit)) or (isinstance(value, Proved) and value.name is None)
    return text if translated else show_data(text)


def _brief(identifier: str, *, whole: bool = False) -> Markup:
    """The last part of an identifier, shortened in its middle but for `whole`, in the heading of the thing's own page;
    the full identifier is in the tooltip."""
    text = unquote(identifier.rstrip("/").rpartition("/")[2].rpartition(":")[2]) or identifier
    shown = text if whole or len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN // 2]}…{text[-(_MAX_SHOWN // 2) :]}"
    return Markup('<span translate="no" title="{}">{}</span>').format(printable(identifier), printable(shown))


# Pages of lists: newest first, with a filter, and links to the pages before and after.

PAGE_ITEMS = 25
_OLDER, _NEWER = "older", "newer"


class CursorMaker(Protocol):
    """The part of millmark.services.gateway.http.routes.Pager that is used here; the portal does not import the
    gateway."""

    def seal(self, scope: str, key: tuple[int | str | bytes, ...]) -> str: ...
    def open(self, scope: str, cursor: str) -> tuple[int | str | bytes, ...]: ...


Filters: TypeAlias = "dict[str, int | bytes]"
Find: TypeAlias = "Callable[[int | None, int | None, Filters, bool], listings.Page[Any]]"
"""Finds a page of items for a viewer, after a number, that match the filters, newest first or not."""

Describe: TypeAlias = "Callable[[Sequence[Any]], dict[str, Any]]"
"""What else the template needs for the items."""


def find_in(query: Callable[..., listings.Page[Any]], store: Store, **only: int | bytes) -> Find:
    """Finds pages with a query of millmark.ledger.provenance.listings, of what has the values `only` as well."""

    def find(viewer: int | None, after: int | None, wanted: Filters, newest_first: bool) -> listings.Page[Any]:
        return query(store, viewer, after, PAGE_ITEMS, {**wanted, **only}, newest_first=newest_first)

    return find


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that readers choose from a list of values."""

    name: str
    """Name of the column, and of the parameter in the address."""
    values: tuple[enum.Enum, ...]

    def chosen(self, request: Request) -> enum.Enum | None:
        """Raises InputError for a value that there is not."""
        text = request.query_params.get(self.name, "")
        found = {one.name.lower(): one for one in self.values}
        if text and text not in found:
            raise InputError(f"{text[:40]!a} is not a value of {self.name}", hint=f"choose one of {', '.join(found)}")
        return found.get(text)


@dataclass(frozen=True, slots=True)
class Turn:
    """Addresses of other pages of a list; None where there are none."""

    first: str | None
    newer: str | None
    older: str | None


@dataclass(frozen=True, slots=True)
class Lists:
    """Shows pages of lists."""

    pages: Pages
    forms: Forms

    def show(
        self,
        request: Request,
        template: str,
        find: Find,
        by: Filter | None = None,
        describe: Describe = lambda _: {},
        *,
        kept: Mapping[str, str] | None = None,
        status: int = 200,
        **values: Any,
    ) -> Response:
        """The page of a list that the request's cursor names, or its first. `kept`: other parameters that the list
        depends on. Raises CursorError for a cursor of another list or caller, InputError for an unknown value of the
        filter."""
        principal, chosen = principal_of(request), None if by is None else by.chosen(request)
        kept = {name: value for name, value in (kept or {}).items() if value}
        kept |= {} if by is None or chosen is None else {by.name: chosen.name.lower()}
        place = _Place(request, kept)
        filters: Filters = {} if by is None or chosen is None else {by.name: int(chosen.value)}
        after, backwards = place.start
        found = find(principal.viewer, after, filters, not backwards)
        items = found.items[::-1] if backwards else found.items
        shown: dict[str, Any] = {
            "items": items,
            "turn": place.turn(found),
            "filter": by,
            "chosen": chosen,
        }
        return self.pages.render(request, template, status, forms=self.forms, **shown, **describe(items), **values)


class _Place:
    """The place in a list at which a page begins, and the links from there. A cursor holds a number, and whether the
    page is of older or of newer items than that."""

    def __init__(self, request: Request, kept: Mapping[str, str]) -> None:
        self._path, self._kept = request.url.path, kept
        self._pager: CursorMaker = request.app.state.pager
        listed = f"{self._path} {principal_of(request).participant} {urlencode(sorted(kept.items()))}"
        self._scope = hashlib.sha256(listed.encode()).hexdigest()
        cursor = request.query_params.get("cursor", "")
        key = self._pager.open(self._scope, cursor) if cursor else (0, _OLDER)
        self.start: tuple[int | None, bool] = (int(key[0]) if cursor else None, key[1] == _NEWER)
        """The number after which it begins, and whether it is read backwards, towards the newer."""

    def turn(self, found: listings.Page[Any]) -> Turn:
        start, backwards = self.start
        if not backwards:
            newer = None if start is None or found.first is None else self._link(found.first, _NEWER)
            older = None if found.after is None else self._link(found.after, _OLDER)
            return Turn(None if start is None else self._first(), newer, older)
        # Backwards the items come oldest first, and the list continues towards the newer.
        newer = None if found.after is None else self._link(found.after, _NEWER)
        older = self._first() if found.first is None else self._link(found.first, _OLDER)
        return Turn(self._first(), newer, older)

    def _first(self) -> str:
        return f"{self._path}?{urlencode(self._kept)}" if self._kept else self._path

    def _link(self, number: int, where: str) -> str:
        return f"{self._path}?{urlencode({**self._kept, 'cursor': self._pager.seal(self._scope, (number, where))})}"


def principal_of(request: Request) -> Principal:
    found: Principal = request.state.principal
    return found
