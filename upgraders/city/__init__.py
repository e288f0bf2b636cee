"""
Cities: the populated places of GeoNames, at the latest shape, and the kind that leads there.

Version 1 is the record as GeoNames publishes it, with `geonameid` as the `_id`. What every later version changed,
and why, stands at the head of its step file; `samples/` holds rows of every version.
"""

from typing import Literal

from pydantic import BaseModel

from docstore import Document, Kind


class Point(BaseModel):
    """
    A place on earth, as GeoJSON has it.
    """

    type: Literal["Point"] = "Point"
    #: Longitude first, then latitude, in degrees.
    coordinates: tuple[float, float]


class Country(BaseModel):
    """
    Where a city belongs.
    """

    #: ISO 3166-1 alpha-2, in capitals.
    code: str
    #: GeoNames' code of the first-level division (state, province, ...); empty where there is none.
    admin1: str


class City(Document):
    """
    A populated place. Its `id` is the geonameid.
    """

    id: int
    name: str
    #: Every spelling and language, the name itself first. GeoNames writes "no other name" as one empty text.
    names: list[str]
    location: Point
    country: Country
    population: int
    #: IANA time zone, such as "Europe/Andorra".
    timezone: str
    #: Readable part of an address; not unique.
    slug: str
    #: The names without case and accents; what a search compares with.
    search_keys: list[str]


city = Kind("city", collection="cities", model=City, package="upgraders.city")
