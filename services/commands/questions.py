"""What `millmark init` and `millmark join` ask a person, unless flags say it: on a terminal only."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import typer

from millmark.ledger.errors import InputError, SigningError
from millmark.ledger.keys import LocalSigner, create_keystore, open_signer, read_passphrase, write_private
from millmark.ledger.signatures import Signer
from millmark.services.commands.context import ask
from millmark.services.home import Layout
from millmark.services.output import print_lines

_RANDOM_BYTES = 24


@dataclass(frozen=True, slots=True)
class Question:
    """Something that a flag says, or a person is asked."""

    flag: str
    text: str
    default: str = ""
    required: bool = True


def answers_to(
    given: Mapping[str, str | None], questions: Mapping[str, Question], passphrase_file: Path | None
) -> dict[str, str]:
    """What was given as flags and, on a terminal, asked for. Without one, missing flags are one error."""
    missing = [name for name, value in given.items() if value is None]
    if not sys.stdin.isatty():
        lacking = [questions[name].flag for name in missing if questions[name].required and not questions[name].default]
        lacking += ["--passphrase-file"] if passphrase_file is None else []
        if lacking:
            raise InputError(f"{', '.join(lacking)} missing, and there is no terminal to ask on", hint="give the flags")
        asked = {name: questions[name].default for name in missing}
    else:
        asked = {name: _ask(questions[name]) for name in missing}
    return {name: asked.get(name, value) or "" for name, value in given.items()}


def _ask(question: Question) -> str:
    while True:
        answer = str(typer.prompt(question.text, default=question.default, show_default=bool(question.default))).strip()
        if answer or not question.required:
            return answer


@dataclass(frozen=True, slots=True)
class Secret:
    """The passphrase of all keys of a home."""

    file: Path | None
    """Where it is kept; None if a person types it."""
    text: str

    def named_in(self, layout: Layout) -> str | None:
        """The file as the settings name it: relative to the home if it is inside, so that the home can be moved."""
        if self.file is None:
            return None
        whole, home = self.file.resolve(), layout.home.resolve()
        return str(whole.relative_to(home)) if whole.is_relative_to(home) else str(whole)

    def open_key(self, path: Path) -> Signer:
        """The key in a keystore, which is made if it does not exist. Raises SigningError."""
        if not path.exists():
            signer = LocalSigner.generate()
            create_keystore(path, self.text, signer=signer)
            return signer  # opening it again would take another second
        return open_signer(f"keystore:{path}", prompt=lambda _: self.text)


def read_secret(layout: Layout, file: Path | None) -> Secret:
    """The passphrase in a file, which is made with a random one if it does not exist; or one that a person types, twice
    for new keys."""
    if file is not None:
        if not file.exists():
            write_private(file, secrets.token_urlsafe(_RANDOM_BYTES).encode() + b"\n")
            print_lines(f"made a passphrase in {file}; keep a copy")
        return Secret(file, read_passphrase(file))
    text = ask("Passphrase of the keys: ")
    if not layout.key.exists() and ask("Repeat the passphrase: ") != text:
        raise SigningError("the two passphrases differ", hint="try again")
    return Secret(None, text)


def parse_place(text: str, name: str | None) -> tuple[str | None, int]:
    """Host name and port of a gateway: from PORT or NAME:PORT, and from a flag that names the host. Raises InputError.

    One question asks for both, and who gives only a port is asked for no name.
    """
    host, _, port = text.rpartition(":")
    if name and host and host != name:
        raise InputError(f"the gateway cannot be both {name} and {host[:80]!a}", hint="give one name")
    found = name or host or None
    if found is not None:
        from millmark.services.home.authority import verify_hostname  # noqa: PLC0415 - X.509, used with a name only

        verify_hostname(found)
    return found, _parse_port(port)


def _parse_port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise InputError(f"{text[:20]!a} is not a port", hint="give a number from 1 to 65535")
    return int(text)
