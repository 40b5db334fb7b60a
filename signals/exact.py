"""Logarithms and angles that give the same double on every machine.

The C library's log, sin and atan differ in their last digits between systems. These use only addition,
multiplication, division, square root and ``frexp``, which IEEE 754 fixes to the last bit, and power series
long enough for a double. They are within a few units in the last place of the true value.
"""

from __future__ import annotations

import math
from fractions import Fraction

_LN2 = Fraction("0.693147180559945309417232121458176568075500134360255")
_LN2_HIGH = int(_LN2 * 2**32) / 2.0**32  # so few bits that its product with an exponent is exact
_LN2_LOW = float(_LN2 - Fraction(_LN2_HIGH))
_LOG2_E = 1.4426950408889634
_ROOT_HALF = 0.7071067811865476
_RADIANS = math.pi / 180.0

_LOG_TERMS = tuple(1.0 / n for n in range(23, 0, -2))
_SIN_TERMS = tuple((-1.0) ** (n // 2) / math.factorial(n) for n in range(17, 0, -2))
_COS_TERMS = tuple((-1.0) ** (n // 2) / math.factorial(n) for n in range(18, -1, -2))
_ATAN_TERMS = tuple((-1.0) ** (n // 2) / n for n in range(25, 0, -2))


def _series(terms: tuple[float, ...], square: float) -> float:
    total = 0.0
    for term in terms:
        total = total * square + term
    return total


def _split(x: float) -> tuple[float, int]:
    """ln of a mantissa between the roots of one half and of two, and the exponent."""
    mantissa, exponent = math.frexp(x)
    if mantissa < _ROOT_HALF:
        mantissa *= 2.0
        exponent -= 1
    s = (mantissa - 1.0) / (mantissa + 1.0)
    return 2.0 * s * _series(_LOG_TERMS, s * s), exponent


def ln(x: float) -> float:
    """The natural logarithm of a positive finite number: ln m = 2 artanh((m - 1) / (m + 1))."""
    small, exponent = _split(x)
    return exponent * _LN2_HIGH + (small + exponent * _LN2_LOW)


def log2(x: float) -> float:
    """The logarithm to base 2 of a positive finite number; exact for powers of two."""
    small, exponent = _split(x)
    return exponent + small * _LOG2_E


def _sin_cos(degrees: float) -> tuple[float, float]:
    """Sine and cosine of an angle from 0 to 90 degrees."""
    if degrees > 45.0:
        cosine, sine = _sin_cos(90.0 - degrees)
        return sine, cosine
    x = degrees * _RADIANS
    return x * _series(_SIN_TERMS, x * x), _series(_COS_TERMS, x * x)


def sin_degrees(degrees: float) -> float:
    """The sine of an angle from -180 to 180 degrees, reduced exactly."""
    size = abs(degrees)
    sine = _sin_cos(180.0 - size if size > 90.0 else size)[0]
    return -sine if degrees < 0 else sine


def cos_degrees(degrees: float) -> float:
    """The cosine of an angle from -90 to 90 degrees."""
    return _sin_cos(abs(degrees))[1]


def atan(t: float) -> float:
    """The angle in radians whose tangent is `t`, from 0 to 1: halved three times, then the series."""
    for _ in range(3):
        t /= 1.0 + math.sqrt(1.0 + t * t)
    return 8.0 * t * _series(_ATAN_TERMS, t * t)
