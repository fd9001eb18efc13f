// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Challenges} from "./history/Challenges.sol";
import {History} from "./history/History.sol";
import {Transformations} from "./history/Transformations.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";

/// @title The lot families of TraceLedger, apart because of the limit on a contract's size
/// @notice TraceLedger creates it and runs its code on its own storage, under its own address: nothing is kept here, and
/// a call at this address is refused.
contract LotOperations is Transformations, Challenges {
    address private immutable _self = address(this);

    /// @notice The call belongs at the ledger's address.
    error LotOperationsNotTheLedger(address self);

    constructor(IRegistry registry_, address forwarder_, address predecessor_)
        History(registry_, forwarder_, predecessor_)
    {}

    function _requireRole(Actor memory actor, uint16 needed) internal view override {
        if (address(this) == _self) revert LotOperationsNotTheLedger(_self);
        super._requireRole(actor, needed);
    }
}
