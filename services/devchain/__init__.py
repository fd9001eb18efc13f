"""`millmark devchain`: the embedded chain served over JSON-RPC, so that several processes can use it."""

from services.devchain.host import host_journal
from services.devchain.journal import JournaledChain, discard_journal
from services.devchain.server import create_devchain

__all__ = ["JournaledChain", "create_devchain", "discard_journal", "host_journal"]
