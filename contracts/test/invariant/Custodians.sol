// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../../src/interfaces/ICertificates.sol";
import {ICustody} from "../../src/interfaces/ICustody.sol";
import {IGates} from "../../src/interfaces/IGates.sol";
import {ILots} from "../../src/interfaces/ILots.sol";
import {IOrders} from "../../src/interfaces/IOrders.sol";
import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {Logistics} from "./Logistics.sol";

/// @notice Custody: offers and answers, returns, and what a company leaves behind that may not act.
abstract contract Custodians is Logistics {
    function offer(uint256 seed) external act(seed) {
        bytes32 lot = _anyLot();
        for (uint256 i; i < 4 && !_isReady(lot); ++i) {
            lot = _anyLot();
        }
        ICustody.Item[] memory consignment = _consignment(lot);
        if (_chance(5)) consignment = _item(lot, replay.orderAt(ledger.lotOf(lot).order));
        uint256 toBuyer = _latest(lot) != 0 ? 85 : 40;
        uint32 to = _chance(toBuyer) ? buyer.id : uint32(1 + _below(_parties.length));
        bytes memory data = abi.encodeCall(ICustody.offerCustody, (consignment, to, ROOT));
        _record(_keyOf(_custodianOf(ledger.lotOf(lot))), data);
    }

    /// @dev A lot of somebody else's making goes back; its custodian quarantines it first.
    function giveBack(uint256 seed) external act(seed) {
        bytes32 lot = _anyLot();
        for (uint256 i; i < 20 && !_isReturnable(lot); ++i) {
            lot = _anyLot();
        }
        uint32 by = _custodianOf(ledger.lotOf(lot));
        bytes32 order = replay.orderAt(ledger.lotOf(lot).order);
        if (_chance(95)) _record(_keyOf(by), abi.encodeCall(ILots.quarantineLot, (lot, order, ROOT)));
        uint32 to = _chance(95) ? _makerOf[lot] : uint32(1 + _below(_parties.length));
        bytes memory data = abi.encodeCall(ICustody.returnLot, (lot, to, _hashOf[lot], ROOT));
        _record(_keyOf(by), data);
    }

    function answer(uint256 seed) external act(seed) {
        bytes32 lot = _anyLot();
        for (uint256 i; i < 8 && !_isOffered(lot); ++i) {
            lot = _anyLot();
        }
        ICustody.Offer memory standing = ledger.offerOf(lot);
        uint40 number = _chance(95) ? standing.sequence : uint40(_below(20));
        uint256 draw = _below(100);
        bytes memory data = abi.encodeCall(ICustody.acceptCustody, (_consignment(lot), number, ROOT));
        if (draw < 12) {
            data = abi.encodeCall(ICustody.declineCustody, (lot, number, ROOT));
        } else if (draw < 24) {
            data = abi.encodeCall(ICustody.withdrawCustody, (lot, ROOT));
            _record(_keyOf(_custodianOf(ledger.lotOf(lot))), data);
            return;
        }
        _record(_keyOf(standing.to), data);
    }

    /// @dev A custodian vanishes; after 14 days, seldom sooner, somebody takes over what it holds. Then it is back, mostly.
    function reclaim(uint256 seed) external act(seed) {
        bytes32 lot = _anyLot();
        ILots.Lot memory stored = ledger.lotOf(lot);
        uint32 gone = _custodianOf(stored);
        if (stored.state == ILots.LotState.Spent || stored.packed || gone == 0) return;
        bytes32 of_ = replay.orderAt(stored.order);
        if (_chance(30)) _record(_keyOf(gone), abi.encodeCall(ILots.quarantineLot, (lot, of_, ROOT)));
        _try(owner, address(registry), abi.encodeCall(IRegistry.suspend, (gone, ROOT)));
        uint32 trustee = uint32(1 + _below(_parties.length));
        if (_chance(60)) _try(owner, address(registry), abi.encodeCall(IRegistry.entrust, (gone, trustee)));
        _clock += _chance(90) ? 14 days : 13 days;
        vm.warp(_clock);
        IOrders.Order memory order = ledger.orderOf(of_);
        uint32 by = stored.order == 0 || _chance(30) ? trustee : (_chance(50) ? order.buyer : order.coordinator);
        bytes32[] memory inside = replay.childrenOf(lot);
        if (inside.length != 0 && _chance(50)) {
            bytes32 one = inside[_below(inside.length)];
            _record(_keyOf(by), abi.encodeCall(ILots.unpackReclaimable, (lot, of_, _one(one))));
        }
        _record(_keyOf(by), abi.encodeCall(ICustody.reclaimCustody, (_consignment(lot), ROOT)));
        if (_chance(60)) _record(_keyOf(by), abi.encodeCall(ILots.releaseLot, (lot, of_, ROOT)));
        if (_chance(90)) _try(owner, address(registry), abi.encodeCall(IRegistry.reinstate, (gone)));
    }

    /// @dev After delivery the gate's inspector sets a lot apart, and its custodian releases it.
    function release(uint256 seed) external act(seed) {
        bytes32 lot = _chance(50) ? _lots[6] : _anyLot(); // the seventh is at its buyer's from the beginning
        bytes32 order = replay.orderAt(ledger.lotOf(lot).order);
        for (uint256 i; i < 20 && ledger.orderOf(order).state < IOrders.OrderState.Completed; ++i) {
            lot = _anyLot();
            order = replay.orderAt(ledger.lotOf(lot).order);
        }
        IOrders.Order memory stored = ledger.orderOf(order);
        _record(_keyOf(stored.coordinator), abi.encodeCall(IOrders.completeOrder, (order, ROOT)));
        bytes32[] memory delivered = _deliverable(order, stored);
        _record(_keyOf(stored.buyer), abi.encodeCall(IOrders.confirmDelivery, (order, delivered, ROOT)));
        (uint32 inspects,) = _anyGate(order);
        _record(_keyOf(inspects), abi.encodeCall(ILots.quarantineLot, (lot, order, ROOT)));
        uint32 by = _custodianOf(ledger.lotOf(lot));
        _record(_keyOf(by), abi.encodeCall(ILots.releaseLot, (lot, order, ROOT)));
    }

    /// @dev The buyer takes a lot as it is: the custodian lifts the inspector's quarantine, and delivers it.
    function waive(uint256 seed) external act(seed) {
        bytes32 lot = _anyLot();
        for (uint256 i; i < 8 && !_isWaivable(lot); ++i) {
            lot = _anyLot();
        }
        bytes32 order = replay.orderAt(ledger.lotOf(lot).order);
        uint32 to = ledger.orderOf(order).buyer;
        (uint32 inspects,) = _anyGate(order);
        if (_chance(30)) {
            bytes memory data =
                abi.encodeCall(ICertificates.issueCertificate, (_statement(lot, order, ICertificates.Verdict.Fail)));
            _record(_keyOf(inspects), data);
        }
        if (_chance(5)) inspects = uint32(_below(9));
        _record(_keyOf(to), abi.encodeCall(IGates.waiveGate, (lot, order, inspects, ROOT)));
        uint32 by = _custodianOf(ledger.lotOf(lot));
        _record(_keyOf(by), abi.encodeCall(ILots.releaseLot, (lot, order, ROOT)));
        if (_chance(20) || !_record(_keyOf(by), abi.encodeCall(ICustody.offerCustody, (_consignment(lot), to, ROOT)))) {
            return;
        }
        uint40 number = ledger.offerOf(lot).sequence;
        _record(_keyOf(to), abi.encodeCall(ICustody.acceptCustody, (_consignment(lot), number, ROOT)));
    }

    // ---- inside ----

    function _isWaivable(bytes32 lot) private view returns (bool) {
        ILots.Lot memory stored = ledger.lotOf(lot);
        bytes32 order = replay.orderAt(stored.order);
        bool away = stored.holder != ledger.orderOf(order).buyer;
        return away && stored.state != ILots.LotState.Spent && ledger.gatesOf(order) != 0;
    }

    function _isOffered(bytes32 lot) private view returns (bool) {
        ILots.LotState state = ledger.lotOf(lot).state;
        return state == ILots.LotState.Offered || state == ILots.LotState.Returning;
    }

    function _isReturnable(bytes32 lot) private view returns (bool) {
        ILots.Lot memory stored = ledger.lotOf(lot);
        bool away = stored.holder != _makerOf[lot] && !stored.packed && stored.contents == 0;
        return away && stored.state != ILots.LotState.Spent && _makerOf[lot] != 0;
    }

    /// @dev Whether the lot could be delivered, as far as its gate allows.
    function _isReady(bytes32 lot) private view returns (bool) {
        ILots.Lot memory stored = ledger.lotOf(lot);
        bool certified = stored.order == 0 || _latest(lot) != 0;
        return certified && stored.state == ILots.LotState.Held && !stored.packed;
    }

    /// @notice The kinds of records that these actions make, see Reach.t.sol.
    function custodyKinds() public pure returns (bytes32[] memory kinds) {
        kinds = new bytes32[](8);
        kinds[0] = ICustody.CustodyOffered.selector;
        kinds[1] = ICustody.CustodyAccepted.selector;
        kinds[2] = ICustody.CustodyDeclined.selector;
        kinds[3] = ICustody.CustodyWithdrawn.selector;
        kinds[4] = ICustody.CustodyReclaimed.selector;
        kinds[5] = IRegistry.TrusteeNamed.selector;
        kinds[6] = ICustody.ReturnOffered.selector;
        kinds[7] = IGates.GateWaived.selector;
    }
}
