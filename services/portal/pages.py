"""Renders templates: escaped by default, in the reader's language, without external resources."""

from __future__ import annotations

import base64
import enum
import gzip
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib import resources
from typing import Any
from urllib.parse import quote, unquote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from millmark.ledger.footprint.figures import kilograms, kilowatt_hours, percent
from millmark.ledger.products import name_in
from millmark.ledger.provenance.answers import Party
from millmark.ledger.verify import Section, Statement, Step
from millmark.ledger.verify.statements import (
    Age,
    Model,
    NamedMachine,
    Span,
    Thing,
    Unit,
    Words,
    printable,
    quoted,
    words_of,
)
from millmark.ledger.verify.statements import Party as Proved
from millmark.services.access import Principal
from millmark.services.directory.contact import Contact
from millmark.services.portal.footprints import describe_contribution
from millmark.services.portal.forms import Forms
from millmark.services.portal.language import Catalogue, Language, choose_language, read_catalogues
from millmark.services.portal.written import say_error, say_failure, say_written, show_data, show_digest

__all__ = ["PAGE_HEADERS", "SCRIPTED", "Pages", "Speaker"]

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
class Speaker:
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
        speaker: Callable[[], Speaker] = lambda: Speaker(None, None),
        catalogues: Mapping[Language, Catalogue] | None = None,
        find_folded: Callable[[Principal], frozenset[str]] = lambda _: frozenset(),
        find_place: Callable[[], str] | None = None,
    ) -> None:
        self._secure, self._build_menu, self._speaker = secure, build_menu, speaker
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
        for wanted in (request.query_params.get("lang"), request.cookies.get(_LANGUAGE)):
            if wanted in tuple(Language):
                return self._catalogues[Language(wanted)]
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
            languages=[(one.value, _with_language(request, one)) for one in Language],
            path=request.url.path,
            principal=principal,
            speaker=self._speaker(),
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
                "Content-Language": catalogue.language.value,
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
        chosen = request.query_params.get("lang")
        if chosen in tuple(Language) and status < 400:
            answer.set_cookie(_LANGUAGE, chosen, max_age=_YEAR_S, secure=self._secure, httponly=True, samesite="lax")
        return answer

    def prepare(self, request: Request, cost: int) -> None:
        """Has the page of a route that costs so many tokens follow records. Call it before the page's data are read: a
        record that is indexed meanwhile would never be shown otherwise."""
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


def _with_language(request: Request, language: Language) -> str:
    """URL of this page in another language. The rest of the query is unchanged."""
    kept = [one for one in request.url.query.split("&") if one and not one.startswith("lang=")]
    return f"{quote(request.scope['raw_path'], safe=_PATH)}?{'&'.join([*kept, f'lang={language}'])}"


def _helpers(catalogue: Catalogue) -> dict[str, Any]:
    """Functions for templates. `statement` is for what a proof tells, `recorded` for what the index does."""
    words = words_of(catalogue.language.value)
    return {
        "lang": catalogue.language.value,
        "say": catalogue.say,
        "knows": catalogue.knows,
        "word": partial(_word, words, catalogue),
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
        "named": lambda names: name_in(names, catalogue.language.value),
        "called": _called,
        "kilograms": kilograms,
        "kilowatt_hours": kilowatt_hours,
        "percent": percent,
        "contribution": partial(describe_contribution, catalogue=catalogue),
        "statement": partial(_statement, words),
        "recorded": partial(_statement, _without_trust_file(words, catalogue)),
        "most_statements": _MAX_STATEMENTS,
        "report_sections": tuple(Section),
        "steps": tuple(Step),
    }


def _word(words: Words, catalogue: Catalogue, value: enum.Enum) -> str:
    """What statements tell of has one word on all pages."""
    key = f"{type(value).__name__}.{value.name}"
    return catalogue.say(key) if catalogue.knows(key) else words.member(value)


def _without_trust_file(words: Words, catalogue: Catalogue) -> Words:
    """The index's names of participants are from the company's own book."""
    return replace(words, phrases={**words.phrases, "participant": catalogue.say("participant.number")})


def _party(catalogue: Catalogue, party: Party | None) -> Markup:
    if party is None:
        return Markup("–")  # a constant
    if party.name is None:
        return escape(catalogue.say("participant.number", number=party.participant))
    return show_data(party.name)


def _moment(catalogue: Catalogue, time: datetime | None) -> Markup:
    if time is None:
        return escape(catalogue.say("never"))
    return _time(time)


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


def _brief(identifier: str) -> Markup:
    """The last part of an identifier, shortened in its middle; the full identifier is in the tooltip."""
    text = _end(identifier)
    shown = text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN // 2]}…{text[-(_MAX_SHOWN // 2) :]}"
    return Markup('<span translate="no" title="{}">{}</span>').format(printable(identifier), printable(shown))


def _called(identifier: str) -> Markup:
    """As `_brief`, but not shortened, for the heading of the thing's own page."""
    return Markup('<span translate="no" title="{}">{}</span>').format(
        printable(identifier), printable(_end(identifier))
    )


def _end(identifier: str) -> str:
    return unquote(identifier.rstrip("/").rpartition("/")[2].rpartition(":")[2]) or identifier
