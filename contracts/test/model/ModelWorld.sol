// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CertificateOperations} from "../../src/CertificateOperations.sol";
import {Forwarder} from "../../src/Forwarder.sol";
import {LotOperations} from "../../src/LotOperations.sol";
import {Registry} from "../../src/Registry.sol";
import {TraceLedger} from "../../src/TraceLedger.sol";
import {IOrders} from "../../src/interfaces/IOrders.sol";
import {ITraceLedger} from "../../src/interfaces/ITraceLedger.sol";
import {Gates} from "../../src/libraries/Gates.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {Subjects} from "../../src/libraries/Subjects.sol";
import {Base} from "../Base.sol";

/// @notice The companies, the order and the lots of tests/proofs/model, on the contracts. Companies are numbered as there:
/// the buyer (which may coordinate and inspect, too), the maker, and others.
abstract contract ModelWorld is Base {
    /// @dev What the stream of a world begins with.
    struct Cast {
        uint8 lots;
        uint8 operations;
        uint8 companies;
        uint8 coordinator;
        /// 0 for an order without a gate.
        uint8 inspector;
        /// Of a second gate, by procedure; 0 when there is none.
        uint8 second;
        /// 1 if the buyer may waive the first gate for a lot, else 0.
        uint8 waivers;
    }

    bytes3 internal constant PIECE = "H87";
    bytes32 internal constant ROOT = keccak256("document");
    uint8 internal constant BUYER = 1;
    uint8 internal constant MAKER = 2;

    Cast internal cast_;
    Registry internal registry;
    ITraceLedger internal ledger;
    address internal council;
    address internal auditor;
    address[6] internal keys;
    uint40 internal machine;
    bytes32 internal stream;
    /// @dev The first gate's, and the one of the buyer's own gate.
    uint40 internal model;
    uint40 internal buyersModel;
    bytes32 internal order;
    bytes32[] internal lots;
    /// @dev Forge's clock is not set back when a call is.
    uint256 internal clock = 1_800_000_000;

    function _begin(Cast memory given) internal {
        cast_ = given;
        vm.warp(clock);
        council = makeAddress("council");
        registry = new Registry(council, address(new Forwarder()), address(0));
        LotOperations operations = new LotOperations(registry, address(0), address(0));
        ledger = ITraceLedger(address(new TraceLedger(new CertificateOperations(operations))));
        for (uint8 company = 1; company <= given.companies; ++company) {
            keys[company] = _admit(string.concat("company ", vm.toString(company)), _rolesOf(company));
        }
        auditor = _admit("auditor", Roles.AUDITOR);
        _equip();
        for (uint256 i; i < given.lots; ++i) {
            lots.push(Subjects.derive(Subjects.Kind.Lot, MAKER, _identifier(i)));
        }
        vm.prank(keys[BUYER]);
        order = ledger.placeOrder(keccak256("order"), _terms(given.coordinator, given.inspector));
    }

    /// @dev Whatever a company might be in an order, it may be; only the first two differ.
    function _rolesOf(uint8 company) private pure returns (uint16) {
        if (company == BUYER) return Roles.BUYER | Roles.COORDINATOR | Roles.INSPECTOR;
        if (company == MAKER) return Roles.MANUFACTURER | Roles.COORDINATOR;
        return Roles.INSPECTOR | Roles.COORDINATOR | Roles.CARRIER;
    }

    function _admit(string memory name, uint16 roles) private returns (address key) {
        key = makeAddress(name);
        vm.prank(council);
        uint32 number = registry.admit(roles, key, ROOT);
        vm.prank(key);
        registry.acceptKey(number);
    }

    function _equip() private {
        vm.startPrank(keys[MAKER]);
        machine = registry.registerMachine(keccak256("machine"), ROOT);
        stream = ledger.openStream(keccak256("stream"), machine, ROOT);
        ledger.anchor(stream, 1, ROOT);
        vm.stopPrank();
        buyersModel = _approve(BUYER, "buyer's model");
        if (cast_.inspector != 0) model = _approve(cast_.inspector, "model");
    }

    function _approve(uint8 company, string memory name) private returns (uint40 number) {
        vm.prank(keys[company]);
        number = registry.registerModel(keccak256(bytes(name)), ROOT);
        vm.prank(auditor);
        registry.approveModel(number, ROOT);
    }

    function _identifier(uint256 lot) internal pure returns (bytes32) {
        return keccak256(abi.encode("lot", lot));
    }

    /// @dev One piece is to be delivered.
    function _terms(uint32 coordinator, uint32 inspector) internal view returns (IOrders.OrderTerms memory) {
        uint40 on = inspector == 0 ? 0 : inspector == BUYER ? buyersModel : model;
        return IOrders.OrderTerms({
            operations: cast_.operations,
            coordinator: coordinator,
            gates: _gates(inspector, on),
            dueAt: uint40(clock),
            quantity: 1,
            unit: PIECE,
            claimsRoot: ROOT
        });
    }

    /// @dev Ascending by inspector.
    function _gates(uint32 inspector, uint40 on) private view returns (uint256) {
        uint256 first = Gates.one(inspector, on);
        if (cast_.second == 0) return first;
        uint256 second = Gates.one(cast_.second, 0);
        return inspector < cast_.second ? first | second << 72 : second | first << 72;
    }

    /// @dev The first gate, which need not be the first in the word.
    function _gate() internal view returns (uint32 inspector, uint40 on) {
        uint256 gates = ledger.gatesOf(order);
        (inspector, on) = Gates.first(gates);
        if (cast_.second != 0 && inspector == cast_.second) (inspector, on) = Gates.first(Gates.rest(gates));
    }

    function _inspector() internal view returns (uint32 inspector) {
        (inspector,) = _gate();
    }

    function _orderOf(uint256 lot) internal view returns (bytes32) {
        return ledger.lotOf(lots[lot]).order == 0 ? bytes32(0) : order;
    }
}
