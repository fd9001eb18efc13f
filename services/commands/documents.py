"""`millmark documents`: store documents encrypted, share them with partners, and open what partners share."""

from __future__ import annotations

import mimetypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import parse_json
from millmark.ledger.chain import read_deployment
from millmark.ledger.errors import InputError
from millmark.ledger.verify.printable import printable
from millmark.services.commands.audit import audited
from millmark.services.commands.context import Context, open_context, unlock
from millmark.services.directory.document import sign_statement
from millmark.services.documents import Documents, Draft, KeyRing, encryption, new_version_id
from millmark.services.documents.client import HttpDocuments
from millmark.services.documents.views import Document, Mode
from millmark.services.files import read_bounded, write_private_whole
from millmark.services.handover.delivering import ask_others_to_erase, ask_others_to_erase_all
from millmark.services.node.config import read_secret
from millmark.services.output import (
    AsJson,
    Gateway,
    PassphraseFile,
    SignerUri,
    TokenFile,
    print_document,
    print_json,
    print_lines,
    print_table,
    warn,
)
from millmark.services.settings import read_settings

DocumentId = Annotated[str, typer.Argument(metavar="ID", help="Document id: 32 hexadecimal digits, as `found` shows.")]


@contextmanager
def open_client(gateway: str, token_file: Path) -> Iterator[HttpDocuments]:
    """A client of a gateway's document routes, closed on exit. Raises SettingsError for a token file that other users
    can read."""
    documents = HttpDocuments(gateway, read_secret(token_file))
    try:
        yield documents
    finally:
        documents.close()


def verify_id(document: str) -> str:
    """Verifies that text is a document id, since it becomes part of the request's path. Raises InputError."""
    if len(document) != 32 or not set(document) <= set("0123456789abcdef"):
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
    content = read_bounded(file, encryption.MAX_DOCUMENT_BYTES)
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
    private = encryption.read_recipient_key(key)
    with open_client(gateway, token_file) as documents:
        # The version is fixed before fetching: a newer one may be added in between.
        wanted = _of(documents.get(verify_id(document)))[1]["version"] if version is None else version
        opened = encryption.open_sealed(documents.fetch(verify_id(document), _number(wanted)), private)
    _verify_place(opened, document, _number(wanted))
    keep_opened(context, opened, output, as_json=as_json)


def keep_opened(context: typer.Context, opened: encryption.OpenedDocument, output: Path, *, as_json: bool) -> None:
    """Writes an opened document to a file that only its owner reads, and tells what its sender calls it."""
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


def _verify_place(opened: encryption.OpenedDocument, document: str, version: int) -> None:
    """Raises SealBrokenError for another document or version, even one that the gateway may share with us."""
    found = opened.header.version_id
    if (found.document, found.version) != (document, version):
        raise encryption.SealBrokenError(
            "the gateway sent a document other than the requested one", hint="tell the gateway's operator"
        )


def _of(found: dict[str, object]) -> tuple[str, dict[str, object]]:
    """Id and latest version of a document in the gateway's JSON form. Raises GatewayAnswerError."""
    versions = found.get("versions")
    if not isinstance(versions, list) or not versions or not isinstance(versions[-1], dict):
        raise encryption.GatewayAnswerError("the gateway's response is malformed", hint="try again")
    latest = versions[-1]
    if not {"version", "name", "root"} <= latest.keys():
        raise encryption.GatewayAnswerError("the gateway's response is malformed", hint="try again")
    return str(found.get("document")), latest


def _number(value: object) -> int:
    if type(value) is not int or not 1 <= value < 2**31:
        raise encryption.GatewayAnswerError("the gateway's response is malformed", hint="try again")
    return value


_MAX_STATEMENT_BYTES = 4096

KeyFile = Annotated[Path, typer.Argument(help="Recipient key file (mode 0600).", dir_okay=False)]


