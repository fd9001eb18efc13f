"""The demo's home folder: everything that later commands need, including the chain and the companies' keys."""

from __future__ import annotations

import json
from pathlib import Path

from ledger.chain import write_deployment
from ledger.errors import SettingsError
from ledger.keys import write_private
from services.devchain import discard_journal
from services.lab.demo.consortium import Company, Consortium
from services.lab.demo.existing import ExistingChain
from services.lab.demo.production import Line
from services.settings import SETTINGS_FILE

__all__ = ["DISCLOSE", "JOURNAL", "clear_home", "database_of", "settings_of", "write_home"]

JOURNAL = "chain.journal"
_DATABASE = "demo.sqlite"
_KEYS = "keys"
_CHAIN_URL = "http://127.0.0.1:8601"
"""Next to the gateway's own port; another chain may be using 8545."""
DISCLOSE = ("names", "/passport")
"""What the demo's passports disclose beyond the records."""


def database_of(home: Path) -> str:
    """URL of the demo's database."""
    return f"sqlite:///{home / _DATABASE}"


def clear_home(home: Path) -> None:
    """Creates the folder, or deletes chain and database of an earlier demo in it, and nothing else.

    Earlier keys are replaced later, by `write_home`. Raises SettingsError if the folder is not a demo's, or if a
    gateway is still running on it.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{home} cannot be created: {error.strerror}", hint="name another folder") from error
    for name in (SETTINGS_FILE, JOURNAL, _KEYS):
        if (home / name).exists() and not (home / _DATABASE).exists():
            raise SettingsError(
                f"{home} contains files that are not from a demo ({name})", hint="name another folder with --out"
            )
    # The journal first: its lock shows whether a gateway still uses this folder, before anything is deleted.
    discard_journal(home / JOURNAL)
    for leftover in home.glob(f"{_DATABASE}*"):
        leftover.unlink()


def settings_of(existing: ExistingChain) -> dict[str, str]:
    """The settings by which a home finds a chain."""
    return {"chain_url": existing.url, "engine": existing.profile.name}


def write_home(home: Path, line: Line, existing: ExistingChain | None = None) -> None:
    """Writes the buyer's gateway settings, the deployment file and all keys."""
    consortium = line.consortium
    settings: dict[str, str | int | list[str]] = {
        "database": f"sqlite:///{_DATABASE}",
        "passport_disclose": list(DISCLOSE),
        **({"chain_url": _CHAIN_URL, "devchain_journal": JOURNAL} if existing is None else settings_of(existing)),
        "gateway_participant": consortium.buyer.number,
        "gateway_signer": f"file:{_key_file(consortium.buyer)}",
        "gateway_name_keys": [f"file:{_name_key_file(consortium.buyer)}"],
    }
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    (home / SETTINGS_FILE).write_text(text)
    write_deployment(home / "deployment.json", consortium.chain.deployment)
    _write_keys(home, consortium)


def _write_keys(home: Path, consortium: Consortium) -> None:
    """Writes the keys unencrypted; they have no value outside this chain."""
    (home / _KEYS).mkdir(exist_ok=True)
    for company in (consortium.owner, *consortium.companies):
        secrets = ((_key_file(company), company.signer.unsafe_secret()), (_name_key_file(company), company.name_seed))
        for path, secret in secrets:
            (home / path).unlink(missing_ok=True)  # from an earlier run
            write_private(home / path, secret.hex().encode())


def _key_file(company: Company) -> Path:
    return Path(_KEYS, f"{company.name.lower().replace(' ', '-')}.key")


def _name_key_file(company: Company) -> Path:
    return _key_file(company).with_suffix(".names.key")
