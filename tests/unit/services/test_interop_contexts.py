"""JSON-LD contexts as the gateway gives them out: whatever a document of ours names is here, and means the same.

The judge is a JSON-LD processor that reaches no network: it has what the gateway serves, or the standards' own files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyld import jsonld
from pyld.documentloader.frozen import BUNDLED_CONTEXTS

from millmark.ledger.ids import parse_digital_link
from millmark.services.interop.contexts.published import (
    CONTEXT_MEDIA,
    LINKSET_CONTEXT,
    build_epcis_context,
    published_contexts,
)
from millmark.services.interop.credentials.certificate import (
    build_certificate_context,
    build_status_list,
    issue_credential,
)
from millmark.services.interop.credentials.keys import DID_CONTEXT, build_did_document
from millmark.services.interop.credentials.model import BASE_CONTEXT, find_unmapped
from millmark.services.interop.epcis.event_queries import CONTEXT as EPCIS_CONTEXT
from millmark.services.interop.epcis.schema import EVENT_TYPES, event_schema
from millmark.services.portal.passports import BUNDLE_TYPE, Code, build_linkset
from tests.support.gateway_client import LINK, Caller, build_caller
from tests.support.interop import CORPUS, DID, ED25519, FACTS, LISTS
from tests.support.stores import new_store

Json = Any
GS1 = CORPUS / "epcis2" / "gs1"
EXAMPLES = sorted((GS1 / "JSON").rglob("*.jsonld"))
REDEFINES = "transformation_event_all_possible_fields.jsonld"
"""It moves a term that GS1's context protects: no processor reads it, with that context or with ours."""
WITHOUT_TERM = {"comment", "bizRules"}
"""GS1's schema allows business rules in a sensor report, its context has no term for them there: nor has ours."""
METHOD = f"{DID}#k"


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with new_store(tmp_path_factory.mktemp("contexts")) as store:
        yield build_caller(store)


@pytest.fixture(scope="module")
def served(caller: Caller) -> dict[str, Json]:
    """What stands for each URL, as fetched from the gateway."""
    listed = caller.ask("/v1/contexts").json()["contexts"]
    return {one["url"]: caller.ask(one["path"]).json() for one in listed}


def loader(known: Mapping[str, Json]) -> Callable[[str, Json], Json]:
    def load(url: str, _: Json) -> Json:
        assert url in known, f"{url} is not served"
        return {"contextUrl": None, "documentUrl": url, "document": known[url], "contentType": CONTEXT_MEDIA}

    return load


def quads(document: Json, known: Mapping[str, Json]) -> str:
    """Canonical RDF: the same for two documents that say the same. Nothing that a document has may be passed over."""
    dropped: list[str] = []
    options = {"algorithm": "URDNA2015", "format": "application/n-quads", "documentLoader": loader(known)}
    jsonld.expand(document, {"documentLoader": loader(known)}, on_property_dropped=dropped.append)
    assert set(dropped) <= WITHOUT_TERM, dropped
    found: str = jsonld.normalize(document, options)
    return found


def gs1_context() -> dict[str, Json]:
    return {EPCIS_CONTEXT: json.loads((GS1 / "epcis-context.jsonld").read_bytes())}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_of_gs1_is_the_same_with_our_context(served: dict[str, Json], path: Path) -> None:
    document = json.loads(path.read_bytes())
    if path.name == REDEFINES:
        for known in (gs1_context(), served):
            with pytest.raises(jsonld.JsonLdError, match="redefine a protected term"):
                quads(document, known)
        document["@context"] = [one for one in document["@context"] if "cbvmda" not in one]
    theirs = quads(document, gs1_context())
    assert theirs.count("\n") > 5
    assert quads(document, served) == theirs


def test_all_examples_are_there() -> None:
    if not GS1.exists():
        pytest.skip("the EPCIS corpus is not on this machine")
    assert len(EXAMPLES) == 47


