"""The routes behind the code on a part: resolver, passport, proof, printable label."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

from fastapi import Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import RedirectResponse, Response

from millmark.ledger import provenance
from millmark.ledger.bundle import InferenceShown, parse_bundle
from millmark.ledger.canonical import Json
from millmark.ledger.errors import IdentifierError, MillmarkError, NotFoundError
from millmark.ledger.footprint import PATH
from millmark.ledger.headers import parse_header
from millmark.ledger.ids import DigitalLink, parse_digital_link
from millmark.ledger.provenance.answers import Certificate
from millmark.ledger.provenance.footprints import LotFootprint
from millmark.ledger.store import Store
from millmark.ledger.store.rows import CertificateRow, ModelRow
from millmark.ledger.verify import Section, Statement
from millmark.ledger.verify.report import STOPPING, VERDICTS, WAITING, Worth, find_recalls, find_waits, find_worth
from millmark.ledger.verify.statements import LANGUAGES, Party, Thing
from millmark.quality import errors, inference
from millmark.services.access.rules import PUBLIC
from millmark.services.inspections.windows import Models, score_of
from millmark.services.interop.contexts import published
from millmark.services.interop.digital_link import build_part_link, build_qr_svg, read_salt
from millmark.services.pictures.genealogy import build_family, draw_genealogy
from millmark.services.pictures.plot import draw_window
from millmark.services.portal import charts, check_page
from millmark.services.portal.pages import CODE_HOLDERS, Catalogue, PageRoute, Pages, build_waterfall
from millmark.services.portal.proofs import Proof, Proofs

# Arranges the statements about lots in the order in which pages tell them: the verdicts, and how it came to them.

_UPHELD, _REWORKED = "event_upheld", "event_reworked"
_CALLED_BACK = "recall_notice"
_PAST = {"failed": ("event_failed",), "reworked": (_REWORKED,), "recalled": (_CALLED_BACK,)}
_HEADING = "part"
_FALLEN = ("failed", "no_valid_verdict")
_SPENT = "spent"


@dataclass(frozen=True, slots=True)
class Story:
    """Statements about one lot, or about several, each in one place."""

    verdict: tuple[Statement, ...]
    """Quarantine first."""
    history: tuple[Statement, ...]
    """How it came to that: failed, reworked, passed."""
    standing: tuple[Statement, ...]
    """Everything else about how it stands."""
    attention: tuple[Statement, ...]
    origin: tuple[Statement, ...]
    recalls: tuple[Statement, ...] = ()
    """The notices that call it, or what it came from, back and that are not resolved."""
    waits: tuple[Statement, ...] = ()
    """Doubts about the certificates by which it passes: the evidence was demanded, and is not shown yet."""
    since: tuple[Statement, ...] = ()
    """The verdicts of a later story by which it does not pass, if its own story lacks one of them."""
    gone: tuple[Statement, ...] = ()
    """Why certificates by which it passes count no more by a later story that tells of no verdict against it."""
    anew: tuple[Statement, ...] = ()
    """The verdicts by which it passes by a later story and not by its own, where its own is not what holds any more."""
    over: tuple[Statement, ...] = ()
    """What speaks against it by its own story, and by a later one no more."""

    @property
    def headline(self) -> Statement | None:
        """What stops the part before any verdict on it counts; None if it is the verdict that is told first."""
        stops = (*self.recalls, *(one for one in self.verdict if one.code == "quarantined_part"))
        return next(iter(stops), None)

    @property
    def worth(self) -> Worth:
        """The same value as on the page that checks proofs, for the same statements."""
        return find_worth(self.told_first)

    @property
    def told_first(self) -> tuple[Statement, ...]:
        return (*self.recalls, *self.waits, *self.since, *self.gone, *self.verdict)

    @property
    def is_stopped(self) -> bool:
        """Whether it must not be used as it stands: called back, in quarantine, failed, or with a verdict that
        is no longer valid."""
        return self.worth is Worth.BAD

    @property
    def past(self) -> tuple[tuple[str, int], ...]:
        """What was settled before it passed, and how often: `failed`, `reworked`, `recalled`."""
        told = [*(one.code for one in self.history), *(one.code for one in self.attention)]
        counts = ((name, sum(one in codes for one in told)) for name, codes in _PAST.items())
        return tuple((name, count) for name, count in counts if count)

    @property
    def foremost(self) -> tuple[Statement, ...]:
        """What a title says of the certificates: why passes count no more, and the verdicts, but for a pass that is
        doubted, or beside one that counts no more."""
        doubted = {one.values.get("certificate") for one in self.waits}
        passes = (one for one in self.verdict if _passes(one) and (self.gone or one.values["certificate"] in doubted))
        apart = (*passes, *(one for one in self.verdict if one.code == "quarantined_part"))
        return (*self.gone, *(one for one in self.verdict if one not in apart))

    @property
    def against(self) -> tuple[Statement, ...]:
        """All that stops it or has it wait."""
        return (*self.recalls, *self.waits, *(one for one in self.verdict if one.code in STOPPING))

    @property
    def called_back(self) -> frozenset[bytes]:
        """The subjects that standing notices name."""
        return frozenset(
            one.subject
            for notice in self.recalls
            for one in cast("tuple[object, ...]", notice.values.get("about", ()))
            if isinstance(one, Thing)
        )

    def told_after(self, later: Story) -> Story:
        """This, with what stops the part by a later one, and what of its own has been settled by then: an older proof
        does not know it yet."""
        own = {_key(one) for one in self.against}
        apart = tuple(one for one in later.verdict if one.code == "quarantined_part" and _key(one) not in own)
        fallen = tuple(one for one in later.verdict if one.code in _FALLEN)
        ends = {} if fallen else {one.values["certificate"]: later._ends(one) for one in self.verdict if _passes(one)}
        # One rework can end several.
        gone = tuple(one for one in (*later.attention, *later.history) if any(one in ended for ended in ends.values()))
        fell = {one.values.get("certificate") for one in fallen} | {one for one, reasons in ends.items() if reasons}
        # What became of a doubt about a certificate that fell is told with that.
        known = replace(self, waits=tuple(one for one in self.waits if one.values.get("certificate") not in fell))
        over = tuple(one for one in known.against if later._settles(one))
        is_other = not fallen and bool(gone or any(one.code in _FALLEN for one in over))
        return replace(
            known,
            recalls=(*self.recalls, *(one for one in later.recalls if _key(one) not in own)),
            waits=(*known.waits, *(one for one in later.waits if _key(one) not in own)),
            verdict=(*apart, *self.verdict),
            since=fallen if any(_key(one) not in own for one in fallen) else (),
            gone=gone,
            anew=self._passed_by(later) if is_other else (),
            over=over,
        )

    def _passed_by(self, later: Story) -> tuple[Statement, ...]:
        """The verdicts by which the part passes by a later story and not by this one."""
        own = {one.values["certificate"] for one in self.verdict if _passes(one)}
        return tuple(one for one in later.verdict if _passes(one) and one.values["certificate"] not in own)

    def _ends(self, passed: Statement) -> tuple[Statement, ...]:
        """Why the certificate of a pass counts no more by this story: what became of it, or that the lot was reworked
        after it was issued."""
        number = passed.values["certificate"]
        told = tuple(one for one in self.attention if one.code == "certificate" and one.values["certificate"] == number)
        reworked = (one for one in self.history if one.code == _REWORKED and one.subject == passed.subject)
        return told or tuple(one for one in reworked if max(one.records) > cast("int", number))

    def _settles(self, one: Statement) -> bool:
        """Whether what an earlier story has against the part is over by this one. A doubt is over once its certificate
        was upheld, and not because another certificate decides by now."""
        if one.code in WAITING:
            about = one.values.get("certificate")
            return any(other.code == _UPHELD and other.values.get("certificate") == about for other in self.history)
        # A story without any verdict tells nothing of the part.
        return bool(self.verdict) and _key(one) not in {_key(other) for other in self.against}

    def without_headline(self) -> Story:
        """This, for a page that does not begin with verdicts: what stops a lot, or has it wait, needs attention too."""
        return replace(self, attention=(*self.recalls, *self.waits, *self.attention), recalls=(), waits=())

    def used(self) -> Story:
        """This, of a lot from which others were made: that nothing is left of it is no reason for concern."""
        left = tuple(one for one in self.attention if one.code == _SPENT)
        attention = tuple(one for one in self.attention if one.code != _SPENT)
        return replace(self, standing=(*self.standing, *left), attention=attention)

    def verdict_on(self, lot: bytes) -> tuple[Statement, ...]:
        return tuple(one for one in self.verdict if one.subject == lot)


def _passes(one: Statement) -> bool:
    return one.code == "passed"


def _key(one: Statement) -> tuple[object, ...]:
    """The same of what two stories tell of one thing."""
    by = one.values.get("by")  # by its number: a proof and a book may have other names for it
    apart = by.participant if one.code == "quarantined_part" and isinstance(by, Party) else None
    return one.code, one.values.get("certificate"), apart, one.records if one.code == _CALLED_BACK else ()


def build_story(statements: Iterable[Statement]) -> Story:
    """Arrange the statements of a report, or of an index."""
    by_section: dict[Section, list[Statement]] = {section: [] for section in Section}
    for one in statements:
        by_section[one.section].append(one)
    told, recalls = by_section[Section.PART], find_recalls(by_section[Section.ATTENTION])
    waits = find_waits((*told, *by_section[Section.ATTENTION]))
    history = tuple(one for one in told if one.code.startswith("event_"))
    verdict = tuple(one for one in told if one.code in VERDICTS)
    return Story(
        verdict=verdict,
        history=history,
        standing=tuple(one for one in told if one not in history and one not in verdict and one.code != _HEADING),
        attention=tuple(one for one in by_section[Section.ATTENTION] if one not in (*recalls, *waits)),
        origin=tuple(by_section[Section.ORIGIN]),
        recalls=recalls,
        waits=waits,
    )


# The code on a part, and the link types that it resolves to, negotiated per the GS1-Conformant Resolver Standard.
#
# Links carry the salt of the code.

_HOST = "https://id.gs1.org"
_BEFORE = re.compile(rb"^/passport/[a-z]+(?=/)")
"""Prefix of the portal's own paths before the GS1 key."""


