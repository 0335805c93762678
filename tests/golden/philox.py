"""Philox4x32-10 and the numbers made from it, bit for bit as nn/rng.c and tests/numbers.h."""
import numpy as np

MASK = np.uint64(0xFFFFFFFF)


def philox(key, low, high):
    """Arrays of 64-bit counters -> array [..., 4] of uint32."""
    low, high = np.broadcast_arrays(np.asarray(low, np.uint64), np.asarray(high, np.uint64))
    c = [low & MASK, low >> np.uint64(32), high & MASK, high >> np.uint64(32)]
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        a = np.uint64(0xD2511F53) * c[0]
        b = np.uint64(0xCD9E8D57) * c[2]
        c = [(b >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), b & MASK,
             (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), a & MASK]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, -1).astype(np.uint32)


def numbers(seed, stream, count):
    """The first `count` 32-bit numbers of nn_rng_make(seed, stream)."""
    return philox(seed, np.arange((count + 3) // 4), stream).reshape(-1)[:count]


def unit(seed, stream, count):
    """[0, 1), 24 bits: exact in float32."""
    return (numbers(seed, stream, count) >> 8).astype(np.float64) / 16777216.0


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def fill(role, seed, stream, shape):
    """The values of a tensor of tests/op_cases.inc, exact in float32."""
    count = int(np.prod(shape))
    u = unit(seed, stream, count)
    if role == "d":
        i = np.arange(count, dtype=np.int64)
        values = ((i * 7919 + 13 * stream) % count) * 4.0 / count - 2.0
    elif role == "t":
        classes = shape[-1]
        values = np.zeros((count // classes, classes))
        picks = numbers(seed, stream, count // classes) % np.uint32(classes)
        values[np.arange(count // classes), picks] = 1.0
    elif role == "g":
        values = np.floor(u * 16.0) / 8.0 - 1.0 + stream % 2 / 16.0
    elif role == "u":
        values = u
    elif role == "v":
        values = u + 0.5
    else:
        values = 2.0 * u - 1.0
        if role == "a":
            values = values + np.where(values >= 0.0, 0.125, -0.125)
    return np.asarray(values, np.float32).astype(np.float64).reshape(shape)