def build_keys() -> typer.Typer:
    example = "Example: millmark documents keys "
    group = typer.Typer(
        no_args_is_help=True,
        help="Create, sign and publish the key that documents are encrypted for; rotate the gateway's own keys.",
        epilog=example + "new recipient.json",
    )
    group.command("new", epilog=example + "new recipient.json")(run_new_key)
    group.command("sign", epilog=example + "sign recipient.json --signer keystore:owner.json > key.json")(run_sign_key)
    publish = "publish key.json --gateway https://gateway.example --token-file token"
    group.command("publish", epilog=example + publish)(run_publish_key)
    group.command("rotate", epilog=example + "rotate")(run_rotate_keys)
    return group


def run_new_key(file: KeyFile) -> None:
    """Create a recipient key (X25519) in a new file and print its public part. The private part stays in the file."""
    print_lines("0x" + encryption.create_recipient_key(file).hex())


def run_sign_key(
    context: typer.Context, file: KeyFile, signer: SignerUri, passphrase_file: PassphraseFile = None
) -> None:
    """Sign, with a key of the participant, a statement that the recipient key is its own; prints it for `keys publish`.

    Neither chain nor index is needed: the deployment file names the ledger.
    """
    # No database is opened, so that the company's signing key may stay on another machine.
    public_key = encryption.read_recipient_key(file).public_key().public_bytes_raw()
    settings = read_settings(context.obj)
    unlocked, deployment = unlock(settings, signer, passphrase_file), read_deployment(settings.deployment_path)
    statement = sign_statement(deployment.chain_id, deployment.ledger, public_key, int(time.time()), unlocked)
    print_document(
        {
            "public_key": "0x" + public_key.hex(),
            "issued_at": statement.issued_at,
            "signature": "0x" + statement.signature.hex(),
        },
    )


def run_publish_key(
    file: Annotated[Path, typer.Argument(help="File with the output of `keys sign`.", dir_okay=False)],
    gateway: Gateway,
    token_file: TokenFile,
) -> None:
    """Register the key at a gateway, which from then on encrypts documents for it. It replaces an earlier key."""
    statement = parse_json(read_bounded(file, _MAX_STATEMENT_BYTES), max_bytes=_MAX_STATEMENT_BYTES, max_depth=2)
    with open_client(gateway, token_file) as documents:
        documents.publish_key(statement)
    print_lines(f"{gateway} encrypts documents for this key from now on")


def run_rotate_keys(context: typer.Context) -> None:
    """Encrypt all data keys of this gateway's documents under a new key and drop the old one, which stays in a file
    beside the key file for a day. The gateway may keep running."""
    with open_context(context.obj) as opened, audited(opened.settings, "documents keys rotate", ""):
        count = Documents(opened.store, KeyRing(opened.settings.document_keys_path)).rotate()
    print_lines(f"{count} data keys are encrypted under a new key; older backups of the key file are now useless")


