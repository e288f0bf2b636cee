"""
How a city's slug and search keys are spelled.

Steps and services share these functions, and rows are stored with what they return. A better spelling is a new
version: write new functions beside these and a step that applies them; these stay as they are.
"""

import unicodedata
from collections.abc import Iterable


def search_key(name: str) -> str:
    """
    Return the spelling under which a name is found: no case, no accents, one space between words.

    "Łódź  Górna" gives "łodz gorna". Only the accents of European scripts are dropped: the marks of other scripts
    make another word.
    """
    if name.isascii():
        return " ".join(name.lower().split())
    apart = unicodedata.normalize("NFKD", name.casefold())
    bare = "".join(sign for sign in apart if not "\u0300" <= sign <= "\u036f")
    return " ".join(unicodedata.normalize("NFC", bare).split())


def search_keys(names: Iterable[str]) -> list[str]:
    """
    Return the search keys of all names, each once, in the order of the names; an empty name has none.
    """
    return [key for key in dict.fromkeys(map(search_key, names)) if key]


def slug(name: str, country_code: str) -> str:
    """
    Return the readable part of a city's address: "Pétionville" in "HT" gives "petionville-ht". It is not unique.
    """
    text = f"{search_key(name)} {country_code.lower()}"
    # Letters, their marks and digits stay; whatever else parts two words.
    return "-".join("".join(sign if unicodedata.category(sign)[0] in "LMN" else " " for sign in text).split())
