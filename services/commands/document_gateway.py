"""`millmark documents` over HTTP: publish to a gateway, and fetch the documents it shares with your company."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from millmark.ledger.errors import InputError
from millmark.services.documents.encryption import (
    MAX_DOCUMENT_BYTES,
    GatewayAnswerError,
    OpenedDocument,
    SealBrokenError,
    open_sealed,
    read_recipient_key,
)
from millmark.services.documents.views import Mode
from millmark.services.files import read_bounded, write_private_whole
from millmark.services.output import AsJson, Gateway, TokenFile, print_json, print_lines

if TYPE_CHECKING:
    from millmark.services.documents.client import HttpDocuments

_ID_DIGITS = 32

DocumentId = Annotated[str, typer.Argument(metavar="ID", help="Document id: 32 hexadecimal digits, as `found` shows.")]


@contextmanager
def open_client(gateway: str, token_file: Path) -> Iterator[HttpDocuments]:
    """A client of a gateway's document routes, closed on exit. Raises SettingsError for a token file that other users
    can read."""
    from millmark.services.documents.client import HttpDocuments  # noqa: PLC0415 - an HTTP client, which few commands need
    from millmark.services.node.config import read_secret  # noqa: PLC0415 - likewise

    documents = HttpDocuments(gateway, read_secret(token_file))
    try:
        yield documents
    finally:
        documents.close()


def verify_id(document: str) -> str:
    """Verifies that text is a document id, since it becomes part of the request's path. Raises InputError."""
    if len(document) != _ID_DIGITS or not set(document) <= set("0123456789abcdef"):
        raise InputError(f"{document[:40]!a} is not a document id", hint="give 32 hexadecimal digits")
    return document


def run_publish(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="File to publish.")],
    gateway: Gateway,
    token_file: TokenFile,
    about: Annotated[str | None, typer.Option(help="Identifier of the lot or order that it is about.")] = None,
    mode: Annotated[Mode, typer.Option(help="Access mode: who may read the document.")] = Mode.PRIVATE,
    media_type: Annotated[str | None, typer.Option("--type", help="Media type; by default from the file name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Upload a document to your company's gateway, which encrypts it; prints its id and its root.

    Uploading the same file again within a week creates no second document, so repeat the command after a failed
    connection.
    """
    content = read_bounded(file, MAX_DOCUMENT_BYTES)
    given = {"name": file.name, "mode": mode.value, **({} if about is None else {"about": about})}
    with open_client(gateway, token_file) as documents:
        added = documents.add(content, guess_media_type(file, media_type), given)
    if as_json:
        print_json(context, added)
        return
    document, version = _of(added)
    print_lines(f"{document} version {version['version']} {mode.value}", f"root {version['root']}")


def run_found(
    context: typer.Context,
    gateway: Gateway,
    token_file: TokenFile,
    about: Annotated[str | None, typer.Option(help="Lot or order, by identifier; includes linked documents.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the documents that a gateway shares with your company."""
    with open_client(gateway, token_file) as documents:
        items = documents.page(about)
    if as_json:
        print_json(context, {"documents": items})
        return
    for document, version in map(_of, items):
        print_lines(f"{document} version {version['version']} {version['name']!a}", f"  root {version['root']}")


def run_fetch(
    context: typer.Context,
    document: DocumentId,
    gateway: Gateway,
    token_file: TokenFile,
    key: Annotated[Path, typer.Option(help="Recipient key file.", dir_okay=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.", dir_okay=False)],
    version: Annotated[int | None, typer.Option(min=1, help="Version number; the latest by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a document, decrypt it with the recipient key, and check that it is the one that its root commits to.

    The gateway sends it encrypted for the key that `documents keys publish` registered. Nothing is written if any check
    fails.
    """
    private = read_recipient_key(key)
    with open_client(gateway, token_file) as documents:
        # The version is fixed before fetching: a newer one may be added in between.
        wanted = _of(documents.get(verify_id(document)))[1]["version"] if version is None else version
        opened = open_sealed(documents.fetch(verify_id(document), _number(wanted)), private)
    _verify_place(opened, document, _number(wanted))
    keep_opened(context, opened, output, as_json=as_json)


def keep_opened(context: typer.Context, opened: OpenedDocument, output: Path, *, as_json: bool) -> None:
    """Writes an opened document to a file that only its owner reads, and tells what its sender calls it."""
    from millmark.ledger.verify.statements import printable  # noqa: PLC0415 - brings the verifier, which help needs not

    write_private_whole(output, opened.content)
    root = "0x" + opened.header.recipient.root.hex()
    if as_json:
        print_json(
            context, {"name": opened.name, "media_type": opened.media_type, "size": len(opened.content), "root": root}
        )
        return
    called = f"{printable(opened.name)} ({printable(opened.media_type)}, {len(opened.content)} bytes)"
    print_lines(f"{called} is in {output}", f"root {root}")


def set_grant(document: str, participant: int, gateway: str, token_file: Path | None, *, granted: bool) -> None:
    """Grants or revokes a participant's access at the company's own gateway. Raises InputError without a token file,
    NotFoundError, DocumentError."""
    if token_file is None:
        raise InputError(
            "--gateway needs --token-file",
            hint="give a file with a token or API key that has the scope `document-changes`",
        )
    with open_client(gateway, token_file) as documents:
        change = documents.grant if granted else documents.revoke
        change(verify_id(document), participant)
    word = "may read" if granted else "may not read"
    print_lines(f"participant {participant} {word} {document}")


def guess_media_type(file: Path, stated: str | None) -> str:
    return stated or mimetypes.guess_type(file.name)[0] or "application/octet-stream"


def _verify_place(opened: OpenedDocument, document: str, version: int) -> None:
    """Raises SealBrokenError for another document or version, even one that the gateway may share with us."""
    found = opened.header.version_id
    if (found.document, found.version) != (document, version):
        raise SealBrokenError(
            "the gateway sent a document other than the requested one", hint="tell the gateway's operator"
        )


def _of(found: dict[str, object]) -> tuple[str, dict[str, object]]:
    """Id and latest version of a document in the gateway's JSON form. Raises GatewayAnswerError."""
    versions = found.get("versions")
    if not isinstance(versions, list) or not versions or not isinstance(versions[-1], dict):
        raise GatewayAnswerError("the gateway's response is malformed", hint="try again")
    latest = versions[-1]
    if not {"version", "name", "root"} <= latest.keys():
        raise GatewayAnswerError("the gateway's response is malformed", hint="try again")
    return str(found.get("document")), latest


def _number(value: object) -> int:
    if type(value) is not int or not 1 <= value < 2**31:
        raise GatewayAnswerError("the gateway's response is malformed", hint="try again")
    return value
