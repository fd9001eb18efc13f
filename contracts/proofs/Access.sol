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

    /// @notice A suspended company records nothing.
    /// @dev Bounds: one call of any function but `multicall` and `openStream`, by its key, with any arguments; arrays
    /// of one element, bytes of 64; suspended at any second of 34 years.
    function check_suspendedCompaniesRecordNothing() external {
        vm.warp(START + _number("after", 30));
        vm.prank(OWNER);
        registry.suspend(_company.id, ROOT);
        assert(!_call(_company.key, _anyCall()));
    }
}

/// @notice What a key may do is what both its company and the key itself were given (DESIGN 4, "Keys").
contract RoleProof is World {
    address private constant WORKER = address(0xC1);

    Party private _company;
    Party private _other;
    bytes32 private _order;
    uint40 private _model;

    function setUp() public override {
        super.setUp();
        _company = _admit(Roles.ANY);
        _other = _admit(Roles.ANY);
        vm.prank(_company.key);
        registry.proposeKey(WORKER, Roles.ANY, false);
        vm.prank(WORKER);
        registry.acceptKey(_company.id);
        vm.prank(_other.key);
        _order = ledger.placeOrder("order", _terms(_company, 5));
        vm.prank(_other.key);
        _model = registry.registerModel("model", ROOT);
    }

    /// @notice No authority without the role: an order is placed by a buyer and accepted by a coordinator, a lot
    /// received by who may hold one, a machine registered by who makes or inspects, a model by an inspector and
    /// approved by an auditor.
    /// @dev Bounds: one of these six calls; the company's roles and its key's any (16 bits each), set by owner and
    /// administrator before.
    function check_noAuthorityWithoutRole(uint8 which, uint16 held, uint16 given) external {
        vm.prank(_company.key);
        registry.setKey(WORKER, given, false);
        vm.prank(OWNER);
        registry.setRoles(_company.id, held);
        vm.startPrank(WORKER);
        uint16 needed = _act(which);
        assert(held & given & needed != 0);
    }

    function _act(uint8 which) private returns (uint16 needed) {
        if (which == 0) {
            ledger.placeOrder("another", _terms(_other, 5));
            return Roles.BUYER;
        }
        if (which == 1) {
            ledger.acceptOrder(_order, ROOT);
            return Roles.COORDINATOR;
        }
        if (which == 2) {
            ledger.receiveLot("lot", 10, PIECE, ROOT);
            return Roles.HOLDER;
        }
        if (which == 3) {
            registry.registerMachine("machine", ROOT);
            return Roles.MANUFACTURER | Roles.INSPECTOR;
        }
        if (which == 4) {
            registry.registerModel("model", ROOT);
            return Roles.INSPECTOR;
        }
        registry.approveModel(_model, ROOT);
        return Roles.AUDITOR;
    }
}
