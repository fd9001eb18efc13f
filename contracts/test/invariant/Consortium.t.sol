// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {InvariantBase} from "../Base.sol";
import {Handler} from "./Handler.sol";

/// @notice All properties of replay/Judge.sol after every call. What was found wrong is kept by the replay, so checking
/// costs little and one campaign serves all properties.
abstract contract Campaign is InvariantBase {
    Handler internal handler;

    function setUp() public {
        handler = new Handler();
        handler.setUp();
        targetSelector(address(handler), _actions());
    }

    function invariant_everyPropertyHolds() public view {
        handler.requireAll();
    }

    function afterInvariant() public {
        handler.sweep();
    }

    function _actions() internal view virtual returns (bytes4[] memory);
}

/// @notice The registry, orders and assignments.
contract ProductionCampaign is Campaign {
    function _actions() internal view override returns (bytes4[] memory) {
        return handler.productionActions();
    }
}

/// @notice Lots, packing, custody and certificates.
contract LogisticsCampaign is Campaign {
    function _actions() internal view override returns (bytes4[] memory) {
        return handler.logisticsActions();
    }
}

/// @notice Everything at once.
contract ConsortiumCampaign is Campaign {
    function _actions() internal view override returns (bytes4[] memory) {
        return handler.allActions();
    }
}
