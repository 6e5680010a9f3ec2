"""SM2 decryption (GB/T 32918.4) and the little DER it needs: cryptography has no SM2."""

import base64
import hmac

from .fields import Refused, need

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
INTEGER, OCTETS, SEQUENCE = 2, 4, 0x30


def der(data):
    """The elements of some DER, as (tag, value)."""
    at, found = 0, []
    while at < len(data):
        need(at + 2 <= len(data), "DER: ends too early")
        tag, length = data[at], data[at + 1]
        at += 2
        if length >= 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[at:at + count], "big")
            at += count
        need(at + length <= len(data), "DER: ends too early")
        found.append((tag, data[at:at + length]))
        at += length
    return found


def private_number(pem):
    """The private key out of a PKCS#8 file: its third element is an ECPrivateKey, whose second is the number."""
    lines = [line for line in pem.decode("ascii").splitlines() if line and not line.startswith("-")]
    try:
        outer = der(der(base64.b64decode("".join(lines)))[0][1])
        return int.from_bytes(der(der(outer[2][1])[0][1])[1][1], "big")
    except (IndexError, ValueError):
        raise Refused("private key: no PKCS#8 of an elliptic curve") from None


def add(one, two):
    """Sum of two points of the curve; None is the point at infinity."""
    if one is None or two is None:
        return one or two
    (x1, y1), (x2, y2) = one, two
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    slope = (3 * x1 * x1 + A) * pow(2 * y1, -1, P) if one == two else (y2 - y1) * pow(x2 - x1, -1, P)
    x = (slope * slope - x1 - x2) % P
    return x, (slope * (x1 - x) - y1) % P


def multiply(number, point):
    result = None
    while number:
        if number & 1:
            result = add(result, point)
        point = add(point, point)
        number >>= 1
    return result


def decrypt(private, message, sm3):
    """Open SEQUENCE { x, y, hash, ciphertext }."""
    parts = der(message)
    need(len(parts) == 1 and parts[0][0] == SEQUENCE, "SM2: no ciphertext")
    parts = der(parts[0][1])
    need([tag for tag, _ in parts] == [INTEGER, INTEGER, OCTETS, OCTETS], "SM2: no ciphertext")
    x, y = (int.from_bytes(value, "big") for _, value in parts[:2])
    need(x < P and y < P and (x * x * x + A * x + B - y * y) % P == 0, "SM2: the point is not on the curve")
    shared = multiply(private, (x, y))
    need(shared is not None, "SM2: the point is at infinity")
    x2, y2 = (value.to_bytes(32, "big") for value in shared)
    check, ciphertext = parts[2][1], parts[3][1]
    stream = b"".join(sm3(x2 + y2 + counter.to_bytes(4, "big")) for counter in range(1, len(ciphertext) // 32 + 2))
    plain = bytes(a ^ b for a, b in zip(ciphertext, stream))
    need(hmac.compare_digest(sm3(x2 + plain + y2), check), "SM2: the hash does not fit")
    return plain