@dataclass(frozen=True, slots=True)
class Code:
    """A valid GS1 Digital Link, and its salt if it has a valid one."""

    link: DigitalLink
    salt: bytes | None

    @property
    def identifier(self) -> str:
        return self.link.uri

    def names(self) -> tuple[Code, ...]:
        """This code, then those that name the same thing with fewer qualifiers: a serial number identifies it alone,
        and the variant and the lot in the same link are facts about it."""
        numbered = any(ai == "21" for ai, _ in self.link.elements)
        dropped = ((), ("22",), ("10",), ("10", "22")) if numbered else ((),)
        kept = {tuple(one for one in self.link.elements if one[0] not in some): None for some in dropped}
        return tuple(Code(DigitalLink(elements), self.salt) for elements in kept)

    def address(self, origin: str) -> str:
        """The link in the part's code, for a gateway at `origin`. Raises IdentifierError without a salt."""
        return build_part_link(self.link, self.salt or b"", base_url=origin)

    def path(self, what: str = "", **query: str) -> str:
        """Path on this gateway, with the salt: of the passport, or of what is under /passport/ if `what` is given."""
        salted = self.address(_HOST).removeprefix(_HOST)
        more = "".join(f"&{name}={value}" for name, value in query.items())
        return f"/passport/{what}{salted}{more}" if what else salted + more


