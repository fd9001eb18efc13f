"""The rules of the W3C data model for credentials and presentations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from millmark.services.interop.credentials.model import BASE_CONTEXT, check_credential
from millmark.services.interop.errors import CredentialError
from tests.support.interop import CORPUS, DID, MINIMAL

GOOD: dict[str, dict[str, Any]] = {
    "the least": {},
    "one type": {"type": "VerifiableCredential"},
    "an issuer with a name": {"issuer": {"id": DID, "name": "Inspector"}},
    "names in languages": {"name": [{"@value": "a", "@language": "en"}, {"@value": "b", "@direction": "rtl"}]},
    "a type of a context that is not at hand": {
        "@context": [BASE_CONTEXT, "https://a.example/c"],
        "type": ["VerifiableCredential", "A"],
    },
    "a type of an own context": {
        "@context": [BASE_CONTEXT, {"A": "https://a.example/A"}],
        "type": ["VerifiableCredential", "A"],
    },
    "times": {"validFrom": "2020-01-01T00:00:00Z", "validUntil": "2020-12-31T24:00:00+14:00"},
    "several subjects": {"credentialSubject": [{"urn:a:b": 1}, {"id": "urn:x:y"}]},
    "a schema": {"credentialSchema": {"id": "https://a.example/s", "type": "JsonSchema"}},
    "a status without id": {"credentialStatus": {"type": "urn:a:A"}},
    "a related resource": {
        "relatedResource": [{"id": "https://a.example", "digestSRI": "sha256-" + "A" * 43 + "=", "mediaType": "a/b"}]
    },
    "terms of use": {"termsOfUse": [{"type": "urn:a:A"}, {"type": ["urn:a:B"], "id": "urn:x:y"}]},
    "terms of an own context": {
        "@context": [BASE_CONTEXT, {"grade": "https://a.example/grade", "ex": "https://a.example/", "part": "ex:part"}],
        "credentialSubject": {"grade": "S355", "ex:mass": 5, "part": {"id": "urn:x:y", "grade": {"@value": "A"}}},
    },
    "a vocabulary for all terms": {
        "@context": [BASE_CONTEXT, {"@vocab": "https://a.example/"}],
        "type": ["VerifiableCredential", "A"],
        "credentialSubject": {"grade": {"deep": [{"type": "B", "er": 1}]}},
    },
    "terms of a type's own context": {
        "@context": [BASE_CONTEXT, {"Part": {"@id": "urn:a:Part", "@context": {"grade": "urn:a:grade"}}}],
        "credentialSubject": {"type": "Part", "grade": "S355"},
    },
    "terms below a term": {
        "@context": [BASE_CONTEXT, {"test": {"@id": "urn:a:test", "@context": {"force": "urn:a:force"}}}],
        "credentialSubject": {"test": [{"force": 5}]},
    },
    "data in a term for JSON": {
        "@context": [BASE_CONTEXT, {"raw": {"@id": "urn:a:raw", "@type": "@json"}}],
        "credentialSubject": {"raw": {"anything": {"goes": 1}}},
    },
    "texts by language": {
        "@context": [BASE_CONTEXT, {"label": {"@id": "urn:a:label", "@container": "@language"}}],
        "credentialSubject": {"label": {"en": "part", "zh": "零件"}},
    },
    "a context inside the subject": {
        "credentialSubject": {"@context": {"grade": "urn:a:grade"}, "grade": 1, "urn:a:of": {"grade": 2}}
    },
    "what the base context has for tokens and rendering": {
        "renderMethod": {"type": "urn:a:R"},
        "confidenceMethod": {"type": "urn:a:C"},
        "cnf": {"jwk": {"kty": "EC"}},
        "credentialStatus": {
            "type": "BitstringStatusListEntry",
            "statusSize": 2,
            "statusMessage": [{"status": "0x0", "message": "ok"}],
        },
    },
    "a term of a context that is not at hand": {
        "@context": [BASE_CONTEXT, "https://a.example/c"],
        "credentialSubject": {"grade": 1},
    },
    "a context that imports another": {
        "@context": [BASE_CONTEXT, {"@import": "https://a.example/c"}],
        "credentialSubject": {"grade": 1},
    },
}
UNMAPPED: dict[str, dict[str, Any]] = {
    "at the top": {"grade": "A"},
    "in the subject": {"credentialSubject": {"id": "urn:x:y", "grade": "A"}},
    "in one subject of two": {"credentialSubject": [{"id": "urn:x:y"}, {"grade": "A"}]},
    "in the issuer": {"issuer": {"id": DID, "rank": 1}},
    "of the credential, in the subject": {"credentialSubject": {"validFrom": "2020-01-01T00:00:00Z"}},
    "in a status": {"credentialStatus": {"type": "BitstringStatusListEntry", "statusColour": "red"}},
    "in a status of another type": {"credentialStatus": {"type": "urn:a:S", "statusListIndex": "7"}},
    "in a proof": {"proof": {"type": "DataIntegrityProof", "signed": True}},
    "below a term that is mapped": {
        "@context": [BASE_CONTEXT, {"test": "urn:a:test"}],
        "credentialSubject": {"test": {"force": 5}},
    },
    "beside the node of its type": {
        "@context": [
            BASE_CONTEXT,
            {"Part": {"@id": "urn:a:Part", "@context": {"grade": "urn:a:grade"}}, "of": "urn:a:of"},
        ],
        "credentialSubject": {"type": "Part", "of": {"grade": "A"}},
    },
    "that is taken out": {
        "@context": [BASE_CONTEXT, {"@vocab": "urn:a:"}, {"grade": None}],
        "credentialSubject": {"grade": "A"},
    },
    "whose definition is null": {
        "@context": [BASE_CONTEXT, {"@vocab": "urn:a:"}, {"grade": {"@id": None}}],
        "credentialSubject": {"grade": "A"},
    },
    "after the vocabulary is taken out": {
        "@context": [BASE_CONTEXT, {"@vocab": "urn:a:"}, {"@vocab": None}],
        "credentialSubject": {"grade": "A"},
    },
    "that is defined by a word": {
        "@context": [BASE_CONTEXT, {"grade": "quality"}],
        "credentialSubject": {"grade": "A"},
    },
    "of a context in another part": {
        "credentialSubject": {"@context": {"grade": "urn:a:grade"}, "grade": 1},
        "evidence": {"type": "urn:a:E", "grade": 1},
    },
    "after the contexts are cleared": {"credentialSubject": {"@context": None, "id": "urn:x:y"}},
}
BAD: dict[str, dict[str, Any]] = {
    "no context": {"@context": ...},
    "a context that is a text": {"@context": BASE_CONTEXT},
    "no base context": {"@context": ["https://a.example/c"]},
    "the base context later": {"@context": ["https://a.example/c", BASE_CONTEXT]},
    "the context of version 1": {"@context": ["https://www.w3.org/2018/credentials/v1"]},
    "a number among the contexts": {"@context": [BASE_CONTEXT, 5]},
    "a context that is no URL": {"@context": [BASE_CONTEXT, "context"]},
    "a context that redefines a type": {"@context": [BASE_CONTEXT, {"VerifiableCredential": "https://a.example/V"}]},
    "a context that redefines type": {"@context": [BASE_CONTEXT, {"type": "https://a.example/type"}]},
    "an id that is no URL": {"id": "certificate 5"},
    "two ids": {"id": ["urn:a:b", "urn:a:c"]},
    "an id of nothing": {"id": None},
    "no type": {"type": ...},
    "another type": {"type": ["Certificate"]},
    "an empty type": {"type": []},
    "a type that nothing maps": {"type": ["VerifiableCredential", "Unmapped"]},
    **{f"a term that nothing maps: {says}": members for says, members in UNMAPPED.items()},
    "a type of the subject that nothing maps": {"credentialSubject": {"type": "Part"}},
    "a type of the status that nothing maps": {"credentialStatus": {"type": ["BitstringStatusListEntry", "Mine"]}},
    "a type of the proof that nothing maps": {"proof": {"type": "MySignature"}},
    "a redefined term of tokens": {"@context": [BASE_CONTEXT, {"exp": "https://a.example/exp"}]},
    "a subject of many levels": {"credentialSubject": json.loads('{"urn:a:b":' * 70 + "1" + "}" * 70)},
    "a list of many levels": {"credentialSubject": {"urn:a:b": json.loads("[" * 70 + "]" * 70)}},
    "a type that is a number": {"type": ["VerifiableCredential", 5]},
    "no issuer": {"issuer": ...},
    "an issuer that is no URL": {"issuer": "inspector"},
    "an issuer without id": {"issuer": {"name": "Inspector"}},
    "an issuer whose id is nothing": {"issuer": {"id": None}},
    "two issuers": {"issuer": [DID, DID]},
    "no subject": {"credentialSubject": ...},
    "an empty subject": {"credentialSubject": {}},
    "no subjects": {"credentialSubject": []},
    "one empty subject of two": {"credentialSubject": [{"a": 1}, {}]},
    "a subject that is a text": {"credentialSubject": "urn:x:y"},
    "a subject whose id is no URL": {"credentialSubject": {"id": "part 7"}},
    "a date without time": {"validFrom": "2020-01-01"},
    "a time without offset": {"validFrom": "2020-01-01T00:00:00"},
    "a day that is none": {"validUntil": "2027-02-29T00:00:00Z"},
    "a time that is a number": {"validUntil": 5},
    "an end before the beginning": {"validFrom": "2021-01-01T00:00:00Z", "validUntil": "2020-01-01T00:00:00Z"},
    "a name that is a number": {"name": 5},
    "names without languages": {"name": ["a", "b"]},
    "a name with another member": {"name": {"@value": "a", "url": "did:x:y"}},
    "a direction that is none": {"description": {"@value": "a", "@direction": "up"}},
    "an issuer's name that is a number": {"issuer": {"id": DID, "name": 5}},
    "a status without type": {"credentialStatus": {"id": "urn:x:y"}},
    "a status of nothing": {"credentialStatus": None},
    "a status whose id is no URL": {"credentialStatus": {"type": "A", "id": "5"}},
    "a schema without id": {"credentialSchema": {"type": "JsonSchema"}},
    "a schema without type": {"credentialSchema": {"id": "https://a.example/s"}},
    "evidence without type": {"evidence": [{"type": "A"}, {}]},
    "terms without type": {"termsOfUse": {"id": "urn:x:y"}},
    "a refresh service without type": {"refreshService": {"id": "urn:x:y"}},
    "a proof without type": {"proof": {"created": "2020-01-01T00:00:00Z"}},
    "a related resource without digest": {"relatedResource": [{"id": "https://a.example"}]},
    "a related resource without id": {"relatedResource": [{"digestMultibase": "u1"}]},
    "a related resource twice": {"relatedResource": [{"id": "urn:a:b", "digestMultibase": "u1"}] * 2},
    "a digest that is none": {"relatedResource": [{"id": "urn:a:b", "digestSRI": "md5-AAAA"}]},
    "a media type that is none": {"relatedResource": [{"id": "urn:a:b", "digestMultibase": "u1", "mediaType": "text"}]},
}


def _with(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**MINIMAL, **members}.items() if value is not ...}


@pytest.mark.parametrize("says", GOOD)
def test_good_credentials(says: str) -> None:
    check_credential(_with(GOOD[says]))


@pytest.mark.parametrize("says", BAD)
def test_bad_credentials(says: str) -> None:
    with pytest.raises(CredentialError):
        check_credential(_with(BAD[says]))


def _examples(kind: str) -> list[Path]:
    return sorted((CORPUS / "vc" / "vcdm" / "schema" / kind).glob("example-*.json"))


@pytest.mark.parametrize("path", _examples("verifiable-credential"), ids=lambda path: path.stem)
def test_published_credentials(path: Path) -> None:
    check_credential(json.loads(path.read_text(encoding="utf-8")))
