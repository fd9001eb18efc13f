"""`millmark devchain`: the embedded chain behind JSON-RPC, for several processes at once."""

from services.devchain.host import host_journal
from services.devchain.journal import JournaledChain, discard_journal
from services.devchain.server import create_devchain

__all__ = ["JournaledChain", "create_devchain", "discard_journal", "host_journal"]
