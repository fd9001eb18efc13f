"""The homes of the demonstration: one folder for the operator, one for each company, as `millmark init` and
`millmark join` would make them, but with keys in plain files, which have no value outside this chain."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.chain import Deployment, write_deployment
from millmark.ledger.errors import SettingsError
from millmark.ledger.keys import LocalSigner, write_private
from millmark.ledger.records import Role
from millmark.services.devchain import discard_journal
from millmark.services.directory import DirectoryEntry, sign_statement
from millmark.services.documents.key_files import create_recipient_key, read_recipient_key
from millmark.services.home import AdmissionRequest, Layout
from millmark.services.lab.demo.home import DISCLOSE, FINISHED, FORECASTS, JOURNAL, check_forecasts
from millmark.services.settings import SETTINGS_FILE, build_origin

__all__ = ["Home", "clear_homes", "make_company_home", "make_operator_home", "write_settings"]

_DATABASE = "sqlite:///millmark.sqlite"
_OPERATOR = "operator"
_FOLLOW_S = 2.0
"""How often a gateway looks for new blocks: others wait for what it shows."""


@dataclass(frozen=True, slots=True)
class Home:
    """A folder, and who runs it."""

    name: str
    folder: Path
    port: int
    signer: LocalSigner
    name_seed: bytes

    @property
    def url(self) -> str:
        return build_origin("localhost", self.port, tls=False)

    @property
    def database_url(self) -> str:
        return _DATABASE.replace("sqlite:///", f"sqlite:///{self.folder}/")


def clear_homes(folder: Path) -> None:
    """Creates the folder, or deletes the homes of an earlier demonstration's companies in it, and nothing else: that of
    the forecasts is cleared by itself.

    Raises SettingsError if there are other files, or if a gateway still runs on the chain or on that of the forecasts.
    """
    check_forecasts(folder)
    discard_journal(folder / _OPERATOR / JOURNAL)  # first: its lock shows whether a gateway still uses the chain
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = sorted(path.name for path in folder.iterdir() if path.name != FORECASTS)
        if found and not (folder / _OPERATOR / SETTINGS_FILE).exists():
            raise SettingsError(
                f"{folder} contains files that are not from a demo ({found[0]})", hint="name another folder with --out"
            )
        (folder / FINISHED).unlink(missing_ok=True)
        for name in found:
            if (folder / name / SETTINGS_FILE).exists():
                shutil.rmtree(folder / name)
    except OSError as error:
        raise SettingsError(f"{folder} cannot be made empty: {error}", hint="name another folder") from error


def make_operator_home(folder: Path, port: int, chain: Mapping[str, str]) -> Home:
    """The operator's home, complete but for the deployment. `chain`: the settings by which it finds the chain."""
    home = _make(folder / _OPERATOR, "the operator", port)
    write_settings(home, {**chain, "operator_signer": "file:owner.key"})
    write_private(home.folder / "owner.key", home.signer.unsafe_secret().hex().encode())
    return home


def make_company_home(
    folder: Path,
    name: str,
    roles: Role,
    port: int,
    chain: Mapping[str, str],
    deployment: Deployment,
    operator: Home,
) -> Home:
    """A company's home, with the request that the operator admits it by."""
    home = _make(folder / name.lower().replace(" ", "-"), name, port)
    layout = Layout(home.folder)
    write_private(home.folder / "company.key", home.signer.unsafe_secret().hex().encode())
    write_private(home.folder / "names.key", home.name_seed.hex().encode())
    create_recipient_key(layout.recipient_key)
    write_deployment(layout.deployment, deployment)
    write_settings(
        home,
        {
            **chain,
            "gateway_signer": "file:company.key",
            "gateway_name_keys": ["file:names.key"],
            "recipient_key": layout.recipient_key.name,
            "directory_url": operator.url,
            "passport_disclose": list(DISCLOSE),
            # The demonstration looks itself, so that things happen in one order.
            "gateway_feedback": False,
        },
    )
    public_key = read_recipient_key(layout.recipient_key).public_key().public_bytes_raw()
    chain_id, ledger = deployment.chain_id, deployment.ledger
    statement = sign_statement(chain_id, ledger, public_key, int(time.time()), home.signer)
    entry = DirectoryEntry(0, name, None, home.url, statement)
    layout.request.write_bytes(AdmissionRequest(chain_id, ledger, home.signer.address, roles, entry).to_bytes())
    return home


def _make(folder: Path, name: str, port: int) -> Home:
    Layout(folder).create_folder()
    return Home(name, folder, port, LocalSigner.generate(), secrets.token_bytes(32))


def write_settings(home: Home, more: Mapping[str, str | int | Sequence[str]]) -> None:
    """Writes the settings file of a home."""
    common: dict[str, str | int | float] = {
        "database": _DATABASE,
        "gateway_port": home.port,
        "follow_interval_s": _FOLLOW_S,
    }
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in {**common, **more}.items())
    (home.folder / SETTINGS_FILE).write_text(text)
