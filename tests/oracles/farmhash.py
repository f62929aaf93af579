"""FarmHash's Fingerprint64 in plain Python, as its authors define it.

Geoff Pike, FarmHash 1.1, https://github.com/google/farmhash (`farmhashna::Hash64`).
Numbers are whole and below 2**64; `_bits` brings them back there.
"""

_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_SEED = 81


def fingerprint64(data):
    """Fingerprint64 of `data`, bytes of any length, as a number below 2**64."""
    size = len(data)
    if size == 0:
        return _K2
    if size < 4:
        return _up_to_3(data)
    if size < 8:
        first = int.from_bytes(data[:4], "little")
        last = int.from_bytes(data[-4:], "little")
        return _of_two(size + 8 * first, last, _multiplier(size))
    if size <= 16:
        return _up_to_16(data)
    if size <= 32:
        return _of_two(*_mixed(data), _multiplier(size))
    if size <= 64:
        return _up_to_64(data)
    return _beyond_64(data)


def _bits(number):
    return number % 2**64


def _word(data, at):
    return int.from_bytes(data[at : at + 8], "little")


def _turn(number, count):
    """The 64 bits of `number`, turned right by `count`."""
    number = _bits(number)
    return number >> count | _bits(number << (64 - count))


def _fold(number):
    number = _bits(number)
    return number ^ number >> 47


def _multiplier(size):
    return _K2 + 2 * size


def _of_two(u, v, multiplier):
    u, v = _bits(u), _bits(v)
    a = _fold((u ^ v) * multiplier)
    return _bits(_fold((v ^ a) * multiplier) * multiplier)


def _up_to_3(data):
    y = data[0] + 256 * data[len(data) // 2]
    z = len(data) + 4 * data[-1]
    return _bits(_fold(y * _K2 ^ z * _K0) * _K2)


def _up_to_16(data):
    multiplier = _multiplier(len(data))
    a = _word(data, 0) + _K2
    b = _word(data, len(data) - 8)
    c = _turn(b, 37) * multiplier + a
    d = (_turn(a, 25) + b) * multiplier
    return _of_two(c, d, multiplier)


def _mixed(data, first=_K1):
    """Two numbers of the first and last 16 bytes; `first` multiplies the first 8."""
    a = _word(data, 0) * first
    b = _word(data, 8)
    c = _word(data, len(data) - 8) * _multiplier(len(data))
    d = _word(data, len(data) - 16) * _K2
    return (
        _turn(a + b, 43) + _turn(c, 30) + d,
        a + _turn(b + _K2, 18) + c,
    )


def _up_to_64(data):
    multiplier = _multiplier(len(data))
    y, z = _mixed(data, _K2)
    z = _of_two(y, z, multiplier)
    e = _word(data, 16) * multiplier
    f = _word(data, 24)
    g = (y + _word(data, len(data) - 32)) * multiplier
    h = (z + _word(data, len(data) - 24)) * multiplier
    a = _word(data, 0) * _K2
    return _of_two(
        _turn(e + f, 43) + _turn(g, 30) + h,
        e + _turn(f + a, 18) + g,
        multiplier,
    )


def _of_32(data, at, a, b):
    """A pair of numbers of the 32 bytes from `at` on and of a and b."""
    w, x, y, z = (_word(data, at + 8 * i) for i in range(4))
    a += w
    b = _turn(b + a + z, 21)
    total = a + x + y
    return _bits(total + z), _bits(b + _turn(total, 44) + a)


def _step(data, at, state, multiplier, *, last=False):
    """The state after the 64 bytes from `at` on; x and z change places."""
    x, y, z, v, w = state
    ninefold = 9 if last else 1
    x = _turn(x + y + v[0] + _word(data, at + 8), 37) * multiplier
    y = _turn(y + v[1] + _word(data, at + 48), 42) * multiplier
    x = _bits(x) ^ _bits(w[1] * ninefold)
    y = _bits(y + v[0] * ninefold + _word(data, at + 40))
    z = _bits(_turn(z + w[0], 33) * multiplier)
    v = _of_32(data, at, v[1] * multiplier, x + w[0])
    w = _of_32(data, at + 32, z + w[1], y + _word(data, at + 16))
    return z, y, x, v, w


def _beyond_64(data):
    y = _bits(_SEED * _K1 + 113)
    z = _bits(_fold(y * _K2 + 113) * _K2)
    state = _bits(_SEED * _K2 + _word(data, 0)), y, z, (0, 0), (0, 0)
    # All but the last 1 to 64 bytes, then the last 64.
    rest = (len(data) - 1) % 64
    for at in range(0, len(data) - 1 - rest, 64):
        state = _step(data, at, state, _K1)
    x, y, z, v, w = state
    multiplier = _K1 + 2 * (z % 256)
    w0 = w[0] + rest
    v0 = v[0] + w0
    w0 += v0
    state = x, y, z, (_bits(v0), v[1]), (_bits(w0), w[1])
    x, y, z, v, w = _step(data, len(data) - 64, state, multiplier, last=True)
    return _of_two(
        _of_two(v[0], w[0], multiplier) + _fold(y) * _K0 + z,
        _of_two(v[1], w[1], multiplier) + x,
        multiplier,
    )
