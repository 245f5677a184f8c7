"""Amounts of money as minor units, by ISO 4217 exponents: 19.90 EUR is 1990, 500 JPY is 500, 1.5 KWD is 1500."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import cache
from typing import Any, Final

from babel.numbers import list_currencies

from analytics.capture.limits import Unfit
from analytics.capture.parse import INT64

WIDE: Final = Context(prec=60, rounding=ROUND_HALF_UP)
# Codes that are no money to count: testing, no currency, unknown.
NOT_MONEY: Final = frozenset({"XTS", "XXX"})
# ISO 4217 minor units that are not 2. babel's precisions are those of daily use (IQD 0), which would lose money.
NO_DIGITS: Final = ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV",
                    "XAF", "XOF", "XPF")  # fmt: skip
THREE_DIGITS: Final = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
FOUR_DIGITS: Final = ("CLF", "UYW")
MINOR_DIGITS: Final = {
    **dict.fromkeys(NO_DIGITS, 0),
    **dict.fromkeys(THREE_DIGITS, 3),
    **dict.fromkeys(FOUR_DIGITS, 4),
}


@cache
def exponents() -> dict[str, int]:
    """Decimal digits of every ISO 4217 currency."""
    return {code: MINOR_DIGITS.get(code, 2) for code in list_currencies() if code not in NOT_MONEY}


def is_currency(value: Any) -> bool:
    """Whether it is an ISO code, in whatever case."""
    return isinstance(value, str) and value.strip().upper() in exponents()


def currency_code(value: Any) -> str:
    """The ISO code in upper case. Raises `Unfit` for anything that is none."""
    code = value.strip().upper() if isinstance(value, str) else ""
    if code not in exponents():
        raise Unfit("unknown_currency", f"currency {str(value)[:20]!r} is not an ISO 4217 code")
    return code


def number(value: Any) -> Decimal | None:
    """The exact number a JSON literal or text holds; None when it holds none.

    A float stands for the shortest literal that gives it, which is the one the client wrote.
    """
    kind = type(value)
    if kind is float:
        literal = repr(value)
    elif kind is int or kind is str:
        literal = str(value)[:80]
    elif kind is Decimal:
        literal = value
    else:
        return None
    try:
        found = Decimal(literal)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def minor_units(amount: Decimal, currency: str) -> int:
    """The amount in the currency's smallest unit, rounded half up (away from zero at the half).

    Raises `Unfit` when it does not fit 64 bits.
    """
    try:
        units = int(amount.scaleb(exponents()[currency], WIDE).quantize(Decimal(1), context=WIDE))
    except InvalidOperation:
        raise _too_much(amount, currency) from None
    if not -INT64 <= units < INT64:
        raise _too_much(amount, currency)
    return units


def is_exact(amount: Decimal, units: int, currency: str) -> bool:
    """Whether rounding to minor units lost nothing."""
    return amount == Decimal(units).scaleb(-exponents()[currency], WIDE)


def _too_much(amount: Decimal, currency: str) -> Unfit:
    return Unfit(
        "amount_out_of_range",
        f"amount {str(amount)[:40]} {currency} does not fit 64 bits of minor units",
    )
