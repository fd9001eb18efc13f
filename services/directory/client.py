"""Fetches the directory from a gateway, signed in with a key of a participant. Responses are untrusted: the directory
is checked before it is believed (millmark.services.directory.following), and only sign-in messages of the form and for
the gateway that was asked are signed."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

from millmark.ledger import canonical, errors, signatures
from millmark.services.access.siwe import build_digest, parse_message
from millmark.services.directory.document import (
    MAX_DIRECTORY_BYTES,
    DirectoryUnreachableError,
    SignedDirectory,
    parse_directory,
)
from millmark.services.serving.partners import explain_connection

DIRECTORY_PATH = "/v1/directory"
_SESSIONS = "/v1/sessions"
_TIMEOUT_S = 10.0
_MAX_ANSWER_BYTES = 1 << 16
_MAX_TEXT = 300


def fetch_directory(
    url: str,
    signer: signatures.Signer,
    chain_id: int,
    client: httpx.Client | None = None,
    *,
    tls: ssl.SSLContext | None = None,
) -> SignedDirectory:
    """The directory that a gateway serves, parsed and not checked. Raises DirectoryUnreachableError with the gateway's
    reason, and DirectoryError if what is served is not a directory. `tls`: by default, the machine's authorities."""
    # Without the environment's proxies and .netrc: the token is for this gateway only.
    with client or httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False, verify=tls or True) as opened:
        token = _sign_in(opened, url, signer, chain_id)
        answer = _ask(
            opened, url, "GET", DIRECTORY_PATH, MAX_DIRECTORY_BYTES, headers={"Authorization": f"Bearer {token}"}
        )
    return parse_directory(answer)


def _sign_in(client: httpx.Client, url: str, signer: signatures.Signer, chain_id: int) -> str:
    asked = _object(_ask(client, url, "GET", f"/v1/sign-in?address={signatures.to_checksum(signer.address)}"), url)
    text = str(asked.get("message"))
    message = parse_message(text)
    # A gateway could pass on the message of another one, to sign in there in our name.
    if (message.uri, message.domain, message.chain_id, message.address) != (
        f"{url}{_SESSIONS}",
        urlsplit(url).netloc,
        chain_id,
        signer.address,
    ):
        raise DirectoryUnreachableError(
            f"{url} asks for a signature that is meant for another address, chain or key",
            hint="check directory_url; nothing was signed",
        )
    signature = "0x" + signer.sign_digest(build_digest(text)).to_bytes().hex()
    session = _ask(client, url, "POST", _SESSIONS, json={"message": text, "signature": signature})
    return str(_object(session, url).get("token"))


def _ask(
    client: httpx.Client, url: str, method: str, path: str, most_bytes: int = _MAX_ANSWER_BYTES, **sent: object
) -> bytes:
    content = b""
    try:
        with client.stream(method, path, **sent) as answer:  # type: ignore[arg-type]  # as httpx names them
            for part in answer.iter_bytes():
                content += part
                if len(content) > most_bytes:
                    raise _failure(url, f"its answer exceeds {most_bytes} bytes")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _failure(url, explain_connection(error)) from None
    if not answer.is_success:
        # On one line and bounded: the text comes from the gateway and is printed on a terminal.
        told = _object(content, url).get("detail", f"status {answer.status_code}")
        raise _failure(url, ascii(" ".join(str(told).split())[:_MAX_TEXT])[1:-1])
    return content


def _object(content: bytes, url: str) -> Mapping[str, canonical.Json]:
    try:
        found = canonical.parse_json(content, max_bytes=_MAX_ANSWER_BYTES, max_depth=8)
    except errors.CanonicalError:
        found = None
    if not isinstance(found, dict):
        raise _failure(url, "its answer is malformed")
    return found


def _failure(url: str, why: str) -> errors.MillmarkError:
    return DirectoryUnreachableError(
        f"the directory cannot be fetched from {url}: {why}",
        hint="nothing was changed; it is tried again later, or import the operator's file",
    )