def read_code(request: Request) -> Code:
    """Parses the code from path and query without decoding them first: `%2F` and `/` differ in a key. A slash at the
    end is tolerated, and a malformed salt is ignored. Raises IdentifierError unless the text is a GS1 Digital Link."""
    raw: bytes = request.scope.get("raw_path") or b""
    # latin-1 decodes any byte; the parser refuses what a link must not contain.
    text = f"{_HOST}{_BEFORE.sub(b'', raw, count=1).decode('latin-1')}"
    link = parse_digital_link(text.removesuffix("/"))
    try:
        salt = read_salt(f"{text}?{request.scope['query_string'].decode('latin-1')}")
    except IdentifierError:
        salt = None
    return Code(link, salt)


LINKSET = "application/linkset+json"
_VOCABULARY = "https://ref.gs1.org/voc/"
_SPELLINGS = ("gs1:", _VOCABULARY, "https://gs1.org/voc/", "http://gs1.org/voc/")
"""Namespaces in which callers write link types; GS1 moved its vocabulary."""
_DEFAULT = "defaultLink"
_PAGE_TYPES = ("pip", "certificationInfo")
BUNDLE_TYPE = "application/vnd.millmark.bundle+json"
_HTML = "text/html"


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a code."""

    type: str
    """Link type in GS1's vocabulary, without its namespace."""
    path: str
    media_type: str


