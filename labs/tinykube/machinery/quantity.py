"""Amounts as manifests write them: `500m`, `512Mi`, `1e3`. The genuine type is resource.Quantity."""
from __future__ import annotations

import re
from decimal import ROUND_CEILING, Context, Decimal, InvalidOperation

DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([a-zA-Z]*|[eE][+-]?\d+)", re.ASCII)
RULE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
NANO = Decimal("1e-9")
EXACT = Context(prec=2000)     # digits enough for amounts beyond all reason, down to a billionth


def parse_quantity(text: str | int | float) -> Decimal:
    """The amount that a quantity stands for, exact; what is finer than a billionth is rounded up.

    Raises ValueError with the api-server's own sentence for a text that is no quantity.
    """
    match = FORM.fullmatch(str(text))
    if not match:
        raise ValueError(RULE)
    try:
        value = amount(Decimal(match[1]), match[2])
        rounded = value.quantize(NANO, ROUND_CEILING, EXACT)
    except InvalidOperation:
        raise ValueError(RULE) from None
    return rounded if rounded != value else value


def amount(number: Decimal, suffix: str) -> Decimal:
    """`number` in the unit that its suffix names."""
    if suffix in BINARY:
        return EXACT.multiply(number, 1 << BINARY[suffix])
    if suffix in DECIMAL:
        return EXACT.scaleb(number, DECIMAL[suffix])
    if suffix[:1] in "eE" and suffix[1:].lstrip("+-").isdigit():
        return EXACT.scaleb(number, int(suffix[1:]))
    raise ValueError("unable to parse quantity's suffix")


def whole(text: str | int | float) -> int:
    """The amount in whole units, rounded up, as bytes and pods are counted (Quantity.Value)."""
    return int(parse_quantity(text).to_integral_value(ROUND_CEILING))


def milli(text: str | int | float) -> int:
    """The amount in thousandths, rounded up, as CPU is counted (Quantity.MilliValue): `1` is 1000."""
    return int((parse_quantity(text) * 1000).to_integral_value(ROUND_CEILING))


def format_quantity(value: Decimal | int, *, binary: bool = False) -> str:
    """The shortest text for an amount without a fraction: `512Mi` when `binary`, else `500m` or `1500`."""
    value = Decimal(value)
    if binary and value == value.to_integral_value():
        return _largest(int(value), {suffix: 1 << power for suffix, power in BINARY.items()})
    for suffix in ("m", "u", "n"):
        if value == value.to_integral_value():
            break
        scaled = value.scaleb(-DECIMAL[suffix])
        if scaled == scaled.to_integral_value() or suffix == "n":
            return f"{int(scaled.to_integral_value(ROUND_CEILING))}{suffix}"
    return _largest(int(value), {suffix: 10 ** power for suffix, power in DECIMAL.items() if power > 0})


def _largest(value: int, units: dict[str, int]) -> str:
    for suffix, size in reversed(units.items()):
        if value and value % size == 0:
            return f"{value // size}{suffix}"
    return str(value)
