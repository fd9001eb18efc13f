"""`millmark documents`: store documents encrypted, share them with partners, and open what partners share."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.errors import InputError
from millmark.services.commands.audit import audited
from millmark.services.commands.context import Context, open_context
from millmark.services.commands.document_gateway import (
    guess_media_type,
    keep_opened,
    run_fetch,
    run_found,
    run_publish,
    set_grant,
)
from millmark.services.commands.document_keys import build_keys
from millmark.services.documents import Documents, Draft, KeyRing, new_version_id
from millmark.services.documents.encryption import MAX_DOCUMENT_BYTES, MAX_FILE_BYTES, open_sealed, read_recipient_key
from millmark.services.documents.views import Document, Mode
from millmark.services.files import read_bounded
from millmark.services.handover.delivering import ask_others_to_erase, ask_others_to_erase_all
from millmark.services.output import AsJson, print_json, print_lines, print_table, warn

_RECALL = "copies fetched earlier cannot be recalled"
_MAX_SHOWN = 1000
_GRANT = "Allow a participant to read a restricted document."
_REVOKE = "Revoke a grant. Copies that the participant fetched earlier cannot be recalled."
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
    group.command("grant", help=_GRANT, epilog=example + "grant 5d0f2c6e... 5")(_build_grant(granted=True))
    group.command("revoke", help=_REVOKE, epilog=example + "revoke 5d0f2c6e... 5")(_build_grant(granted=False))
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
        draft.write(read_bounded(file, MAX_DOCUMENT_BYTES))
        _print(context, _documents(opened).add(draft, mode, about, int(time.time())), as_json)


def run_update(
    context: typer.Context, id_: Id, file: Source, media_type: MediaType = None, as_json: AsJson = False
) -> None:
    """Add a version to a document, encrypted under a key of its own; earlier versions are kept."""
    with open_context(context.obj) as opened, audited(opened.settings, "documents update", id_):
        documents = _documents(opened)
        with Draft(documents.next_version_id(id_), file.name, guess_media_type(file, media_type)) as draft:
            draft.write(read_bounded(file, MAX_DOCUMENT_BYTES))
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
    opened = open_sealed(read_bounded(file, MAX_FILE_BYTES), read_recipient_key(key))
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