def _links(code: Code) -> tuple[Link, ...]:
    """The links of a code. Each contains the salt, so that it can be followed without scanning the code again."""
    pages = [Link(kind, code.path(linkType=f"gs1:{kind}"), _HTML) for kind in _PAGE_TYPES]
    default = Link(_DEFAULT, pages[0].path, _HTML)
    return (default, *pages, Link("traceability", code.path("bundle"), BUNDLE_TYPE))


def find_link(code: Code, wanted: str) -> Link | None:
    """The link of the type `wanted`: a CURIE (`gs1:pip`), a URI, or the name alone."""
    name = next((wanted.removeprefix(one) for one in _SPELLINGS if wanted.startswith(one)), wanted)
    return next((link for link in _links(code) if link.type == name), None)


def build_linkset(code: Code, origin: str, titles: Mapping[str, str], media_type: str = LINKSET) -> dict[str, object]:
    """A linkset (RFC 9264) as GS1 specifies it: the anchor is the canonical link, the other members are link types.
    As JSON-LD, it contains its context."""
    links = {
        _VOCABULARY + link.type: [
            {"href": origin + link.path, "title": titles[link.type], **_facts(link)},
        ]
        for link in _links(code)
    }
    context = published.build_linkset_context() if media_type == published.CONTEXT_MEDIA else {}
    return {**context, "linkset": [{"anchor": code.identifier, **links}]}


def _facts(link: Link) -> dict[str, object]:
    """The default link has a title only; it is listed under its own type as well."""
    if link.type == _DEFAULT:
        return {}
    return {"type": link.media_type, **({"hreflang": [*LANGUAGES]} if link.media_type == _HTML else {})}


def tell_context(origin: str) -> str:
    """The Link header by which a reader of JSON-LD finds the context of a linkset."""
    return f'<{_context(origin)}>; rel="http://www.w3.org/ns/json-ld#context"; type="{published.CONTEXT_MEDIA}"'


def _context(origin: str) -> str:
    return f"{origin}{published.CONTEXTS_PATH}/{published.LINKSET_CONTEXT_NAME}"


def build_description(origin: str) -> dict[str, object]:
    """Content of /.well-known/gs1resolver."""
    return {
        "name": "Millmark",
        "resolverRoot": origin,
        "supportedPrimaryKeys": ["all"],
        "supportedLinkType": [{"namespace": _VOCABULARY, "prefix": "gs1:"}],
        "linkTypeDefaultCanBeLinkset": False,
        "jsonLdContextLocation": _context(origin),
    }


_KINDS = {LINKSET: LINKSET, "application/json": LINKSET, published.CONTEXT_MEDIA: published.CONTEXT_MEDIA}
"""In which form a linkset is answered, by what was asked for."""
_PAGES = (_HTML, "text/*", "*/*", "application/xhtml+xml")


