// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What an order, lot, stream, machine or model is called on chain
/// @dev The creator is part of the name, so nobody can take a name that another participant will want.
library Subjects {
    enum Kind {
        None,
        Order,
        Lot,
        Stream,
        Machine,
        Model
    }

    /// @param identifierHash sha256(salt || canonical identifier); for a model, its digest.
    function derive(Kind kind, uint32 creator, bytes32 identifierHash) internal pure returns (bytes32) {
        return keccak256(abi.encode(kind, creator, identifierHash));
    }
}
