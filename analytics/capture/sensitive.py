"""Which fields may not lie in plain text: names of people, ways to reach them, cards, and what a tenant declares.

They are judged by name; a text that looks like an e-mail address is taken as well, whatever its field is called.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

WORDS: Final = re.compile(r"[^a-z0-9]+")
CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# Told from its sign on: from its beginning on, every letter of a long text would be tried as one.
EMAIL: Final = re.compile(r"(?<=[\w.+'-])(?:@|%40)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}")

EXACT: Final = frozenset(
    {
        "email", "e_mail", "mail", "email_address", "phone", "phone_number", "telephone", "tel", "mobile",
        "mobile_number", "mobile_phone", "fax", "first_name", "firstname", "last_name", "lastname",
        "full_name", "fullname", "given_name", "family_name", "middle_name", "surname", "maiden_name",
        "customer_name", "contact_name", "account_holder", "cardholder", "cardholder_name", "card_holder",
        "recipient_name", "username", "user_name", "login", "nickname", "display_name", "address", "address1",
        "address2", "address_line", "address_line1", "address_line2", "address_line_1", "address_line_2",
        "street", "street_address", "home_address", "postal_address", "shipping_address", "billing_address",
        "delivery_address", "zip", "zipcode", "zip_code", "postcode", "postal_code", "birthday", "birth_date",
        "birthdate", "date_of_birth", "dob", "ssn", "social_security_number", "national_id", "tax_id",
        "passport", "passport_number", "driving_licence", "drivers_license", "iban", "bic", "account_number",
        "bank_account", "sort_code", "card", "card_number", "cardnumber", "credit_card", "creditcard",
        "cc_number", "pan", "cvc", "cvv", "card_cvc", "password", "passwd", "secret", "ip", "ip_address",
        "latitude", "longitude",
    }
)  # fmt: skip
ENDINGS: Final = (
    "_email",
    "_email_address",
    "_phone",
    "_phone_number",
    "_first_name",
    "_last_name",
    "_full_name",
)
# In a person's own traits (not in an event's properties) a bare `name` is the name of that person.
TRAITS_TOO: Final = frozenset({"name", "avatar", "photo"})


def snake(name: str) -> str:
    """`firstName`, `First Name` and `$first-name` are all `first_name`."""
    return WORDS.sub("_", CAMEL.sub("_", name).lower()).strip("_")


def is_sensitive(name: str, declared: frozenset[str] = frozenset()) -> bool:
    """Whether a field of an event's properties is sensitive by its name. `declared` are the tenant's own names."""
    plain = snake(name)
    return plain in EXACT or plain.endswith(ENDINGS) or name in declared or plain in declared


def is_sensitive_trait(name: str, declared: frozenset[str] = frozenset()) -> bool:
    """Whether a trait of a person is sensitive by its name."""
    return is_sensitive(name, declared) or snake(name) in TRAITS_TOO


def holds_email(text: str) -> bool:
    """Whether a text has an e-mail address in it, plain or as part of a URL."""
    return ("@" in text or "%40" in text) and EMAIL.search(text) is not None


def holds_sensitive(value: Any, declared: frozenset[str] = frozenset()) -> bool:
    """Whether a container has a sensitive field or an e-mail address anywhere inside."""
    if isinstance(value, str):
        return holds_email(value)
    if isinstance(value, Mapping):
        return any(is_sensitive(key, declared) or holds_sensitive(item, declared) for key, item in value.items())
    if isinstance(value, list):
        return any(holds_sensitive(item, declared) for item in value)
    return False


def split_traits(
    traits: Mapping[str, Any], declared: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Traits of a person as (plain, sensitive)."""
    plain: dict[str, Any] = {}
    sealed: dict[str, Any] = {}
    for key, value in traits.items():
        hidden = is_sensitive_trait(key, declared) or holds_sensitive(value, declared)
        (sealed if hidden else plain)[key] = value
    return plain, sealed
