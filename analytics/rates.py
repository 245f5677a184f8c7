"""Exchange rates by the tenant's local day, and what they make of amounts."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

from analytics.capture.money import exponents

_WIDE: Final = Context(prec=60, rounding=ROUND_HALF_UP)


def convert(amount: int, currency: str, base: str, rate: Decimal) -> int:
    """Minor units of `currency` as minor units of `base`, one unit of `currency` being `rate` units of `base`.

    Rounded half up (away from zero at the half), as PostgreSQL's round(numeric) does.
    """
    shift = minor_digits(base) - minor_digits(currency)
    exact = _WIDE.multiply(Decimal(amount), rate).scaleb(shift, _WIDE)
    return int(exact.quantize(Decimal(1), context=_WIDE))


def minor_digits(currency: str) -> int:
    """Decimal digits of a currency's minor unit (ISO 4217); 2 for a code that is not known."""
    return exponents().get(currency, 2)