def choose_linkset(accept: str) -> str | None:
    """The media type of the linkset that an Accept header prefers to a page; None if it prefers none. With the same
    weight, the page comes first, then `LINKSET`."""
    weights = {_HTML: 0.0, LINKSET: 0.0, published.CONTEXT_MEDIA: 0.0}
    for item in accept[:1000].split(","):
        media, *parameters = (part.strip() for part in item.lower().split(";"))
        kind = _HTML if media in _PAGES else _KINDS.get(media)
        if kind is not None:
            weights[kind] = max(weights[kind], _weight(parameters))
    best = max(weights, key=weights.__getitem__)
    return None if best == _HTML else best


def _weight(parameters: list[str]) -> float:
    for one in parameters:
        name, _, value = one.partition("=")
        if name.strip() == "q":
            return float(value) if value.replace(".", "", 1).isdecimal() else 0.0
    return 1.0


# Arranges a passport in the order in which its page shows it.
#
# Energy and emissions of a part are as disclosed by its documents. PASSPORT.md specifies the fields.

_PRODUCT = ("passport", "productName")


@dataclass(frozen=True, slots=True)
class Document:
    """Disclosed fields of a document, except those that are shown elsewhere on the page."""

    thing: str
    identifier: str | None
    fields: tuple[tuple[str, Json], ...]


@dataclass(frozen=True, slots=True)
class PassportView:
    product: str | None
    story: Story
    """What is told of the part: by the proof if it is current, else by the index."""
    proved: bool
    """Whether it is the proof that tells it."""
    untold: MillmarkError | None
    """Why the index tells nothing; None if it does, or need not."""
    first: Story
    """What the page begins with: what the proof tells, if it proves anything, with what a later index has against the
    part; else the index."""
    documents: tuple[Document, ...]
    footprint: LotFootprint | None
    worth: Worth
    """Good only if the proof was accepted, and neither it nor a later index tells that something is open."""
    proof: Proof | None
    failure: str | None
    """Code of the error, if no proof could be built now."""

    @property
    def asks(self) -> bool:
        """Whether the reader has to ask somebody before using the part."""
        return self.first.is_stopped or bool(self.first.waits)

    @property
    def adds(self) -> bool:
        """Whether the page begins with something that came after the proof, and so is not proved."""
        proved = () if self.proof is None or self.proof.report is None else self.proof.report.statements
        first = self.first
        told = (*first.recalls, *first.waits, *first.verdict, *first.since, *first.gone, *first.anew)
        return bool(proved) and any(one not in proved for one in told)


def is_current(found: Proof | MillmarkError | None) -> bool:
    """Whether a proof tells everything that the index has: it was made from it, and proves something."""
    return isinstance(found, Proof) and found.report is not None and not found.kept


def build_view(
    passport: provenance.Passport,
    found: Proof | MillmarkError | None,
    recorded: tuple[Statement, ...] | MillmarkError | None,
) -> PassportView:
    """`recorded`: what the index tells of the part, or why it does not; None if the proof is current."""
    proof = found if isinstance(found, Proof) else None
    proved = () if proof is None or proof.report is None else proof.report.statements
    untold = recorded if isinstance(recorded, MillmarkError) else None
    told = () if isinstance(recorded, MillmarkError) else proved if recorded is None else recorded
    story = build_story(told)
    first = build_story(proved or told)
    is_later = not proved or _block_of(proved) <= passport.trace.as_of.block_number  # otherwise it adds nothing
    if is_later:
        first = first.told_after(story)
    worth = find_worth(first.told_first, refused=proof is not None and proof.refused is not None)
    return PassportView(
        product=_product(passport),
        story=story,
        proved=recorded is None,
        untold=untold,
        first=first,
        documents=tuple(_documents(passport)),
        footprint=passport.footprint,
        worth=Worth.OPEN if worth is Worth.GOOD and is_later and story.worth is not Worth.GOOD else worth,
        proof=proof,
        failure=None if found is None or isinstance(found, Proof) else found.code,
    )


def _block_of(proved: tuple[Statement, ...]) -> int:
    """The block as of which a proof tells."""
    return next(int(str(one.values["block"])) for one in proved if one.code == "as_of")


