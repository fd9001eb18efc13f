// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ModelSight} from "./ModelSight.sol";

/// @notice More of forge's cheat codes, see Vm.
interface Files {
    function envOr(string calldata name, string calldata otherwise) external view returns (string memory value);
    function exists(string calldata path) external view returns (bool found);
}

/// @notice Replays on the contracts what tests/proofs/model/replay.py wrote: a tree of acts, each with what the model says
/// of it. What is under an act is undone by reverting, so every branch begins where the model has it begin.
contract WalksTest is ModelSight {
    /// @dev The branch is done; the next act of the stream is at `next`.
    error Done(uint256 next, uint256 accepted, uint256 refused);
    /// @dev Contracts and model differ about the act at that place of the stream.
    error Differs(uint256 place, uint256 kind, uint256 actor, uint256 argument, uint256 expected, uint256 observed);

    uint256 private constant HEAD = 8;
    uint256 private constant UP = 0xff;
    uint256 private constant REFUSED = 0x80;

    address private constant TAPE = address(0x7a9e);
    uint256 private _width;

    event log_named_uint(string name, uint256 value);

    function test_everyAct() public {
        _walk("everyAct");
    }

    function test_order() public {
        _walk("order");
    }

    function test_doubts() public {
        _walk("doubts");
    }

    function test_gates() public {
        _walk("gates");
    }

    function test_random() public {
        _walk("random");
    }

    /// @dev The stream of that name in the folder that MILLMARK_WALKS names; else a short one: the buyer agrees to nothing, and
    /// the maker to the order that it does not coordinate.
    function _walk(string memory name) private {
        vm.pauseGasMetering();
        string memory path =
            string.concat(Files(address(vm)).envOr("MILLMARK_WALKS", "out-walks/none"), "/", name, ".bin");
        bool written = Files(address(vm)).exists(path);
        vm.etch(TAPE, written ? vm.readFileBinary(path) : bytes(hex"0101030103000001" hex"8d0101" hex"810200" hex"ff"));
        _width = _byteAt(HEAD - 1);
        _begin(
            Cast(
                uint8(_byteAt(0)),
                uint8(_byteAt(1)),
                uint8(_byteAt(2)),
                uint8(_byteAt(3)),
                uint8(_byteAt(4)),
                uint8(_byteAt(5)),
                uint8(_byteAt(6))
            )
        );
        uint256 accepted;
        uint256 refused;
        try this.branch(HEAD) {}
        catch (bytes memory reason) {
            (, accepted, refused) = _done(reason);
        }
        emit log_named_uint("accepted", accepted);
        emit log_named_uint("refused", refused);
        assertGt(accepted + refused, 0);
    }

    /// @dev Everything after an act, up to where the stream goes up again. Always reverts.
    function branch(uint256 place) public {
        uint256 accepted;
        uint256 refused;
        while (_byteAt(place) != UP) {
            if (_byteAt(place) & REFUSED == 0) {
                try this.follow(place) {}
                catch (bytes memory reason) {
                    (uint256 next, uint256 more, uint256 less) = _done(reason);
                    (place, accepted, refused) = (next, accepted + more + 1, refused + less);
                }
            } else {
                try this.attempt(_byteAt(place) & 0x7f, _byteAt(place + 1), _byteAt(place + 2)) {
                    _differ(place, 0, 1);
                } catch {}
                (place, refused) = (place + 3, refused + 1);
            }
        }
        revert Done(place + 1, accepted, refused);
    }

    function attempt(uint256 kind, uint256 actor, uint256 argument) external {
        _perform(uint8(kind), uint8(actor), uint8(argument));
    }

    /// @dev An act that is accepted, and all that comes after it.
    function follow(uint256 place) external {
        try this.attempt(_byteAt(place), _byteAt(place + 1), _byteAt(place + 2)) {}
        catch {
            _differ(place, 1, 0);
        }
        uint256 expected = _wordAt(place + 3) >> (256 - 8 * _width);
        uint256 observed = _observe();
        if (observed != expected) _differ(place, expected, observed);
        branch(place + 3 + _width);
    }

    function _differ(uint256 place, uint256 expected, uint256 observed) private view {
        revert Differs(place, _byteAt(place) & 0x7f, _byteAt(place + 1), _byteAt(place + 2), expected, observed);
    }

    function _done(bytes memory reason) private pure returns (uint256 next, uint256 accepted, uint256 refused) {
        if (bytes4(reason) != Done.selector) {
            assembly {
                revert(add(reason, 32), mload(reason))
            }
        }
        assembly {
            next := mload(add(reason, 36))
            accepted := mload(add(reason, 68))
            refused := mload(add(reason, 100))
        }
    }

    function _byteAt(uint256 place) private view returns (uint256) {
        return _wordAt(place) >> 248;
    }

    /// @dev The stream is kept as the code of an account, from which a part is copied without the rest.
    function _wordAt(uint256 place) private view returns (uint256 word) {
        assembly {
            mstore(0, 0)
            extcodecopy(0x7a9e, 0, place, 32)
            word := mload(0)
        }
    }
}
