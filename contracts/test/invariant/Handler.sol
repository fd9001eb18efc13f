// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../../src/interfaces/ICertificates.sol";
import {IOrders} from "../../src/interfaces/IOrders.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {Openings} from "./Openings.sol";

/// @notice Drives registry and ledger at random from a factory at work: no action reverts, what the contracts refuse
/// leaves nothing. Every record goes through the replay, which judges it.
contract Handler is Openings {
    function setUp() public override {
        super.setUp();
        _publish();
        _openModel(model);
        _setRoles(maker2, Roles.ANY & ~Roles.AUDITOR);
        _gather();
        _strangers = [makeAddress("stranger"), makeAddress("other stranger")];
        _machines = [machine, machine2, _registerMachine(inspector2, "machine 3"), machine];
        _models = [model, model2, published];
        _streams = [stream, stream2, gaugeStream];
        _orders = [_startedOrder("gated"), _acceptedOrder("open", _some(3)), _acceptedOrder("next", _twice())];
        _start(_orders[1], 0);
        _lots = [
            _commission(_orders[0], "a", 20),
            _commission(_orders[0], "b", 10),
            _commission(_orders[1], "c", 20),
            _receive(maker, "box", 1),
            _receive(maker, "pallet", 1),
            _receive(carrier, "container", 1)
        ];
        _lots.push(_commission(_orders[1], "d", 5));
        (_makerOf[_lots[1]], _hashOf[_lots[1]]) = (maker.id, _hash("b"));
        (_makerOf[_lots[2]], _hashOf[_lots[2]]) = (maker.id, _hash("c"));
        (_makerOf[_lots[5]], _hashOf[_lots[5]]) = (carrier.id, _hash("container"));
        _move(maker, _item(_lots[6], _orders[1]), buyer);
        _lots.push(_commission(_orders[0], "e", 6)); // so that a buyer holds what must pass
        _pass(_lots[7], _orders[0]);
        _move(maker, _item(_lots[7], _orders[0]), buyer);
        _pass(_lots[0], _orders[0]);
        _pack(maker, _lots[4], _one(_lots[0]));
        _start(_orders[2], 0);
        _lots.push(_commission(_orders[2], "f", 8));
        _passTwice(_lots[8], _orders[2]);
        _settle();
    }

    /// @dev Terms without gate, for so many pieces.
    function _some(uint32 quantity) private view returns (IOrders.OrderTerms memory terms) {
        terms = _ungated(1);
        (terms.quantity, terms.unit) = (quantity, PIECE);
    }

    /// @dev Terms with two gates.
    function _twice() private view returns (IOrders.OrderTerms memory terms) {
        terms = _terms(2);
        terms.gates = _both(inspector.id, model, inspector2.id, 0);
    }

    function _passTwice(bytes32 lot, bytes32 order) private {
        _pass(lot, order);
        ICertificates.Statement memory statement = _statement(lot, order, ICertificates.Verdict.Pass);
        statement.model = 0;
        _as(inspector2);
        ledger.issueCertificate(statement);
    }

    /// @dev In the order of their ids.
    function _gather() private {
        _parties.push(buyer);
        _parties.push(coordinator);
        _parties.push(maker);
        _parties.push(maker2);
        _parties.push(maker3);
        _parties.push(inspector);
        _parties.push(inspector2);
        _parties.push(carrier);
        _parties.push(auditor);
    }

    /// @notice What the registry, orders and assignments are driven by.
    function productionActions() public pure returns (bytes4[] memory actions) {
        actions = new bytes4[](18);
        (actions[0], actions[1], actions[2]) = (this.place.selector, this.decide.selector, this.revise.selector);
        (actions[3], actions[4], actions[5]) = (this.assign.selector, this.measure.selector, this.rotate.selector);
        (actions[6], actions[7], actions[8]) = (this.govern.selector, this.equip.selector, this.research.selector);
        (actions[9], actions[10], actions[11]) = (this.make.selector, this.wait.selector, this.decide.selector);
        (actions[12], actions[13], actions[14]) = (this.assign.selector, this.assign.selector, this.assign.selector);
        (actions[15], actions[16], actions[17]) = (this.recover.selector, this.end.selector, this.revise.selector);
    }

    /// @notice What lots, custody and certificates are driven by.
    function logisticsActions() public pure returns (bytes4[] memory actions) {
        actions = new bytes4[](35);
        (actions[0], actions[1], actions[2]) = (this.make.selector, this.scrap.selector, this.transform.selector);
        (actions[3], actions[4], actions[5]) = (this.pack.selector, this.unpack.selector, this.setApart.selector);
        (actions[6], actions[7], actions[8]) = (this.offer.selector, this.answer.selector, this.inspect.selector);
        (actions[9], actions[10], actions[11]) = (this.revoke.selector, this.research.selector, this.wait.selector);
        (actions[12], actions[13], actions[14]) = (this.offer.selector, this.answer.selector, this.answer.selector);
        (actions[15], actions[16], actions[17]) = (this.infer.selector, this.open.selector, this.demand.selector);
        (actions[18], actions[19]) = (this.open.selector, this.rework.selector);
        (actions[20], actions[21]) = (this.allocate.selector, this.deallocate.selector);
        (actions[22], actions[23], actions[24]) = (this.infer.selector, this.demand.selector, this.open.selector);
        (actions[25], actions[26]) = (this.takeOut.selector, this.transform.selector);
        (actions[27], actions[28]) = (this.transform.selector, this.transform.selector);
        (actions[29], actions[30], actions[31]) =
        (this.giveBack.selector, this.giveBack.selector, this.reclaim.selector);
        (actions[32], actions[33], actions[34]) = (this.release.selector, this.waive.selector, this.waive.selector);
    }

    function allActions() external pure returns (bytes4[] memory actions) {
        (bytes4[] memory first, bytes4[] memory second) = (productionActions(), logisticsActions());
        actions = new bytes4[](first.length + second.length);
        for (uint256 i; i < actions.length; ++i) {
            actions[i] = i < first.length ? first[i] : second[i - first.length];
        }
    }

    /// @notice Fails on the first property that was broken.
    function requireAll() external view {
        replay.requireAll();
    }

    /// @notice Compares the whole state, then as above.
    function sweep() external {
        vm.warp(_clock);
        replay.sweep();
        replay.requireAll();
    }

    /// @notice How many records of the kind were made.
    function countOf(bytes32 kind) external view returns (uint256) {
        return replay.count(kind);
    }
}
