"""A home of the demo in one database, with chain and keys; and the gateways of a finished demonstration."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from millmark.ledger.chain import write_deployment
from millmark.ledger.errors import SettingsError
from millmark.ledger.keys import write_private
from millmark.services.access import OPERATOR
from millmark.services.access.people.people import People
from millmark.services.access.rules import PersonRole
from millmark.services.demo.consortium import Company, Consortium
from millmark.services.demo.given import ExistingChain
from millmark.services.devchain import check_unused, discard_journal
from millmark.services.settings import SETTINGS_FILE, Settings, read_settings
from millmark.services.store import open_store

JOURNAL = "chain.journal"
_DATABASE = "demo.sqlite"
_KEYS = "keys"
FINISHED = "demonstration.json"
"""Written last, so that a demonstration that was interrupted has none (millmark.services.demo.home)."""
FORECASTS = "forecasts"
"""Folder, in that of the demo, of the home with the forecasts: it has a ledger of its own."""
DISCLOSE = ("names", "/passport")
"""What the demo's passports disclose beyond the records."""


def database_of(home: Path) -> str:
    """URL of the demo's database."""
    return f"sqlite:///{home / _DATABASE}"


def clear_home(home: Path) -> None:
    """Creates the folder, or deletes chain and database of an earlier demo in it, and nothing else.

    Earlier keys are replaced later, by `write_home`. Raises SettingsError if the folder is not a demo's, or if a
    gateway is still running on it or on the forecasts in it.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{home} cannot be created: {error.strerror}", hint="name another folder") from error
    _check_ours(home)
    check_forecasts(home)
    # The journal first: its lock shows whether a gateway still uses this folder, before anything is deleted.
    discard_journal(home / JOURNAL)
    for leftover in (*home.glob(f"{_DATABASE}*"), *home.glob(FINISHED)):
        leftover.unlink()


def check_forecasts(folder: Path) -> None:
    """Returns if the home with the forecasts in a demo's folder can be cleared later. Raises SettingsError."""
    _check_ours(folder / FORECASTS)
    check_unused(folder / FORECASTS / JOURNAL)


def _check_ours(home: Path) -> None:
    for name in (SETTINGS_FILE, JOURNAL, _KEYS):
        if (home / name).exists() and not (home / _DATABASE).exists():
            raise SettingsError(
                f"{home} contains files that are not from a demo ({name})", hint="name another folder with --out"
            )


def settings_of(existing: ExistingChain) -> dict[str, str]:
    """The settings by which a home finds a chain."""
    return {"chain_url": existing.url, "engine": existing.profile.name}


def write_home(
    home: Path, consortium: Consortium, company: Company, port: int, existing: ExistingChain | None = None
) -> None:
    """Writes the deployment file, all keys, and the settings of a company's gateway at `port`. It serves the chain at
    the next port, unless that is an `existing` one."""
    own = {"chain_url": f"http://127.0.0.1:{port + 1}", "devchain_journal": JOURNAL}
    settings: dict[str, str | int | list[str]] = {
        "database": f"sqlite:///{_DATABASE}",
        "passport_disclose": list(DISCLOSE),
        **(own if existing is None else settings_of(existing)),
        "gateway_port": port,
        "gateway_participant": company.number,
        "gateway_signer": f"file:{_key_file(company)}",
        "gateway_name_keys": [f"file:{_name_key_file(company)}"],
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


ROLES: Mapping[str, str] = {
    "nordwind-mobility": "buyer",
    "kestrel-coordination": "planner",
    "cedar-assembly": "machine operator",
    "umbra-inspection": "inspector",
    "vector-auditing": "auditor",
    "operator": "operator",
    FORECASTS: "forecasts",
}
"""The role that is shown at a home, by the name of its folder."""
_PEOPLE: Mapping[str, str] = {
    "buyer": "Bea",
    "planner": "Paul",
    "machine operator": "Otto",
    "inspector": "Ines",
    "auditor": "Alma",
    "operator": "Olga",
    "forecasts": "Paul",
}
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """A home with a gateway."""

    home: str
    """Its folder, from that of the demonstration."""
    company: str
    role: str = ""
    """As whom a person enters there; empty if nobody does."""


FORECASTING = Place(FORECASTS, "Kestrel Coordination", ROLES[FORECASTS])
"""On a ledger of its own."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A demonstration that ran to its end."""

    folder: Path
    code: str
    """The link for the code on a part, at the buyer's gateway."""
    places: tuple[Place, ...]
    """The buyer's first: its gateway runs the chain, if that is the demonstration's own."""

    def settings(self, place: Place) -> Settings:
        """Raises SettingsError if the home is not there any more, or cannot be read."""
        home = self.folder / place.home
        if not (home / SETTINGS_FILE).exists():
            raise SettingsError(f"the home {home} is gone", hint=f"run the demonstration again: {_again(self.folder)}")
        return read_settings(home)


def write_finished(folder: Path, code: str, places: Sequence[Place]) -> None:
    """For the owner of the folder alone: the code opens the passport."""
    (folder / FINISHED).unlink(missing_ok=True)
    text = json.dumps({"code": code, "places": [asdict(one) for one in places]}, indent=1)
    write_private(folder / FINISHED, f"{text}\n".encode())


def read_finished(folder: Path) -> Finished:
    """Raises SettingsError if there is no demonstration in the folder, or it was not finished."""
    path, again = folder / FINISHED, _again(folder)
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(_MOST_BYTES))
        return Finished(folder, str(told["code"]), tuple(Place(**one) for one in told["places"]))
    except FileNotFoundError:
        what = "was not finished" if (folder / "operator").exists() else "is not there"
        raise SettingsError(
            f"the demonstration in {folder} {what}", hint=f"run it with {again}, or name its folder with --out"
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", hint=f"run the demonstration again: {again}") from error


def make_link(finished: Finished, place: Place) -> str:
    """The address at which the person of a place enters: a new invitation, which works once, or the sign-in page if
    that person has accepted one before. Raises StoreError, SettingsError."""
    settings, name, now_s = finished.settings(place), _PEOPLE[place.role], int(time.time())
    with open_store(settings.database_url) as store:
        people = People(store, settings.gateway_participant or OPERATOR)
        if name not in (one.name for one in people.listed()):
            code = people.invite(name, PersonRole.ADMINISTRATOR, now_s=now_s).code
            return f"{settings.origin}/portal/invitation#{code}"
        # Those that were not taken would let in a second person of that name.
        for row in people.open_invitations(now_s):
            if row.name == name and not row.person:
                people.withdraw(row.digest)
    return f"{settings.origin}/portal/sign-in"


def _again(folder: Path) -> str:
    return f"`millmark demo --out {folder}`"
