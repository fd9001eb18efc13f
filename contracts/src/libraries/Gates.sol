// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The gates of an order, packed into one word
/// @notice Up to three, each of 72 bits, the first in the lowest: the inspector in the lower 32, above it the model, 0 for a
/// verdict by procedure. The inspectors ascend strictly, so none has two gates of one order, and none is 0; nothing lies
/// above the last gate. No gates are the word 0. So equal gates are equal words.
///
///     gates = inspector0 | model0 << 32 | inspector1 << 72 | model1 << 104 | inspector2 << 144 | model2 << 176
library Gates {
    uint256 internal constant MOST = 3;
    uint256 private constant WIDTH = 72;
    uint256 private constant MODEL = 32;

    function one(uint32 inspector, uint40 model) internal pure returns (uint256 gates) {
        return uint256(model) << MODEL | inspector;
    }

    function first(uint256 gates) internal pure returns (uint32 inspector, uint40 model) {
        // forge-lint: disable-next-line(unsafe-typecast) - takes the lowest bits
        return (uint32(gates), uint40(gates >> MODEL));
    }

    /// @dev All but the first.
    function rest(uint256 gates) internal pure returns (uint256) {
        return gates >> WIDTH;
    }

    /// @return named Whether one of the gates is the inspector's.
    /// @return model Of that gate.
    function find(uint256 gates, uint32 inspector) internal pure returns (bool named, uint40 model) {
        for (; gates != 0 && !named; gates = rest(gates)) {
            uint32 candidate;
            (candidate, model) = first(gates);
            named = candidate == inspector;
        }
    }
}