def describe_name(catalogue: Catalogue, link: DigitalLink) -> list[tuple[str, str, str]]:
    """The code's key and qualifiers: (application identifier, its meaning, value)."""
    return [
        (ai, catalogue.say(f"ai.{ai}" if catalogue.knows(f"ai.{ai}") else "ai.other"), value)
        for ai, value in link.elements
    ]


def _product(passport: provenance.Passport) -> str | None:
    """The product's name, from the part's own document, else from its order's."""
    named = [fact for fact in passport.facts if fact.path == _PRODUCT and isinstance(fact.value, str)]
    own = [fact for fact in named if fact.subject == passport.trace.lot.subject and fact.thing == "lot"]
    order = [fact for fact in named if fact.thing == "order"]
    return str((own or order)[0].value)[:120] if own or order else None


def _documents(passport: provenance.Passport) -> Iterator[Document]:
    trace = passport.trace
    names = {trace.lot.subject: trace.lot.identifier, **{lot.subject: lot.identifier for lot in trace.upstream}}
    if trace.order is not None:
        names[trace.order.subject] = trace.order.identifier
    found: dict[tuple[str, bytes, int], list[provenance.Fact]] = {}
    for fact in passport.facts:
        if fact.path[: len(PATH)] != PATH and fact.path != _PRODUCT:
            found.setdefault((fact.thing, fact.subject, fact.record), []).append(fact)
    for (thing, subject, _), facts in found.items():
        yield Document(thing, names.get(subject), tuple((_label(fact.path), fact.value) for fact in facts))


def _label(path: Sequence[str | int]) -> str:
    """The path of a field as text, without the leading `passport`, which means nothing to readers."""
    return " › ".join(str(step) for step in (path[1:] if path[0] == "passport" and len(path) > 1 else path))


# Measured windows on a passport: those that the proof opens, and nothing else.
#
# What a proof opens was chosen with `passport_disclose` (`inferences`), and digests were rebuilt from it. A model's
# scale and threshold are shown only if its bytes are on the chain: of others, the consortium knows no more than a
# digest, and whoever has the part's code must not learn more.

MOST_WINDOWS = 8
"""Most windows on a passport: the page stays small. The proof has all."""
_COLUMNS = 75


@dataclass(frozen=True, slots=True)
class OpenedWindow:
    certificate: Certificate
    picture: str
    count: int
    """Values in the window."""
    least: str
    greatest: str
    score: int | None
    """None if it does not follow from the logits without a model that is private."""
    threshold: int | None
    """None if the model is private."""


def build_opened_windows(
    store: Store, lot: bytes, opened: Sequence[InferenceShown], catalogue: Catalogue
) -> tuple[OpenedWindow, ...]:
    """The windows of the part's own certificates first, then of those of what it was made from; the newest first."""
    if not opened:
        return ()
    by_record = {one.record: one for one in opened}
    with provenance.open_reader(store) as reader:
        rows = reader.rows.among(CertificateRow, "sequence", by_record)
        rows.sort(key=lambda row: (row.lot != lot, -row.sequence))
        built = {one.certificate: one for one in reader.certificates(rows[:MOST_WINDOWS])}
        models = Models(reader)
        coded = {one.number for one in reader.rows.among(ModelRow, "number", {row.model for row in rows}) if one.code}
        return tuple(
            _build(built[row.sequence], by_record[row.sequence], models if row.model in coded else None, catalogue)
            for row in rows[:MOST_WINDOWS]
        )


def _build(
    certificate: Certificate, opened: InferenceShown, models: Models | None, catalogue: Catalogue
) -> OpenedWindow:
    model = None if models is None or certificate.model is None else models.find(certificate.model.model)
    try:
        values = inference.unpack_window(opened.window)
    except errors.QualityError:  # the digest was rebuilt from it as it is; what it means, only the model says
        values = ()
    alone = opened.logits[0] if len(opened.logits) == 1 else None
    decimals = None if model is None else model.decimals
    least, greatest = (charts.measured(edge, decimals) for edge in (min(values, default=0), max(values, default=0)))
    label = catalogue.say(
        "passport.window", certificate=certificate.certificate, count=len(values), least=least, greatest=greatest
    )
    return OpenedWindow(
        certificate=certificate,
        picture=draw_window(values, label, _COLUMNS),
        count=len(values),
        least=least,
        greatest=greatest,
        score=alone if model is None else score_of(model, opened.logits),
        threshold=None if model is None else model.decision.threshold,
    )


