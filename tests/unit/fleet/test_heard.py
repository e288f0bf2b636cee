"""
What a node makes of control records that it reads one after the other.
"""

from docstore.core.control_view import ControlView
from docstore.core.write_version import ControlState
from docstore.fleet.heard import Heard
from tests.kinds import place_kind


def view(version: int, epoch: int) -> ControlView:
    return ControlView(epoch=epoch, controls={"place": ControlState("place", version, epoch)})


def test_of_two_answers_that_overtake_each_other_the_newer_one_counts() -> None:
    heard = Heard([place_kind()])

    assert heard.adopt(view(3, epoch=5))
    assert not heard.adopt(view(2, epoch=4))

    assert heard.controls["place"].write_version == 3


def test_what_is_said_of_kinds_that_it_does_not_work_with_is_nothing_new() -> None:
    heard = Heard([])

    assert not heard.adopt(view(3, epoch=5))
    assert heard.controls == {}
