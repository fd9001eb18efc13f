// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LotOperations} from "./LotOperations.sol";
import {Assignments} from "./history/Assignments.sol";
import {Custody} from "./history/Custody.sol";
import {Evidence} from "./history/Evidence.sol";
import {History} from "./history/History.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";

/// @title The ledger of orders, assignments, lots, certificates and evidence: one address, one log
/// @notice The manual is on the interfaces; ITraceLedger is all that this address answers to. Many records go into one
/// transaction with `multicall`: all or nothing.
contract TraceLedger is Assignments, Custody, Evidence {
    /// @notice Code of the lot families. Created with the ledger, never changed.
    address public immutable lotOperations;

    /// @param registry_ Says who acts, on which machines and models.
    /// @param forwarder_ ERC-2771 forwarder whose word on the sender is taken; 0 for none.
    /// @param predecessor_ The ledger that this one replaces; 0 for the first.
    constructor(IRegistry registry_, address forwarder_, address predecessor_)
        History(registry_, forwarder_, predecessor_)
    {
        lotOperations = address(new LotOperations(registry_, forwarder_, predecessor_));
    }

    /// @dev Whatever is not here is a lot's. Not payable, so no money can get stuck. In assembly because the call data
    /// and the answer pass through as they are: copied by the compiler they cost 2,300 gas a record.
    fallback() external {
        address code = lotOperations;
        assembly {
            calldatacopy(0, 0, calldatasize())
            let done := delegatecall(gas(), code, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if iszero(done) { revert(0, returndatasize()) }
            return(0, returndatasize())
        }
    }
}
