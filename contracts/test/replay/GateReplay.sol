// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrders} from "../../src/interfaces/IOrders.sol";
import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {RegistryReplay} from "./RegistryReplay.sol";

/// @notice The gates of orders, as their terms tell them.
abstract contract GateReplay is RegistryReplay {
    struct Gate {
        uint32 inspector;
        uint40 model;
    }

    bytes32 private constant SEVERAL_GATES = "several gates agreed";

    mapping(bytes32 order => Gate[]) internal _gatesAt;

    /// @dev What a word of terms says, whether it may say so or not.
    function _gatesIn(uint256 word) internal pure returns (Gate[] memory gates) {
        uint256 many;
        while (many < 4 && word >> (72 * many) != 0) ++many;
        gates = new Gate[](many);
        for (uint256 i; i < many; ++i) {
            gates[i] = Gate(uint32(word >> (72 * i)), uint40(word >> (72 * i + 32)));
        }
    }

    function _inspects(bytes32 order, uint32 id) internal view returns (bool) {
        return _names(_gatesAt[order], id);
    }

    function _isGated(bytes32 order) internal view returns (bool) {
        return _gatesAt[order].length != 0;
    }

    /// @dev Whether these are the order's gates.
    function _hasGates(bytes32 order, Gate[] memory gates) internal view returns (bool) {
        return _same(abi.encode(_gatesAt[order]), abi.encode(gates));
    }

    function _names(Gate[] memory gates, uint32 id) internal pure returns (bool found) {
        for (uint256 i; i < gates.length; ++i) {
            found = found || gates[i].inspector == id;
        }
    }

    /// @dev What is kept in the order's slot: a slot of one gate is enough for most.
    function _setGates(bytes32 subject, IOrders.Order storage order, Gate[] memory gates) internal {
        delete _gatesAt[subject];
        for (uint256 i; i < gates.length; ++i) {
            _gatesAt[subject].push(gates[i]);
        }
        (order.inspector, order.model) = (0, 0);
        if (gates.length == 1) (order.inspector, order.model) = (gates[0].inspector, gates[0].model);
        if (gates.length > 1) order.inspector = 4_294_967_295;
        if (gates.length > 1) ++count[SEVERAL_GATES];
    }

    function _requireGates(uint32 coordinator, Gate[] memory gates) internal {
        _hold(Property.Terms, _rolesOf(coordinator) & Roles.COORDINATOR != 0, "terms: no coordinator");
        _hold(Property.Terms, gates.length <= 3, "terms: more than three gates");
        uint32 before;
        for (uint256 i; i < gates.length; ++i) {
            Gate memory gate = gates[i];
            bool held = gate.inspector != coordinator && _rolesOf(gate.inspector) & Roles.INSPECTOR != 0
                && (gate.model == 0 || _models[gate.model].state == IRegistry.ModelState.Approved);
            _hold(Property.Terms, held, "terms: gate that cannot be kept");
            _hold(Property.Terms, gate.inspector > before, "terms: gates not ascending by inspector");
            before = gate.inspector;
        }
    }

    /// @dev The word that an order's gates are in.
    function _wordOf(bytes32 order) internal view returns (uint256 word) {
        Gate[] storage gates = _gatesAt[order];
        for (uint256 i; i < gates.length; ++i) {
            word |= (uint256(gates[i].inspector) | uint256(gates[i].model) << 32) << (72 * i);
        }
    }
}
