"""`millmark devchain`: the embedded chain behind JSON-RPC, for several processes at once."""

from services.devchain.journal import JournaledChain
from services.devchain.server import create_devchain

__all__ = ["JournaledChain", "create_devchain"]