_RECALL = "copies fetched earlier cannot be recalled"
_MAX_SHOWN = 1000
Id = Annotated[str, typer.Argument(metavar="ID", help="Document id, as `list` shows it.")]
Number = Annotated[int, typer.Argument(min=1, max=2**32 - 1, help="Number of a participant.")]
OwnGateway = Annotated[
    str | None, typer.Option("--gateway", metavar="URL", help="Your company's gateway; by default the local store.")
]
OwnTokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="File (mode 0600) with a token or API key of that gateway.")
]
Source = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="File with the document.")]
MediaType = Annotated[str | None, typer.Option("--type", help="Media type; guessed from the file name if omitted.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Store, share and open encrypted documents.")
    example = "Example: millmark documents "
    group.command("add", epilog=example + "add drawing.pdf --about urn:example:hip-1 --mode linked")(run_add)
    group.command("update", epilog=example + "update 5d0f2c6e... drawing.pdf")(run_update)
    group.command("list", epilog=example + "list --about urn:example:hip-1 --json")(run_list)
    group.command("mode", epilog=example + "mode 5d0f2c6e... restricted")(run_mode)
    granting = "Allow a participant to read a restricted document."
    group.command("grant", help=granting, epilog=example + "grant 5d0f2c6e... 5")(_build_grant(granted=True))
    revoking = "Revoke a grant. Copies that the participant fetched earlier cannot be recalled."
    group.command("revoke", help=revoking, epilog=example + "revoke 5d0f2c6e... 5")(_build_grant(granted=False))
    group.command("erase", epilog=example + "erase 5d0f2c6e...")(run_erase)
    group.command("erase-field", epilog=example + "erase-field 0x5e... /engraving")(run_erase_field)
    where = "--gateway https://gateway.example --token-file token"
    group.command("publish", epilog=example + f"publish drawing.pdf --about urn:example:hip-1 {where}")(run_publish)
    group.command("found", epilog=example + f"found --about urn:example:hip-1 {where}")(run_found)
    group.command("fetch", epilog=example + f"fetch 5d0f2c6e... --key recipient.json -o drawing.pdf {where}")(run_fetch)
    group.command("open", epilog=example + "open drawing.sealed --key recipient.json -o drawing.pdf")(run_open)
    group.add_typer(build_keys(), name="keys")
    app.add_typer(group, name="documents")


def run_add(
    context: typer.Context,
    file: Source,
    about: Annotated[str | None, typer.Option(help="Identifier of the lot or order that it is about.")] = None,
    mode: Annotated[Mode, typer.Option(help="Access mode: who may read the document.")] = Mode.PRIVATE,
    media_type: MediaType = None,
    as_json: AsJson = False,
) -> None:
    """Store a document, encrypted under a key of its own; prints its id and the root that a record can commit to."""
    version_id = new_version_id()  # drawn here, so that the audit entry names the document even if adding it fails
    with (
        open_context(context.obj) as opened,
        audited(opened.settings, "documents add", version_id.document),
        Draft(version_id, file.name, guess_media_type(file, media_type)) as draft,
    ):
        draft.write(read_bounded(file, encryption.MAX_DOCUMENT_BYTES))
        _print(context, _documents(opened).add(draft, mode, about, int(time.time())), as_json)


def run_update(
    context: typer.Context, id_: Id, file: Source, media_type: MediaType = None, as_json: AsJson = False
) -> None:
    """Add a version to a document, encrypted under a key of its own; earlier versions are kept."""
    with open_context(context.obj) as opened, audited(opened.settings, "documents update", id_):
        documents = _documents(opened)
        with Draft(documents.next_version_id(id_), file.name, guess_media_type(file, media_type)) as draft:
            draft.write(read_bounded(file, encryption.MAX_DOCUMENT_BYTES))
            _print(context, documents.add_version(draft, int(time.time())), as_json)


def run_list(
    context: typer.Context,
    about: Annotated[str | None, typer.Option(help="Only documents about this lot or order.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the documents stored here."""
    with open_context(context.obj) as opened:
        page = _documents(opened).page(about, "", _MAX_SHOWN, None)
    if page.next is not None:
        warn(f"millmark: only the first {_MAX_SHOWN} are shown; narrow the list with --about")
    if as_json:
        print_json(context, {"documents": [one.to_json() for one in page.documents]})
        return
    columns = ["id", "mode", "about", "version", "name", "root", "named"]
    print_table("documents", columns, [_row(one) for one in page.documents])


def run_mode(context: typer.Context, id_: Id, mode: Mode, as_json: AsJson = False) -> None:
    """Change who may read a document from now on. Leaving the mode `restricted` ends all grants."""
    with open_context(context.obj) as opened, audited(opened.settings, "documents mode", id_):
        _print(context, _documents(opened).set_mode(id_, mode), as_json, _RECALL)


def _build_grant(*, granted: bool) -> Callable[..., None]:
    def run(
        context: typer.Context,
        id_: Id,
        participant: Number,
        gateway: OwnGateway = None,
        token_file: OwnTokenFile = None,
        as_json: AsJson = False,
    ) -> None:
        if gateway is not None:
            set_grant(id_, participant, gateway, token_file, granted=granted)
            return
        action = f"documents {'grant' if granted else 'revoke'}"
        with open_context(context.obj) as opened, audited(opened.settings, action, f"{id_} {participant}"):
            documents = _documents(opened)
            if granted:
                _print(context, documents.grant(id_, participant, int(time.time())), as_json)
            else:
                _print(context, documents.revoke(id_, participant), as_json, _RECALL)

    return run


def run_erase(context: typer.Context, id_: Id, as_json: AsJson = False) -> None:
    """Erase a document irreversibly: content, keys, name and salts. A root in a record then reveals nothing.
    Gateways to which a record's claims on it were handed over erase these too; backups and fetched copies are not
    affected."""
    with open_context(context.obj) as opened, audited(opened.settings, "documents erase", id_):
        documents = _documents(opened)
        roots = [one.root for one in documents.get(id_, None).versions]
        # Noted first: were it cut off between the two, the others would be told, and the command repeated.
        told = ask_others_to_erase_all(opened.store, roots, opened.settings.gateway_participant)
        _print(context, documents.erase(id_, int(time.time())), as_json, f"{_describe_told(told)}{_RECALL}")


def run_erase_field(
    context: typer.Context,
    root: Annotated[str, typer.Argument(help="Claims root, 0x and 64 hexadecimal digits.")],
    pointers: Annotated[list[str], typer.Argument(help="Fields, as JSON pointers (RFC 6901).")],
) -> None:
    """Erase fields of a claims document in the private book. Its root and the proofs of other fields stay valid."""
    try:
        committed = bytes.fromhex(root.removeprefix("0x"))
    except ValueError:
        raise InputError(f"{root[:80]!a} is not a claims root", hint="give 0x and 64 hexadecimal digits") from None
    paths = [_path(pointer) for pointer in pointers]
    with open_context(context.obj) as opened, audited(opened.settings, "documents erase-field", root):
        # Noted first: were it cut off between the two, the others would be told, and the command repeated.
        told = ask_others_to_erase(opened.store, committed, paths, opened.settings.gateway_participant)
        _documents(opened).erase_fields(committed, paths)
    print_lines(f"erased {', '.join(pointers)}; {_describe_told(told)}{_RECALL}")


def _describe_told(told: int) -> str:
    return f"{told} hand-overs are sent again, so that others erase it too; " if told else ""


def run_open(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Sealed file, as the gateway sent it.")],
    key: Annotated[Path, typer.Option(help="Recipient key file.", dir_okay=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.", dir_okay=False)],
    as_json: AsJson = False,
) -> None:
    """Decrypt a sealed document offline, and check that it is the one that its root commits to."""
    opened = encryption.open_sealed(read_bounded(file, encryption.MAX_FILE_BYTES), encryption.read_recipient_key(key))
    keep_opened(context, opened, output, as_json=as_json)


def _documents(opened: Context) -> Documents:
    return Documents(opened.store, KeyRing(opened.settings.document_keys_path))


def _path(pointer: str) -> tuple[str | int, ...]:
    """Parses a JSON pointer (RFC 6901). Raises InputError.

    A step of digits is taken as an array index: unlike claims, a pointer does not distinguish arrays from objects.
    """
    if not pointer.startswith("/"):
        raise InputError(f"{pointer[:80]!a} is not a JSON pointer", hint="begin it with a slash: /engraving")
    steps = (part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))
    return tuple(int(step) if step.isascii() and step.isdigit() else step for step in steps)


def _row(one: Document) -> list[object]:
    last = one.versions[-1]
    about = (one.about.identifier or "0x" + one.about.subject.hex()) if one.about else ""
    named = " ".join(str(grant.participant.participant) for grant in one.grants or ())
    name = "(erased)" if one.erased_at else last.name
    return [one.document, one.mode.value, about, last.version, name, "0x" + last.root.hex(), named]


def _print(context: typer.Context, one: Document, as_json: bool, note: str = "") -> None:
    if as_json:
        print_json(context, one.to_json())
        return
    last = one.versions[-1]
    state = "erased" if one.erased_at else one.mode.value
    print_lines(f"{one.document} version {last.version} {state}", f"root 0x{last.root.hex()}")
    if note:
        print_lines(note)
