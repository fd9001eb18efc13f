"""The home with forecasts that the demonstration leaves, opened as its gateway opens it: with its chain made again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millmark.ledger.chain import Chain, Node, find_profile
from millmark.ledger.chain.deploying import read_deployment
from millmark.ledger.keys import open_signer
from millmark.ledger.store import Store
from millmark.services.demo.home import JOURNAL
from millmark.services.devchain import JournaledChain
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.portal import Proofs
from millmark.services.settings import Auth, Settings, read_settings
from millmark.services.store import open_store
from tests.support.sign_in import open_session

__all__ = ["DemandHome", "open_demand_home"]


@dataclass(frozen=True, slots=True)
class DemandHome:
    """The coordinator's side."""

    settings: Settings
    store: Store
    chain: Chain

    @property
    def owner(self) -> int:
        number = self.settings.gateway_participant
        assert number is not None
        return number

    def session(self, now_s: int) -> str:
        """Of whoever holds the coordinator's key."""
        return open_session(self.store, self.owner, now_s, open_signer(str(self.settings.gateway_signer_uri)).address)

    def gateway(self, url: str) -> Any:
        """The application, for browsers that reach it at this address."""
        policy = build_policy(Auth.REQUIRED, url=url, owner=self.owner)
        return create_gateway(
            GatewayParts(self.store, policy, absent_every_s=0, proofs=Proofs(self.store, self.chain, None))
        )


@contextmanager
def open_demand_home(home: Path) -> Iterator[DemandHome]:
    """The home in this folder."""
    settings = read_settings(home)
    with closing(JournaledChain(home / JOURNAL)) as transport, open_store(settings.database_url) as store:
        chain = Chain(Node(transport), find_profile("embedded"), read_deployment(home / "deployment.json"))
        yield DemandHome(settings, store, chain)
