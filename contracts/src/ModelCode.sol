// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A model kept as contract code, which is read whole for a fifth of what storage would cost
/// @notice Its code is a zero byte, which stops whoever calls it, and then the model's canonical bytes.
contract ModelCode {
    /// @dev In assembly because Solidity has no other way to say what a constructor leaves behind.
    constructor(bytes memory model) {
        bytes memory code = bytes.concat(hex"00", model);
        assembly ("memory-safe") {
            return(add(code, 32), mload(code))
        }
    }
}
