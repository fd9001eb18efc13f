// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrders} from "../src/interfaces/IOrders.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {World} from "./World.sol";

/// @notice Keys, who sets them, and how lost ones are replaced (DESIGN 4, "Keys").
contract KeyProof is World {
    address private constant WORKER = address(0xC1);
    address private constant FRESH = address(0xC2);

    Party private _company;

    function setUp() public override {
        super.setUp();
        _company = _admit(Roles.ANY);
        _admit(Roles.ANY);
        vm.prank(_company.key);
        registry.proposeKey(WORKER, Roles.ANY, false);
        vm.prank(WORKER);
        registry.acceptKey(_company.id);
    }

    /// @notice A company never loses its last admin key, whatever it does; and only its admin key does anything to its
    /// keys.
    /// @dev Bounds: a company with one admin key and one that is not; one call of any function of the registry but
    /// `multicall`, from any address but the owner's, with any arguments; bytes of 64.
    function check_theLastAdminKeyStays() external {
        address caller = _anybody();
        vm.assume(caller != OWNER);
        bytes32 before = keccak256(abi.encode(registry.keyOf(WORKER)));
        _administer(caller);
        IRegistry.Key memory admin = registry.keyOf(_company.key);
        assert(admin.admin && admin.revokedAt == 0 && admin.participant == _company.id);
        assert(caller == _company.key || keccak256(abi.encode(registry.keyOf(WORKER))) == before);
    }

    /// @notice Nobody takes part in a company by its own word, nor by the owner's: every key comes from one of its
    /// admin keys.
    /// @dev Bounds: one call, as above, from any address but the admin key's, the owner's too.
    function check_noKeyIsAddedFromOutside() external {
        address caller = _anybody();
        vm.assume(caller != _company.key);
        address key = any.createAddress("key");
        vm.assume(key != _company.key && key != WORKER);
        _administer(caller);
        assert(registry.keyOf(key).participant != _company.id);
    }

    /// @notice A recovered key counts 14 days after it was proposed; if the company objected, only when that was
    /// overruled, which takes 14 days from the objection.
    /// @dev Bounds: one proposal; an objection or none, overruled or not; each step at any second of the 34 years after
    /// the one before.
    function check_aRecoveryTakesItsTime(bool objects, bool overrules) external {
        (uint256 proposedAt, uint256 objectedAt) = (START, START + _number("objected", 30));
        vm.prank(OWNER);
        registry.proposeRecovery(_company.id, FRESH);
        vm.warp(objectedAt);
        vm.startPrank(_company.key);
        if (objects) registry.objectToRecovery();
        vm.stopPrank();
        vm.warp(objectedAt + _number("overruled", 30));
        vm.startPrank(OWNER);
        if (overrules) registry.overruleObjection(_company.id);
        vm.stopPrank();
        uint256 acceptedAt = block.timestamp + _number("accepted", 30);
        vm.warp(acceptedAt);
        vm.prank(FRESH);
        registry.acceptRecovery(_company.id);
        assert(acceptedAt >= proposedAt + 14 days);
        assert(!objects || (overrules && acceptedAt >= objectedAt + 14 days));
    }

    function _administer(address caller) private returns (bool done) {
        bytes memory data = any.createCalldata("Registry");
        vm.assume(bytes4(data) != registry.multicall.selector);
        vm.prank(caller);
        (done,) = address(registry).call(data);
    }
}

/// @notice The end of a ledger (DESIGN 4, "For what comes"; IRegistry.close).
contract ClosingProof is World {
    Party private _company;

    function setUp() public override {
        super.setUp();
        _company = _admit(Roles.ANY);
        vm.prank(OWNER);
        registry.close(address(0xE0));
    }

    /// @notice A closed ledger takes no new order and no lot from outside, and opens again by nobody's act.
    /// @dev Bounds: one call of any function of the registry but `multicall`, from any address, then any order or lot
    /// by a company with all roles.
    function check_whatIsClosedStaysClosed(bytes32 name, uint40 quantity, bytes3 unit, IOrders.OrderTerms memory terms)
        external
    {
        bytes memory data = any.createCalldata("Registry");
        vm.assume(bytes4(data) != registry.multicall.selector);
        vm.prank(_anybody());
        (bool done,) = address(registry).call(data);
        done; // or not: both are of interest
        assert(!_call(_company.key, abi.encodeCall(ledger.receiveLot, (name, quantity, unit, ROOT))));
        assert(!_call(_company.key, abi.encodeCall(ledger.placeOrder, (name, terms))));
    }
}
