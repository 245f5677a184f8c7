"""Registries refuse what would make a name mean two things."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from analytics.registry import Registry, RegistryError, UnknownName


@dataclass(frozen=True)
class Dish:
    id: str
    price: int = 1


def test_a_registered_item_is_found_by_its_id() -> None:
    dishes: Registry[Dish] = Registry(Dish)
    soup = dishes.register(Dish("soup"))
    assert (dishes["soup"], dishes.get("cake"), list(dishes), "soup" in dishes, len(dishes)) == (
        soup,
        None,
        [soup],
        True,
        1,
    )


def test_a_taken_name_a_wrong_kind_and_no_name_raise() -> None:
    dishes: Registry[Dish] = Registry(Dish)
    dishes.register(Dish("soup"))
    with pytest.raises(RegistryError, match="already registered"):
        dishes.register(Dish("soup", 2))
    with pytest.raises(RegistryError, match="is no Dish"):
        dishes.register("cake")  # type: ignore[arg-type]
    with pytest.raises(RegistryError, match="needs a name"):
        dishes.register(Dish(""))
    assert dishes.names() == ("soup",)


def test_an_unknown_name_offers_the_nearest() -> None:
    dishes: Registry[Dish] = Registry(Dish)
    dishes.register(Dish("soup"))
    with pytest.raises(UnknownName, match="did you mean soup"):
        dishes["soap"]


def test_an_unknown_name_is_a_key_error_that_speaks_in_a_sentence() -> None:
    error = UnknownName("there is no metric x; did you mean y?")
    assert isinstance(error, KeyError)
    assert str(error) == "there is no metric x; did you mean y?"
