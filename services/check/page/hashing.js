// What Python's extension modules do outside of a browser: Keccak-256 and secp256k1, by the audited @noble libraries.
import { secp256k1 } from "./noble/curves/secp256k1.js";
import { keccak_256 } from "./noble/hashes/sha3.js";

const { Point, Signature } = secp256k1;
const ORDER = Point.Fn.ORDER;

function scalar(bytes, least) {
  const number = BigInt("0x" + Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join(""));
  if (bytes.length > 32 || number < least || number >= ORDER) throw new RangeError("the scalar is out of range");
  return number;
}

function finite(point) {
  if (point.is0()) throw new RangeError("the point is at infinity");
  return point;
}

export const hashing = {
  keccak_256: (data) => keccak_256(data),
  parse_point: (bytes) => Point.fromBytes(bytes),
  // Nothing here is secret, so the faster multiplication serves.
  multiply: (point, bytes) => finite(point.multiplyUnsafe(scalar(bytes, 1n))),
  add_generator: (point, bytes) => finite(point.add(Point.BASE.multiplyUnsafe(scalar(bytes, 0n)))),
  combine: (points) => finite(points.reduce((sum, point) => sum.add(point), Point.ZERO)),
  recover: (signature, digest) => {
    if (signature.length !== 65 || digest.length !== 32) throw new RangeError("a signature has 65 bytes, a digest 32");
    return Signature.fromBytes(signature.slice(0, 64), "compact").addRecoveryBit(signature[64]).recoverPublicKey(digest);
  },
};
