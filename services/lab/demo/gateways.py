"""The gateways of a finished demonstration, and a person for each role, who enters by a link."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from millmark.ledger.errors import SettingsError
from millmark.ledger.keys import write_private
from millmark.services.access import OPERATOR
from millmark.services.access.people.people import People
from millmark.services.access.people.roles import PersonRole
from millmark.services.lab.demo.home import FINISHED, FORECASTS
from millmark.services.settings import SETTINGS_FILE, Settings, read_settings
from millmark.services.store import open_store

__all__ = ["FORECASTING", "ROLES", "Finished", "Place", "make_link", "read_finished", "write_finished"]

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
    """The address at which the person of a place enters: an invitation, to be taken once; for whoever has taken one,
    the page to sign in. Raises StoreError, SettingsError."""
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
