"""Companies with homes, databases and gateways of their own, in one process: each gateway is served by a thread."""

from __future__ import annotations

import contextlib
import io
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import typer.main
import uvicorn

from millmark.ledger.errors import MillmarkError
from millmark.ledger.keys import LocalSigner, write_private
from millmark.ledger.signatures import to_checksum
from millmark.ledger.store import Rows
from millmark.services.cli import build_app
from millmark.services.client import Client, open_gateway
from millmark.services.commands.context import open_context
from millmark.services.commands.gateway import _build_parts, _policy
from millmark.services.devchain.server import create_devchain
from millmark.services.directory.document import sign_statement
from millmark.services.directory.repository import DirectoryEntryRow
from millmark.services.documents.encryption import create_recipient_key
from millmark.services.gateway import create_gateway
from millmark.services.handover.delivering import Deliveries
from millmark.services.serving.server import listen
from tests.support.loopback import running, serving
from tests.support.patience import wait_until
from tests.support.ports import pick_port

__all__ = ["Homes", "found_homes"]

ROLES = "BUYER,COORDINATOR,MANUFACTURER,AUDITOR"
COMMAND: Any = typer.main.get_command(
    build_app(
        [
            *(
                "millmark.services.commands.chain",
                "millmark.services.commands.participants",
                "millmark.services.commands.keys",
            ),
            *(
                "millmark.services.commands.plan",
                "millmark.services.commands.bundle",
                "millmark.services.commands.handovers",
            ),
            *(f"millmark.services.commands.acts.{name}" for name in ("orders", "machines")),
        ]
    )
)
"""Made once: with every call, it would take longer than the call."""


@dataclass
class Homes:
    """The companies, by name."""

    folder: Path
    chain_url: str
    names: list[str]
    said: list[str] = field(default_factory=list)

    def call(self, name: str, *words: str) -> str:
        shown, told = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(told):
            COMMAND.main(["--home", str(self.folder / name), *words], standalone_mode=False)
        self.said.append(told.getvalue())
        return shown.getvalue()

    def number(self, name: str) -> int:
        return self.names.index(name) + 1

    def write(self, name: str, file: str, text: str) -> None:
        (self.folder / name / file).write_text(text)

    def wait_for(self, name: str, holds: Callable[[Client], bool]) -> None:
        """Until this company's gateway has what others recorded or handed over."""
        with open_gateway(self.folder / name) as gateway:
            wait_until(lambda: holds(gateway))

    def found(self) -> None:
        operator = self.folder / "operator"
        operator.mkdir()
        (operator / "millmark.toml").write_text(f'chain_url = "{self.chain_url}"\n')
        _key(operator / "owner.key")
        owner = f"--signer=file:{operator / 'owner.key'}"
        self.call("operator", "deploy", owner)
        for number, name in enumerate(self.names, start=1):
            home = self.folder / name
            home.mkdir()
            address = _key(home / "own.key")
            (home / "deployment.json").write_text((operator / "deployment.json").read_text())
            (home / "millmark.toml").write_text(
                f'chain_url = "{self.chain_url}"\ngateway_port = {pick_port()}\ngateway_signer = "file:own.key"\n'
                f'gateway_participant = {number}\ngateway_name_keys = ["file:names.key"]\nfollow_interval_s = 0.1\n'
                'recipient_key = "recipient.json"\n'
            )
            self.call("operator", "participants", "admit", name, address, "--roles", ROLES, owner)
            own = f"--signer=file:{home / 'own.key'}"
            self.call(name, "keys", "accept", str(number), own)
            write_private(home / "names.key", secrets.token_hex(32).encode())
            self.call(name, "keys", "name", f"file:{home / 'names.key'}", own)
        self._list_in_directory()

    def _list_in_directory(self) -> None:
        """What the operator would publish: each company's gateway and its signed key."""
        entries = []
        for number, name in enumerate(self.names, start=1):
            home = self.folder / name
            key = create_recipient_key(home / "recipient.json")
            with open_context(home) as opened:
                chain = opened.chain()
                signer = opened.unlock_company()
                port = opened.settings.gateway_port
            statement = sign_statement(chain.chain_id, chain.ledger, key, 1_700_000_000, signer)
            place = f"http://127.0.0.1:{port}", key, statement.issued_at, statement.signature
            entries.append(DirectoryEntryRow(number, name, "", *place))
        for name in self.names:
            with open_context(self.folder / name) as opened, opened.store.transaction() as connection:
                Rows(connection).insert(entries)

    @contextmanager
    def gateway(self, name: str) -> Iterator[None]:
        with open_context(self.folder / name) as opened:
            settings = opened.settings
            parts = _build_parts(opened, _policy(settings, None), None)
            assert parts.deliveries is not None
            # Tried again at once: on a busy machine the others' indexes may be behind for long.
            patient = Deliveries(opened.store, opened.chain(), opened.unlock_company(), waits_s=(0.2,))
            app = create_gateway(replace(parts, deliveries=patient))
            with listen("127.0.0.1", settings.gateway_port) as listener:
                server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
                with running(server, listener):
                    wait_until(lambda: self._answers(name))
                    yield

    def _answers(self, name: str) -> bool:
        """Whether the gateway knows its own company, for which the commands' key is made."""
        try:
            with open_gateway(self.folder / name) as gateway:
                return gateway.get_session().owner
        except MillmarkError:
            return False


@contextmanager
def found_homes(folder: Path, names: list[str]) -> Iterator[Homes]:
    """Companies whose gateways run."""
    with serving(create_devchain()) as url, ExitStack() as stack:
        homes = Homes(folder, url, names)
        homes.found()
        for name in names:
            stack.enter_context(homes.gateway(name))
        yield homes


def _key(path: Path) -> str:
    secret = secrets.token_bytes(32)
    write_private(path, secret.hex().encode())
    return to_checksum(LocalSigner.from_bytes(secret).address)
