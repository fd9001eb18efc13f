// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Evidence} from "./history/Evidence.sol";
import {History} from "./history/History.sol";
import {Transformations} from "./history/Transformations.sol";
import {Waivers} from "./history/Waivers.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";

/// @title Lots, transformations, waivers of gates and evidence of TraceLedger, apart because of the limits on a contract's size
/// @notice TraceLedger runs this code on its own storage, under its own address: nothing is kept here, and a call at this
/// address is refused. Custody is not here, because the dearest records are its own: behind the ledger's fallback they
/// would exceed their gas bars. Deployed first of the three: CertificateOperations and TraceLedger copy its constants.
contract LotOperations is Transformations, Evidence, Waivers {
    /// @notice This contract. TraceLedger answers the same.
    address public immutable lotOperations = address(this);

    /// @param registry_ Says who acts, on which machines and models.
    /// @param forwarder_ ERC-2771 forwarder whose word on the sender is taken; 0 for none.
    /// @param predecessor_ The ledger that this one replaces; 0 for the first.
    constructor(IRegistry registry_, address forwarder_, address predecessor_)
        History(
            registry_,
            forwarder_,
            predecessor_,
            keccak256(abi.encode(blockhash(block.number - 1), block.chainid, address(this))),
            true
        )
    {}
}
