"""
The spelling of slugs and search keys.
"""

import pytest

from upgraders.city.text import search_key, search_keys, slug


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Pétionville", "petionville"),
        ("Łódź  Górna", "łodz gorna"),
        ("Straße", "strasse"),
        ("İzmir", "izmir"),
        ("St. Louis", "st. louis"),
        # Taking these marks away would make other words of them.
        ("がんばる", "がんばる"),
        ("किला", "किला"),
        ("", ""),
    ],
)
def test_search_key_has_no_case_and_no_european_accents(name: str, key: str) -> None:
    assert search_key(name) == key


def test_search_key_is_the_same_for_composed_and_decomposed_letters() -> None:
    assert search_key("Pe\u0301tion") == search_key("P\u00e9tion")


def test_search_key_of_a_search_key_is_itself() -> None:
    once = search_key("Thị Trấn Đồng Văn")
    assert search_key(once) == once


def test_search_keys_drop_repeated_and_empty_ones_and_keep_the_order() -> None:
    assert search_keys(["Wien", "WIEN", "", "Vienna", "wien"]) == ["wien", "vienna"]


@pytest.mark.parametrize(
    ("name", "country_code", "expected"),
    [
        ("Pétionville", "HT", "petionville-ht"),
        ("Ra’s Bayrūt", "LB", "ra-s-bayrut-lb"),
        ("St. Louis", "US", "st-louis-us"),
        ("किला", "IN", "किला-in"),
    ],
)
def test_slug_joins_words_with_hyphens_and_ends_with_the_country(name: str, country_code: str, expected: str) -> None:
    assert slug(name, country_code) == expected
