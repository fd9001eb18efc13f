// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";

/// @notice What must hold after every record, whatever was called; the first breach of each property is kept.
abstract contract Judge is Base {
    enum Property {
        /// `sequence` is dense and equals the number of records.
        Numbering,
        /// The head of every history is what its raw logs give.
        Heads,
        /// Storage is what the logs give.
        Rebuilt,
        OrderMoves,
        AssignmentMoves,
        /// At most one live assignment per operation; storage holds as many as the logs, and as many finished ones.
        OneLive,
        LotMoves,
        /// Per unit: made = held + used up; and every transformation balances.
        Quantities,
        /// Who acts holds the role and has the part.
        Authority,
        /// Custody passes to an order's buyer only through the order's gate.
        Gate,
        /// A quarantined lot, and what it is packed in, goes nowhere but rework, scrap, its maker or, when its custodian may
        /// not act, to who reclaims it.
        Quarantine,
        /// What answers an offer names the one that stands.
        Offers,
        /// Every packed lot is in exactly the parent that counts it, and goes where the parent goes.
        Packing,
        /// Certificates come from inspectors only: never from a transformation.
        Verdicts,
        /// No certificate on a withdrawn model is valid.
        Models,
        /// Anchors only grow.
        Anchors,
        /// Every participant keeps an admin key once it has one, and a key its participant; delays and bounds are kept.
        Keys,
        /// Terms change only when both sides agreed to the same ones.
        Revisions,
        /// An order's lot leaves its order only by conversion into another one.
        Belonging,
        /// What was proposed could be kept when it was: 1 to 64 operations, a coordinator, an approved model or no gate.
        Terms
    }

    /// @dev What has storage that logs changed, to be compared once all logs of a batch are in.
    enum Part {
        Participant,
        Key,
        /// What the owner publishes to all.
        Publication,
        Machine,
        Model,
        /// What a machine or model is called.
        Name,
        Stream,
        Order,
        Assignment,
        Lot
    }

    struct Touched {
        Part part;
        bytes32 name;
        uint16 operation;
    }

    mapping(Property property => string breach) public broken;
    /// @notice How many records of each kind there were, and how often each milestone was reached.
    mapping(bytes32 kindOrMilestone => uint256) public count;
    Touched[] internal _touched;

    function _hold(Property property, bool holds, string memory otherwise) internal {
        if (!holds && bytes(broken[property]).length == 0) broken[property] = otherwise;
    }

    function _touch(Part part, bytes32 name) internal {
        _touched.push(Touched(part, name, 0));
    }

    function _same(bytes memory left, bytes memory right) internal pure returns (bool) {
        return keccak256(left) == keccak256(right);
    }

    /// @dev Fails on the first property that was ever broken.
    function requireAll() external view {
        for (uint256 i; i <= uint256(type(Property).max); ++i) {
            string memory breach = broken[Property(i)];
            if (bytes(breach).length != 0) vm.assertTrue(false, breach);
        }
    }
}
