"""Signatures of webhooks, by a vector of Standard Webhooks, and everything that a receiver has to refuse."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest

from millmark.ledger.canonical import Json
from millmark.services.webhooks.http_post import (
    TOLERANCE_S,
    Mode,
    SignatureRefusedError,
    build_request,
    new_secret,
    sign,
    verify_webhook,
)

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT_S, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'
EVENT: Mapping[str, Json] = {
    "specversion": "1.0",
    "id": "ledger-1",
    "datacontenttype": "application/json",
    "data": {"name": "Ürün"},
}


def test_the_vector_of_the_specification() -> None:
    headers = sign([KEY], ID, AT_S, BODY)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert verify_webhook(KEY, headers, BODY, now_s=AT_S) == ID


def test_secrets_are_new_and_long() -> None:
    made = {new_secret() for _ in range(20)}
    assert len(made) == 20
    assert all(len(base64.b64decode(one.removeprefix("whsec_"), validate=True)) == 32 for one in made)


def test_both_secrets_sign_while_one_replaces_the_other() -> None:
    old, new = new_secret(), new_secret()
    headers = sign([new, old], ID, AT_S, BODY)
    for key in (old, new):
        assert verify_webhook(key, headers, BODY, now_s=AT_S) == ID
    with pytest.raises(SignatureRefusedError):
        verify_webhook(new_secret(), headers, BODY, now_s=AT_S)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": ID + "x"},
        {"webhook-timestamp": str(AT_S + 1)},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "１"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"webhook-signature": "v1,ü"},
    ],
)
def test_what_was_changed_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(SignatureRefusedError):
        verify_webhook(KEY, {**sign([KEY], ID, AT_S, BODY), **changed}, BODY, now_s=AT_S)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_what_is_missing_is_refused(missing: str) -> None:
    headers = sign([KEY], ID, AT_S, BODY)
    del headers[missing]
    with pytest.raises(SignatureRefusedError):
        verify_webhook(KEY, headers, BODY, now_s=AT_S)


@pytest.mark.parametrize("off_s", [TOLERANCE_S + 1, -TOLERANCE_S - 1])
def test_what_is_old_is_refused(off_s: int) -> None:
    headers = sign([KEY], ID, AT_S, BODY)
    with pytest.raises(SignatureRefusedError):
        verify_webhook(KEY, headers, BODY, now_s=AT_S + off_s)
    assert verify_webhook(KEY, headers, BODY, now_s=AT_S + off_s - (1 if off_s > 0 else -1)) == ID


def test_another_body_is_refused() -> None:
    with pytest.raises(SignatureRefusedError):
        verify_webhook(KEY, sign([KEY], ID, AT_S, BODY), BODY + b" ", now_s=AT_S)


def test_both_ways_to_put_an_event_into_http() -> None:
    headers, body = build_request(EVENT, Mode.STRUCTURED)
    assert headers == {"content-type": "application/cloudevents+json"}
    assert body.decode().startswith('{"specversion":"1.0"')
    headers, body = build_request(EVENT, Mode.BINARY)
    assert headers == {"content-type": "application/json", "ce-specversion": "1.0", "ce-id": "ledger-1"}
    assert body.decode() == '{"name":"Ürün"}'
