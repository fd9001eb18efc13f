// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC2771Forwarder} from "@openzeppelin/contracts/metatx/ERC2771Forwarder.sol";

/// @title Brings what a key signed to registry and ledger, as if the key had sent it itself
/// @notice OpenZeppelin's ERC-2771 forwarder, whoever relays. A request is bound to this chain and this address, to one
/// of its signer's nonces, in order, and to a deadline. `execute` takes it whole or not at all: a nonce is spent if and
/// only if the call that was signed for it succeeded.
contract Forwarder is ERC2771Forwarder {
    /// @notice Requests are executed one by one.
    error ForwarderBatchRefused();

    constructor() ERC2771Forwarder("Millmark") {}

    /// @dev In OpenZeppelin's, a call that fails in a batch spends its nonce: anybody who has a request could void it by
    /// sending it at a moment when the ledger refuses it.
    function executeBatch(ForwardRequestData[] calldata, address payable) public payable override {
        revert ForwarderBatchRefused();
    }
}
