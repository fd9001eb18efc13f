// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Roles} from "../src/libraries/Roles.sol";
import {World} from "./World.sol";

/// @notice Who may record anything at all (DESIGN 4, "Who acts").
contract AccessProof is World {
    Party private _company;

    function setUp() public override {
        super.setUp();
        _company = _admit(Roles.ANY);
        _receive(_company, "lot", 10);
    }

    /// @notice Who is neither a company's key nor the owner makes no record: every call but a view is refused.
    /// @dev Bounds: one call of any function but `multicall`, from any address, with any arguments; arrays of one
    /// element, bytes of 64.
    function check_outsidersRecordNothing() external {
        address caller = _outsider();
        bytes memory data = any.createCalldata("ITraceLedger");
        vm.assume(bytes4(data) != ledger.multicall.selector);
        assert(!_call(caller, data));
    }

    /// @notice Nor does such an address change anything in the registry: no role, key, machine, model, owner.
    /// @dev Bounds: as above.
    function check_outsidersAdministerNothing() external {
        address caller = _outsider();
        bytes memory data = any.createCalldata("Registry");
        vm.assume(bytes4(data) != registry.multicall.selector);
        vm.prank(caller);
        (bool done,) = address(registry).call(data);
        assert(!done);
    }
}
