"""Networks of chain nodes: their genesis, keys, peers and start scripts; node programs found and started; what
validators do, in words.
"""

from __future__ import annotations

from millmark.services.network.genesis import GAS_LIMIT, GenesisSettings, build_genesis
from millmark.services.network.layout import (
    NodeFolder,
    NodePlace,
    build_arguments,
    build_start_script,
    write_node_folder,
)
from millmark.services.network.peers import (
    KINDS,
    Consensus,
    Kind,
    NetworkError,
    NetworkFileError,
    NodeProgramError,
    Peer,
    find_kind,
)
from millmark.services.network.processes import NodeProcess, NodeProgram, find_program, identify_program
from millmark.services.network.setup import (
    Agreed,
    NetworkFile,
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