def test_a_context_with_one_wrong_iri_is_found_out(caller: Caller, served: dict[str, Json]) -> None:
    [event] = [route.examples["event"]() for route in caller.app.state.routes if route.operation == "getEvent"]
    wrong = build_epcis_context()
    wrong["@context"]["bizStep"]["@context"]["inspecting"] = "cbv:BizStep-holding"  # type: ignore[call-overload,index]
    assert quads(event, {**served, EPCIS_CONTEXT: wrong}) != quads(event, served)


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_field_that_is_judged_has_a_term(kind: str) -> None:
    """Fields of the schema, where they stand, against terms of the context, where they count."""
    checked = 0
    for path, words in _fields(event_schema(kind), ()):
        term = _term(path)
        assert term is not None or path[-2:] == ("sensorReport", "bizRules"), path
        scoped = term.get("@context", {}) if isinstance(term, dict) else {}
        scoped = scoped[0] if isinstance(scoped, list) else scoped
        assert words <= (scoped.keys() or _scope(path).keys()), path
        checked += 1
    assert checked > 40


def _fields(schema: Json, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    for name, field in schema.get("properties", {}).items():
        if name in ("@context", "comment"):
            continue
        item = field.get("items", field)
        enumerations = [one["enum"] for one in item.get("anyOf", ()) if "enum" in one]
        yield (*path, name), {word for one in enumerations for word in one}
        yield from _fields(item, (*path, name))


def _scope(path: tuple[str, ...]) -> dict[str, Json]:
    """Terms that count at a place: of the fields around it, the innermost first."""
    terms: dict[str, Json] = json.loads(published_contexts()["epcis-v2.jsonld"].document)["@context"]
    for name in path:
        inner = terms.get(name)
        contexts = inner.get("@context", {}) if isinstance(inner, dict) else {}
        for one in contexts if isinstance(contexts, list) else [contexts]:
            terms = {**terms, **one}
    return terms


def _term(path: tuple[str, ...]) -> Json:
    return _scope(path[:-1]).get(path[-1])


def documents() -> dict[str, Json]:
    listed = build_status_list(LISTS, DID, bytes(16_384), valid_from="2026-01-01T00:00:00Z")
    return {
        "credential": issue_credential(FACTS, DID, ED25519, METHOD, status_list_url=LISTS),
        "status list": listed,
        "DID document": build_did_document(DID, {"k": ED25519.public}),
    }


def theirs() -> dict[str, Json]:
    """The W3C's own files, as a processor brings them along."""
    return {url: json.loads(BUNDLED_CONTEXTS[url].read_bytes()) for url in (BASE_CONTEXT, DID_CONTEXT)}


@pytest.mark.parametrize("name", documents())
def test_our_credentials_are_the_same_with_our_contexts(served: dict[str, Json], name: str) -> None:
    document = documents()[name]
    assert quads(document, {**served, **theirs()}) == quads(document, served)


def test_a_credential_says_the_same_with_the_published_terms(served: dict[str, Json]) -> None:
    document = documents()["credential"]
    written = json.dumps(document).replace('{"@vocab": "urn:millmark:certificate:1:"}', '"urn:terms"')
    assert written != json.dumps(document)
    own = {**served, "urn:terms": build_certificate_context()}
    assert quads(json.loads(written), own) == quads(document, served)


def test_the_context_of_credentials_says_what_the_corpus_has() -> None:
    path = CORPUS / "vc" / "contexts" / "credentials-v2.jsonld"
    if not path.exists():
        pytest.skip("the corpus of credentials is not on this machine")
    given = json.loads(path.read_bytes())["@context"]
    assert _verify_part(json.loads(published_contexts()["credentials-v2.jsonld"].document)["@context"], given) > 60


def _verify_part(ours: Json, given: Json) -> int:
    """That all we have is there, and the same: the number of terms."""
    if not isinstance(ours, dict):
        assert given in (ours, {"@id": ours})
        return 1
    assert ours.keys() <= given.keys()
    return sum(_verify_part(value, given[name]) for name, value in ours.items())


def _named(value: Json) -> Iterator[str]:
    """Every context that a value names anywhere, and every vocabulary."""
    if isinstance(value, list):
        yield from (url for one in value for url in _named(one))
    if isinstance(value, dict):
        contexts = value.get("@context", [])
        for one in contexts if isinstance(contexts, list) else [contexts]:
            yield one["@vocab"] if isinstance(one, dict) and "@vocab" in one else one if isinstance(one, str) else ""
        yield from (url for name, one in value.items() if name != "@context" for url in _named(one))


def test_a_linkset_says_of_the_part_what_its_links_are(served: dict[str, Json]) -> None:
    titles = {kind: f"<{kind}>" for kind in ("defaultLink", "pip", "certificationInfo", "traceability")}
    code = Code(parse_digital_link(LINK), bytes(32))
    linkset = build_linkset(code, "https://gateway.example", titles)
    with_url = quads({"@context": LINKSET_CONTEXT, **linkset}, served)
    assert with_url == quads(build_linkset(code, "https://gateway.example", titles, CONTEXT_MEDIA), {})
    salt = "A" * 43
    bundle = f"<https://gateway.example/passport/bundle/01/09506000134352/21/A-1?salt={salt}>"
    assert f"<{LINK}> <https://ref.gs1.org/voc/traceability> {bundle} ." in with_url.splitlines()
    for term, value in (("title", "<traceability>"), ("format", BUNDLE_TYPE)):
        assert f'{bundle} <http://purl.org/dc/terms/{term}> "{value}" .' in with_url.splitlines()
    page = f"<https://gateway.example/01/09506000134352/21/A-1?salt={salt}&linkType=gs1:pip>"
    for kind in ("defaultLink", "pip"):
        assert f"<{LINK}> <https://ref.gs1.org/voc/{kind}> {page} ." in with_url.splitlines()
    assert sum("language" in line for line in with_url.splitlines()) == 4  # two pages in two languages


def test_every_context_that_an_answer_names_is_served(caller: Caller, served: dict[str, Json]) -> None:
    examples = [build() for route in caller.app.state.routes for build in route.examples.values()]
    answers = [one for one in examples if isinstance(one, (dict, list))]
    named = {url for one in answers for url in _named(json.loads(json.dumps(one)))} - {""}
    assert named | {LINKSET_CONTEXT} == served.keys()  # a linkset's is told in a header: see test_portal_passport


def test_a_context_is_kept_by_caches_and_asked_for_again(caller: Caller) -> None:
    for one in caller.ask("/v1/contexts").json()["contexts"]:
        answer = caller.ask(one["path"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, CONTEXT_MEDIA)
        assert answer.headers["cache-control"] == "public, max-age=86400"
        again = caller.ask(one["path"], If_None_Match=answer.headers["etag"])
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["cache-control"] == "public, max-age=86400"


@pytest.mark.parametrize(
    ("name", "status"),
    [("none.jsonld", 404), ("epcis-v2.json", 422), ("..%2F..%2Fepcis-v2.jsonld", 404), ("x" * 60 + ".jsonld", 422)],
)
def test_what_is_no_context(caller: Caller, name: str, status: int) -> None:
    assert caller.problem(f"/v1/contexts/{name}")["status"] == status


_NAMES = ("grade", "of", "Part", "ex:a", "ex", "urn:a:b", "id", "type", "name", "x", "@value")
_TARGETS = ("urn:a:grade", "ex:of", "https://a.example/", "grade", "@type", None)
_IDENTIFIED = {"@id": st.sampled_from(("urn:a:t", "ex:t"))}
_SCOPED = {"@context": st.fixed_dictionaries({"x": st.sampled_from(("urn:a:x", None))}) | st.none()}
_DEFINITIONS = (
    st.sampled_from(_TARGETS)
    | st.fixed_dictionaries(
        _IDENTIFIED,
        optional={
            **_SCOPED,
            "@type": st.just("@id"),
            "@container": st.sampled_from(("@set", "@index", "@language")),
        },
    )
    # Without a container: PyLD reads JSON in an index map as a node.
    | st.fixed_dictionaries({**_IDENTIFIED, "@type": st.just("@json")}, optional=_SCOPED)
)
_CONTEXTS = st.dictionaries(st.sampled_from(("grade", "of", "Part", "ex", "x")), _DEFINITIONS, max_size=4) | (
    st.dictionaries(st.just("@vocab"), st.sampled_from(("urn:v:", None)), max_size=1)
)
_NODES = st.recursive(
    st.sampled_from(("a", 1, True)),
    lambda inner: st.dictionaries(st.sampled_from(_NAMES[:9]), inner | st.lists(inner, max_size=2), max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("contexts", "unmapped"),
    [
        ([{"@vocab": "urn:v:"}, {"of": "grade"}, {"@vocab": None}], {"grade"}),
        ([{"@vocab": "urn:v:", "of": {"@type": "@id"}}, {"@vocab": None}], {"grade"}),
        ([{"of": "grade", "grade": "x", "x": "urn:a:x"}], set()),
        ([{"grade": "urn:a:grade"}, {"of": "grade"}, {"grade": None}], {"grade"}),
    ],
)
def test_a_definition_means_what_it_meant_where_it_stands(contexts: list[Json], unmapped: set[str]) -> None:
    document: Json = {"@context": contexts, "@id": "urn:a:s", "of": {"urn:a:y": 1}, "grade": 1}
    assert set(find_unmapped(document, {})) == unmapped
    dropped: list[str | None] = []
    jsonld.expand(document, {"documentLoader": loader({})}, on_property_dropped=dropped.append)
    assert len(dropped) == len(unmapped)


@settings(max_examples=60, deadline=None)
@given(st.lists(_CONTEXTS, max_size=3), st.dictionaries(st.sampled_from(_NAMES[:6]), _NODES, max_size=4), st.data())
def test_what_a_processor_drops_is_found_unmapped(contexts: list[Json], node: Json, data: st.DataObject) -> None:
    # A type whose own context is null: PyLD passes over it, and in a list it never returns to what counted before.
    defined = [one["Part"] for one in contexts if isinstance(one.get("Part"), dict)]
    null = any("@context" in one and one["@context"] is None for one in defined)
    types = data.draw(st.lists(st.sampled_from(("urn:a:Type",) if null else ("Part", "urn:a:Type")), max_size=2))
    document = {"@context": contexts, "@id": "urn:a:s", "@type": types, **node}
    dropped: list[str | None] = []
    try:
        jsonld.expand(document, {"documentLoader": loader({})}, on_property_dropped=dropped.append)
    except (jsonld.JsonLdError, KeyError):
        return  # no document of JSON-LD, or a vocabulary is removed that was not there, which PyLD does not allow
    found = {path.rpartition(".")[2] for path in find_unmapped(document, {})}
    named = {name for name in found if not name.startswith("type ")}
    # PyLD names no term that a context maps to null: it reports None for it.
    removed = set(_removed(contexts)) if None in dropped else set()
    assert set(dropped) - {None} <= named
    assert None not in dropped or named & removed
    # A type whose own context takes its name away: as a member, PyLD keeps it.
    assert named - set(dropped) - removed <= set(types)


def _removed(contexts: Json) -> Iterator[str]:
    """Terms that a context, or one inside a term, maps to null."""
    for context in contexts if isinstance(contexts, list) else [contexts or {}]:
        for name, definition in context.items():
            if definition is None:
                yield name
            elif isinstance(definition, dict):
                yield from _removed(definition.get("@context"))
