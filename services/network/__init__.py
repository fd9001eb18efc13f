"""Networks of chain nodes: their genesis, keys, peers and start scripts; node programs found and started; what
validators do, in words.

To run a network in a test, or in a trial:

    program = identify_program(Path("/usr/local/bin/geth"))      # or find_program(): the first on the PATH
    with LocalNetwork.create(folder, program, 5, balances_wei={owner.address: 10**24}) as network:
        network.start()                       # returns once every node answers and has the first blocks
        network.urls                          # one JSON-RPC URL a node, on the loopback
        network.nodes[0].address              # 20 bytes: the validator's address
        network.nodes[0].pid                  # of the node program itself: start.sh becomes it
        network.nodes[1].kill()               # SIGKILL; returns when it is gone
        network.nodes[1].restart()            # kills it if it runs, starts it, returns once it answers
        network.nodes[1].restart(erased=True)     # with an empty data folder; the key is kept
        network.nodes[2].pause()              # SIGSTOP
        network.nodes[2].resume()             # SIGCONT
        network.nodes[3].stop()               # SIGTERM, SIGKILL after 30 s
        network.nodes[3].start()              # returns at once
        network.nodes[3].wait_ready(60.0)     # returns once it answers
        network.nodes[3].folder.log           # what it printed
        network.program.kind.consensus.quorum(5)      # fewer, and no block comes
        network.program.kind.engine           # name of the engine profile
    # all nodes are stopped here, also after an error

Ports are free ones, kept from other programs until `stop`; `ports=[(p2p, rpc), ...]` names them instead. Whoever places
a proxy on a link gives each node its own list of peers with `write_node_folder`. Keys of `LocalNetwork.create` are
known to everybody (`unsafe_test_key`), so the same network is made again each time. On geth and electroneum-sc fees are
never zero: `balances_wei` gives keys money in the first block.
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
from millmark.services.network.local import (
    LocalNetwork,
    LocalNode,
    NodeProcess,
    NodeProgram,
    find_program,
    identify_program,
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
    unsafe_test_key,
)
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
    "LocalNetwork",
    "LocalNode",
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
    "unsafe_test_key",
    "verify_number",
    "write_node_folder",
]
