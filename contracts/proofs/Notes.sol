// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Roles} from "../src/libraries/Roles.sol";
import {GatedWorld} from "./GatedWorld.sol";

/// @notice Who may say something about a lot or an order (DESIGN 4, "Notes").
contract NoteProof is GatedWorld {
    Party private _stranger;

    function setUp() public override {
        super.setUp();
        _stranger = _admit(Roles.ANY);
    }

    /// @notice A company that is neither custodian nor maker of a lot, nor party to its order, notes nothing on it; nor
    /// on an order that it is no party to.
    /// @dev Bounds: one note of any kind on one lot or on its order, by another company with all roles, on any ground.
    function check_strangersNoteNothing(bool onTheLot, bytes32 ground, uint16 kind, bytes32 root) external {
        bytes32[] memory subjects = _lots();
        if (!onTheLot) subjects[0] = _order;
        bytes32[] memory grounds = new bytes32[](1);
        grounds[0] = ground;
        assert(!_call(_stranger.key, abi.encodeCall(ledger.note, (subjects, grounds, kind, root))));
    }
}
