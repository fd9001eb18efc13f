// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LotOperations} from "../src/LotOperations.sol";
import {Registry} from "../src/Registry.sol";

/// @notice LotOperations, and one function more: halmos has no sha256 of nothing, with which `openStream` fills a new
/// stream.
contract SeededLots is LotOperations {
    constructor(Registry registry_) LotOperations(registry_, address(0), address(0)) {}

    function seedStream(bytes32 stream, uint32 owner, uint40 machine) external {
        _streams[stream] = Stream({sequence: 1, machine: machine, owner: owner, size: 10, root: keccak256("root")});
    }
}
