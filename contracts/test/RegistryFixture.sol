// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Fixture} from "./Fixture.sol";

/// @notice What the registry's tests expect, in its words.
abstract contract RegistryFixture is Fixture {
    address internal _fresh;

    function setUp() public virtual override {
        super.setUp();
        _fresh = makeAddress("fresh");
    }

    function _assertStanding(uint32 first, uint32 second, uint40 number) internal view {
        (uint16 coordinating, uint16 inspecting, bool approved, bool open) = registry.standingOf(first, second, number);
        assertEq(coordinating, registry.rolesOf(first));
        assertEq(inspecting, registry.rolesOf(second));
        assertEq(approved, registry.stateOfModel(number) == IRegistry.ModelState.Approved);
        assertEq(open, registry.successor() == address(0));
    }

    function _addKey(Party storage party, address key) internal {
        _addKey(party, key, Roles.ANY, true);
    }

    function _addKey(Party storage party, address key, uint16 roles, bool admin) internal {
        _as(party);
        registry.proposeKey(key, roles, admin);
        vm.prank(key);
        registry.acceptKey(party.id);
    }

    function _expectEntry() internal returns (uint40 next) {
        next = registry.sequence() + 1;
        vm.expectEmit(address(registry));
    }

    function _refuseOwner(bytes memory reason) internal {
        vm.prank(owner);
        vm.expectRevert(reason);
    }

    function _bytes32(uint256 value) internal pure returns (bytes32) {
        return bytes32(value);
    }

    function _missing(Party storage party, uint16 held, uint16 needed) internal view returns (bytes memory) {
        return abi.encodeWithSelector(IRegistry.RegistryRoleMissing.selector, party.id, held, needed);
    }

    function _stateWrong(uint40 number, IRegistry.ModelState state) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IRegistry.RegistryModelState.selector, number, state);
    }
}
