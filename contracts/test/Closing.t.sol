// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILots} from "../src/interfaces/ILots.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {RegistryFixture} from "./RegistryFixture.sol";

/// @notice Who owns the registry is on record, and how its ledgers end.
contract ClosingTest is RegistryFixture {
    address private _next;

    function setUp() public override {
        super.setUp();
        _next = makeAddress("next ledger");
    }

    /// @dev Before, an old ledger went on recording beside the one that replaced it.
    function test_M12_aClosedLedgerTakesNothingNew() public check {
        bytes32 order = _startedOrder("order");
        bytes32 lot = _commission(order, "lot", 10);
        assertEq(registry.successor(), address(0));
        uint40 next = _expectEntry();
        emit IRegistry.Closed(next, 0, 0, owner, _next);
        vm.prank(owner);
        registry.close(_next);
        assertEq(registry.successor(), _next);
        bytes memory reason = abi.encodeWithSelector(IHistory.HistoryClosed.selector, _next);
        _refuse(buyer, reason);
        ledger.placeOrder(_hash("later"), _terms(1));
        _refuse(carrier, reason);
        ledger.receiveLot(_hash("later"), 5, PIECE, ROOT);
        _finishAll(order, lot);
    }

    /// @dev What is on it goes on to its end.
    function _finishAll(bytes32 order, bytes32 lot) private {
        bytes32 more = _commission(order, "more", 5);
        _pass(lot, order);
        _finish(order, 0);
        _complete(order);
        _move(maker, _item(lot, order), buyer);
        _as(buyer);
        ledger.confirmDelivery(order, _none(), ROOT);
        _as(maker);
        ledger.scrapLot(more, 5, ILots.Disposition.Scrapped, ROOT);
        _as(buyer);
        ledger.note(_one(lot), new bytes32[](1), 5, 0, ROOT);
    }

    function test_M12_revisionsGoOn() public check {
        bytes32 order = _place("order", _terms(1));
        vm.prank(owner);
        registry.close(_next);
        _as(buyer);
        ledger.proposeRevision(order, _terms(2));
    }

    function test_M12_closingIsForGoodAndTheOwners() public check {
        _refuse(buyer, abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, buyer.key));
        registry.close(_next);
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistrySuccessorUnfit.selector, address(0)));
        registry.close(address(0));
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistrySuccessorUnfit.selector, address(registry)));
        registry.close(address(registry));
        vm.prank(owner);
        registry.close(_next);
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistryClosed.selector, _next));
        registry.close(makeAddress("another"));
    }

    /// @dev Before, a change of owner had no sequence: it was missing from the registry's dense numbering.
    function test_M11_changesOfOwnerAreRecords() public check {
        uint40 next = registry.sequence() + 1;
        vm.expectEmit(address(registry));
        emit IRegistry.OwnershipOffered(next, 0, 0, owner, _fresh);
        vm.prank(owner);
        registry.transferOwnership(_fresh);
        vm.expectEmit(address(registry));
        emit IRegistry.OwnershipAccepted(next + 1, 0, 0, _fresh, owner);
        vm.prank(_fresh);
        registry.acceptOwnership();
        assertEq(registry.sequence(), next + 1);
        vm.expectEmit(address(registry));
        emit IRegistry.OwnershipOffered(next + 2, 0, 0, _fresh, address(0));
        vm.prank(_fresh);
        registry.transferOwnership(address(0));
    }
}
