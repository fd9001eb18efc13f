"""Networks of chain nodes: their genesis, keys, peers and start scripts; node programs found and started; what
validators do, in words.
"""

from __future__ import annotations

from services.network.errors import NetworkError, NetworkFileError, NodeProgramError
from services.network.files import NetworkFile
from services.network.flags import NodePlace, build_arguments
from services.network.genesis import GAS_LIMIT, GenesisSettings, build_genesis
from services.network.kinds import KINDS, Consensus, Kind, find_kind
from services.network.layout import NodeFolder, build_start_script, write_node_folder
from services.network.peers import Peer
from services.network.processes import NodeProcess
from services.network.programs import NodeProgram, find_program, identify_program
from services.network.setup import (
    Agreed,
    OwnNode,
    create_node,
    find_nodes,
    found_network,
    join_network,
    read_network,
    read_node,
    verify_number,
)

__all__ = [
    "GAS_LIMIT",
    "KINDS",
    "Agreed",
    "Consensus",
    "GenesisSettings",
    "Kind",
    "NetworkError",
    "NetworkFile",
    "NetworkFileError",
    "NodeFolder",
    "NodePlace",
    "NodeProcess",
    "NodeProgram",
    "NodeProgramError",
    "OwnNode",
    "Peer",
    "build_arguments",
    "build_genesis",
    "build_start_script",
    "create_node",
    "find_kind",
    "find_nodes",
    "find_program",
    "found_network",
    "identify_program",
    "join_network",
    "read_network",
    "read_node",
    "verify_number",
    "write_node_folder",
]
