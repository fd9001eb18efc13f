// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ModelFormat} from "./ModelFormat.sol";

/// @title Evaluates a network of dense layers, 32 weights at a time
/// @dev As quality/FORMAT.md says, sections 3 and 4. `code` is that of a ModelCode whose model ModelFormat let pass: every
/// sum fits into 32 bits, whatever the input. test/NetworkReference.sol says the same without assembly.
///
/// A word of 32 weights, masked, is eight of them in eight lanes of 32 bits: those at 0, 4, 8 ... 28 when shifted right by
/// 24, at 1, 5 ... 29 by 16, and so on. What a layer reads is kept in lanes once, in the reverse order, so that the highest
/// lane of the product of two such words is their dot product. Lanes that hold no value are zero, so what the last word of
/// a row reads beyond its row counts for nothing. Weights are made unsigned by adding 128 to each; 128 times the sum of the
/// values is taken off again. The lanes below the highest add up to less than 4096 * 255 * 127 each, so what they carry or
/// borrow is a small part of the highest lane's unit, which adding half a unit and rounding down removes.
library Network {
    /// @dev What a layer reads.
    struct Values {
        uint256 count;
        int256 sum;
        /// Four words for each 32 values: value i is in word i % 4 of its four, in lane i % 32 / 4.
        uint256[] lanes;
    }

    /// @dev The model begins behind the code's zero byte.
    uint256 private constant MODEL = 1;

    /// @dev The words that the model's scales make of a window of raw integers, 8 bytes each.
    /// @return valid Whether the window has the model's width, and no integer above 2^53 - 1 in magnitude.
    function quantise(bytes memory code, bytes calldata window)
        internal
        pure
        returns (bool valid, int256[] memory words)
    {
        uint256 width = _field(code, MODEL + ModelFormat.WIDTH, 2);
        if (window.length != 8 * width) return (false, words);
        uint256 step = _field(code, MODEL + ModelFormat.SCALES, 2) == 1 ? 0 : ModelFormat.SCALE_SIZE;
        uint256 first = MODEL + ModelFormat.BODY;
        words = new int256[](width);
        valid = true;
        assembly ("memory-safe") {
            let scale := add(add(code, 32), first)
            let from := window.offset
            let to := add(words, 32)
            for { let end := add(to, shl(5, width)) } lt(to, end) { to := add(to, 32) } {
                let value := sar(192, calldataload(from))
                valid := and(valid, lt(add(value, 0x1fffffffffffff), 0x3fffffffffffff))
                let fields := mload(scale)
                let shift := byte(9, fields)
                value := mul(sub(value, sar(192, fields)), byte(8, fields))
                value := sar(shift, add(value, shr(1, shl(shift, 1))))
                if slt(value, sub(0, 127)) { value := sub(0, 127) }
                if sgt(value, 127) { value := 127 }
                mstore(to, value)
                from := add(from, 8)
                scale := add(scale, step)
            }
        }
    }

    /// @dev Logits for the words of a valid window.
    function execute(bytes memory code, int256[] memory values) internal pure returns (int32[] memory logits) {
        uint256 place = MODEL + ModelFormat.BODY + ModelFormat.SCALE_SIZE * _field(code, MODEL + ModelFormat.SCALES, 2);
        uint256 hidden = _field(code, place, 1) - 1;
        ++place;
        for (; hidden != 0; --hidden) {
            uint256 read = values.length;
            values = _sums(code, place, _toLanes(values));
            _requantise(values, _field(code, place + ModelFormat.LAYER_MULTIPLIER, 4));
            place += ModelFormat.LAYER_BIASES + values.length * (ModelFormat.BIAS_SIZE + read);
        }
        values = _sums(code, place, _toLanes(values));
        logits = new int32[](values.length);
        for (uint256 i; i < logits.length; ++i) {
            // forge-lint: disable-next-line(unsafe-typecast) - ModelFormat refuses models whose sums could be larger
            logits[i] = int32(values[i]);
        }
    }

    /// @dev Whether the verdict is FAIL: the margin of the rejected classes over the accepted ones reaches the threshold, or
    /// all classes are rejected.
    function isRejected(bytes memory code, int32[] memory logits) internal pure returns (bool) {
        uint256 rejects = _field(code, MODEL + ModelFormat.REJECTS, 4);
        int256 threshold = _signed(code, MODEL + ModelFormat.THRESHOLD);
        if (logits.length == 1) return logits[0] >= threshold;
        if (rejects == 2 ** logits.length - 1) return true;
        int256 rejected = type(int32).min;
        int256 accepted = type(int32).min;
        for (uint256 i; i < logits.length; ++i) {
            bool counts = (rejects >> i) & 1 == 1;
            if (counts && logits[i] > rejected) rejected = logits[i];
            if (!counts && logits[i] > accepted) accepted = logits[i];
        }
        return rejected - accepted >= threshold;
    }

    /// @dev Bias and dot product of every output of the layer at `place`.
    function _sums(bytes memory code, uint256 place, Values memory values) private pure returns (int256[] memory sums) {
        sums = new int256[](_field(code, place + ModelFormat.LAYER_OUTPUTS, 2));
        uint256 biases = place + ModelFormat.LAYER_BIASES;
        uint256 weights = biases + ModelFormat.BIAS_SIZE * sums.length;
        (uint256 count, int256 offset, uint256[] memory lanes) = (values.count, 128 * values.sum, values.lanes);
        assembly ("memory-safe") {
            let mask := 0x000000ff000000ff000000ff000000ff000000ff000000ff000000ff000000ff
            let unsign := 0x8080808080808080808080808080808080808080808080808080808080808080
            let first := add(lanes, 32)
            let end := add(first, shl(5, mload(lanes)))
            let bias := add(add(code, 32), biases)
            let row := add(add(code, 32), weights)
            let to := add(sums, 32)
            for { let last := add(to, shl(5, mload(sums))) } lt(to, last) { to := add(to, 32) } {
                let sum := add(shl(224, sub(sar(224, mload(bias)), offset)), shl(223, 1))
                let from := row
                for { let lane := first } lt(lane, end) { lane := add(lane, 128) } {
                    let word := xor(mload(from), unsign)
                    sum := add(sum, mul(and(shr(24, word), mask), mload(lane)))
                    sum := add(sum, mul(and(shr(16, word), mask), mload(add(lane, 32))))
                    sum := add(sum, mul(and(shr(8, word), mask), mload(add(lane, 64))))
                    sum := add(sum, mul(and(word, mask), mload(add(lane, 96))))
                    from := add(from, 32)
                }
                mstore(to, sar(224, sum))
                row := add(row, count)
                bias := add(bias, 4)
            }
        }
    }

    /// @dev In place: clamp((sum * multiplier + 2^23) >> 24, 0, 127).
    function _requantise(int256[] memory sums, uint256 multiplier) private pure {
        assembly ("memory-safe") {
            let place := add(sums, 32)
            for { let end := add(place, shl(5, mload(sums))) } lt(place, end) { place := add(place, 32) } {
                let value := sar(24, add(mul(mload(place), multiplier), 0x800000))
                if slt(value, 0) { value := 0 }
                if sgt(value, 127) { value := 127 }
                mstore(place, value)
            }
        }
    }

    /// @dev A negative value borrows from the lanes above it, all the way out of the word.
    function _toLanes(int256[] memory from) private pure returns (Values memory values) {
        values.count = from.length;
        uint256[] memory lanes = new uint256[]((from.length + 31) / 32 * 4);
        values.lanes = lanes;
        int256 sum;
        assembly ("memory-safe") {
            let count := mload(from)
            for { let i := 0 } lt(i, count) { i := add(i, 1) } {
                let value := mload(add(add(from, 32), shl(5, i)))
                sum := add(sum, value)
                let word := add(add(lanes, 32), add(shl(7, shr(5, i)), shl(5, and(i, 3))))
                mstore(word, add(mload(word), shl(shl(3, and(i, 28)), value)))
            }
        }
        values.sum = sum;
    }

    /// @dev The unsigned integer of `size` bytes at `place`, most significant first.
    function _field(bytes memory code, uint256 place, uint256 size) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(sub(256, shl(3, size)), mload(add(add(code, 32), place)))
        }
    }

    /// @dev The i32 at `place`.
    function _signed(bytes memory code, uint256 place) private pure returns (int256) {
        // forge-lint: disable-next-line(unsafe-typecast) - four bytes
        return int32(uint32(_field(code, place, 4)));
    }
}
