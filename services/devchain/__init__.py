"""`millmark devchain`: the embedded chain served over JSON-RPC, so that several processes can use it."""

from millmark.services.devchain.journal import JournaledChain, check_unused, discard_journal
from millmark.services.devchain.server import create_devchain, host_journal

__all__ = ["JournaledChain", "check_unused", "create_devchain", "discard_journal", "host_journal"]
