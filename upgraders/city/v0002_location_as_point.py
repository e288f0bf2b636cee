"""
Store the place as a GeoJSON point, the only form that a `2dsphere` index and `$near` take.

One release changes both ends at once: nobody can use half a point, and the way back gives the two numbers as they were.
The point is built as plain fields and nested last, so that the way back leaves no empty `location` behind.

    before  {latitude: 42.53176, longitude: 1.56654, …}
    after   {location: {type: "Point", coordinates: [1.56654, 42.53176]}, …}
"""

from docstore import Step
from docstore import operations as ops

step = Step(
    ops.AddField("point_type", "Point"),
    ops.PackList(["longitude", "latitude"], into="coordinates"),
    ops.NestFields({"point_type": "type", "coordinates": "coordinates"}, into="location"),
    summary="latitude and longitude become a GeoJSON point",
)