class _KeyConvertor(Convertor[str]):
    """A GS1 application identifier in a path. Starlette's `int` converts any number of digits, and fails beyond 4,300
    of them: before the guard, with a 500 for anybody."""

    regex = "[0-9]{1,4}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("gs1key", _KeyConvertor())
CODE_PATH = "/{key:gs1key}/{rest:path}"
TRUST_PATH = "/passport/trust"
PART_PATH = "/passport/{what}/{key:gs1key}/{rest:path}"
_ANY_ORIGIN = {"Access-Control-Allow-Origin": "*"}
"""Pages of other companies may read what a code resolves to (GS1-Conformant Resolver). Browsers send no cookies then,
and the salt in the link is what permits the access."""
_BLOCK = re.compile(r"([0-9]{1,15}) ([0-9a-f]{64})")
_LIMITS = provenance.Limits(depth=64, lots=400)


@dataclass(frozen=True, slots=True)
class Passports:
    """Pages for holders of a part's code."""

    store: Store
    pages: Pages
    proofs: Proofs
    origin: str
    clock: Callable[[], int]
    check: check_page.CheckPage

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/.well-known/gs1resolver", self.describe, PUBLIC),
            PageRoute(TRUST_PATH, self.trust, CODE_HOLDERS),
            PageRoute(CODE_PATH, self.resolve, CODE_HOLDERS),
            PageRoute(PART_PATH, self.part, CODE_HOLDERS),
        )

    def describe(self) -> Response:
        return Response(json.dumps(build_description(self.origin)), media_type="application/json", headers=_ANY_ORIGIN)

    def resolve(self, request: Request) -> Response:
        """Returns the passport or another link of the code, by link type and content negotiation. Raises
        IdentifierError or NotFoundError."""
        code, lot = self._find(request)
        wanted = request.query_params.get("linkType", "")
        form = choose_linkset(request.headers.get("accept", ""))
        if wanted in ("all", "linkset") or (not wanted and form):
            return self._linkset(request, code, form or LINKSET)
        link = find_link(code, wanted or "defaultLink")
        if link is None:
            raise NotFoundError("this code has no link of that type", hint="use linkType=all to list the links")
        if link.media_type == BUNDLE_TYPE:
            # With the whole query as it was sent (GS1-Conformant Resolver 1.2.1 section 2.12).
            path, query = link.path.partition("?")[0], request.scope["query_string"].decode("latin-1")
            return RedirectResponse(f"{path}?{query}", 307, _ANY_ORIGIN)
        return self._page(request, code, lot)

    def part(self, request: Request, what: str) -> Response:
        """The files and pages that a passport links to. Raises IdentifierError or NotFoundError."""
        code, lot = self._find(request)
        if what == "bundle":
            return _file(self._proof(lot).bundle, "part.bundle", BUNDLE_TYPE)
        if what == "trust":
            return _file(self._proof(lot).trust, "trust.json", "application/json")
        if what == "qr":
            return Response(build_qr_svg(code.address(self.origin)), media_type="image/svg+xml")
        if what == "label":
            name = describe_name(self.pages.catalogue(request), code.link)
            return self.pages.render(request, "label.html", code=code, name=name)
        raise NotFoundError("no passport found", hint="scan the code on the part again")

    def trust(self, block: str = "", hash: str = "") -> Response:
        """This company's own trust file for a block that somebody else's proof ends at, for the copy of the page here.
        It names the consortium's members, so the hash is the credential: it is in every proof, and cannot be guessed.
        Raises NotFoundError, which does not tell whether there is such a block."""
        wanted = _BLOCK.fullmatch(f"{block} {hash}")
        found = None if wanted is None else self.proofs.vouch(int(wanted[1]), bytes.fromhex(wanted[2]))
        if found is None:
            raise NotFoundError("this company's node has no such block", hint="choose another trust file")
        return _file(found, "trust.json", "application/json")

    def _find(self, request: Request) -> tuple[Code, bytes]:
        code = read_code(request)
        *longer, last = code.names()
        for one in longer:
            with suppress(NotFoundError):
                return one, provenance.find_coded_lot(self.store, one.identifier, one.salt)
        return last, provenance.find_coded_lot(self.store, last.identifier, last.salt)

    def _linkset(self, request: Request, code: Code, form: str) -> Response:
        say = self.pages.catalogue(request).say
        titles = {kind: say(f"link.{kind}") for kind in ("defaultLink", "pip", "certificationInfo", "traceability")}
        body = json.dumps(build_linkset(code, self.origin, titles, form), ensure_ascii=False)
        headers = {"Vary": "Accept, Accept-Language, Cookie", "Link": tell_context(self.origin), **_ANY_ORIGIN}
        return Response(body, media_type=form, headers={**headers, "Access-Control-Expose-Headers": "Link"})

    def _page(self, request: Request, code: Code, lot: bytes) -> Response:
        found = provenance.passport(self.store, lot, self.proofs.disclosing, _LIMITS)
        catalogue = self.pages.catalogue(request)
        # For the state of the index that the page shows, so that page and proof agree.
        proof = self.proofs.fetch(lot, found.trace.as_of, self.clock())
        recorded = None if is_current(proof) else self._tell(lot)
        view = build_view(found, proof, recorded)
        family = build_family(found.trace, charts.PictureWords(catalogue), _stopped(lot, view))
        opened = proof.inferences if isinstance(proof, Proof) else ()
        copies = check_page.find_copies(self.store, found.trace, self.check.find_copies())
        values: dict[str, Any] = {
            "view": view,
            "trace": found.trace,
            "code": code,
            "address": code.address(self.origin) if code.salt else self.origin,
            "checks_here": self.check.is_built,
            "copies": copies,
            "vouched": _vouched(proof) if copies and isinstance(proof, Proof) else "",
            "name": describe_name(catalogue, code.link),
            "picture": draw_genealogy(family, catalogue.language),
            "windows": build_opened_windows(self.store, lot, opened, catalogue),
            "opened": len(opened),
            "waterfall": "" if found.footprint is None else build_waterfall(found.footprint, catalogue),
        }
        linkset = f'<{self.origin}{code.path(linkType="linkset")}>; rel="linkset"; type="{LINKSET}"'
        headers = {"Link": linkset, "Vary": "Accept, Accept-Language, Cookie"}
        return self.pages.render(request, "passport.html", headers=headers, **values)

    def _tell(self, lot: bytes) -> tuple[Statement, ...] | MillmarkError:
        """What the index tells of a part, or why it does not."""
        try:
            return provenance.passport_statements(self.store, lot, self.proofs.disclosing)
        except MillmarkError as error:
            return error

    def _proof(self, lot: bytes) -> Proof:
        found = self.proofs.fetch(lot, None, self.clock())
        if not isinstance(found, Proof):
            raise NotFoundError("no proof can be built now", hint="ask the company that runs this gateway for a bundle")
        return found


def _vouched(proof: Proof) -> str:
    """The path of a trust file for this proof, at whichever company it is asked for."""
    block = parse_header(parse_bundle(proof.bundle).headers[-1])
    return f"{TRUST_PATH}?block={block.number}&hash={block.hash.hex()}"


def _file(content: bytes, name: str, media_type: str) -> Response:
    return Response(
        content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"', **_ANY_ORIGIN}
    )


def _stopped(lot: bytes, view: PassportView) -> set[bytes]:
    """The lots that the picture must not show as good: what was called back, and the part itself if anything stops it
    or has it wait."""
    return {*view.first.called_back, *([lot] if view.asks else ())}
