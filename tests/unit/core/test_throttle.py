from hypothesis import given
from hypothesis import strategies as st

from docstore.core.throttle import FIRST_NICE, MOST_NICE, UNKNOWN_FOR, Answer, Limits, Throttle, Verdict

NORMAL = Answer("lag", Verdict.NORMAL, "fine")
UNKNOWN = Answer("load", Verdict.UNKNOWN, "not allowed")
SLOW = Answer("lag", Verdict.SLOW_DOWN, "behind")
STOP = Answer("lag", Verdict.STOP, "far behind")
COMPANY = Answer("others", Verdict.SLOW_DOWN, "others are there", pause=1.0)


def after(*rounds: list[Answer], start: Throttle | None = None) -> Throttle:
    throttle = start or Throttle()
    for now, answers in enumerate(rounds):
        throttle = throttle.after(answers, now=float(now))
    return throttle


def test_limits_judge_a_value_by_the_hardest_limit_that_it_reaches() -> None:
    limits = Limits(slow=2, stop=5)

    verdicts = [limits.judge("lag", value, unit="s", what="lag").verdict for value in (1.9, 2, 4.9, 5)]

    assert verdicts == [Verdict.NORMAL, Verdict.SLOW_DOWN, Verdict.SLOW_DOWN, Verdict.STOP]


def test_limits_without_a_stop_never_stop() -> None:
    assert Limits(slow=2, stop=None).judge("batch", 1e9, unit="s", what="").verdict is Verdict.SLOW_DOWN


def test_limits_above_a_slow_best_value_rise_with_it() -> None:
    limits = Limits(slow=50, stop=500)

    assert limits.above(1, slow_times=4, stop_times=40) == limits
    assert limits.above(100, slow_times=4, stop_times=40) == Limits(slow=400, stop=4000)


def test_throttle_without_answers_is_at_full_speed() -> None:
    throttle = after([])

    assert (throttle.nice, throttle.stopped, throttle.reason, throttle.since) == (0.0, False, "", None)


def test_throttle_takes_the_worst_answer() -> None:
    throttle = after([NORMAL, STOP, SLOW])

    assert throttle.stopped
    assert throttle.reason == "far behind"


def test_throttle_doubles_the_pause_with_every_slow_round_up_to_the_longest() -> None:
    pauses = [after(*[[SLOW]] * rounds).nice for rounds in range(1, 8)]

    assert pauses == [FIRST_NICE, 0.5, 1.0, 2.0, 4.0, MOST_NICE, MOST_NICE]


def test_throttle_begins_again_as_soon_as_no_signal_says_stop_but_slowly() -> None:
    throttle = after([STOP], [STOP], [NORMAL])

    assert not throttle.stopped
    assert 0 < throttle.nice < 0.5


def test_throttle_remembers_since_when_it_stopped_and_since_when_it_held_back() -> None:
    throttle = after([NORMAL], [SLOW], [STOP], [STOP])

    assert (throttle.since, throttle.stopped_since) == (1.0, 2.0)


def test_throttle_comes_back_to_full_speed_after_good_rounds_more_slowly_than_it_backed_off() -> None:
    bad = after(*[[SLOW]] * 6)
    throttle, rounds = bad, 0
    while throttle.nice:
        throttle = throttle.after([NORMAL], now=100.0 + rounds)
        rounds += 1

    assert rounds > 6
    assert (throttle.reason, throttle.since) == ("", None)


def test_throttle_keeps_its_pace_while_a_signal_is_briefly_unknown() -> None:
    slowed = after([SLOW], [SLOW])

    assert slowed.after([UNKNOWN], now=2.0).nice == slowed.nice
    assert Throttle().after([UNKNOWN], now=2.0).nice == 0.0


def test_throttle_takes_a_signal_that_stays_unknown_for_no_healthy_one() -> None:
    throttle = Throttle().after([UNKNOWN, NORMAL], now=0.0).after([UNKNOWN, NORMAL], now=UNKNOWN_FOR)

    assert throttle.nice == FIRST_NICE
    assert throttle.reason == "not allowed, for 30 s"


def test_throttle_does_not_grow_harder_for_a_signal_that_stays_unknown() -> None:
    throttle = Throttle()
    for second in range(300):
        throttle = throttle.after([UNKNOWN], now=float(second))

    assert throttle.nice == FIRST_NICE
    assert not throttle.stopped


def test_throttle_forgets_how_long_a_signal_was_unknown_once_it_answers() -> None:
    throttle = Throttle().after([UNKNOWN], now=0.0)
    throttle = throttle.after([Answer("load", Verdict.NORMAL, "fine")], now=29.0).after([UNKNOWN], now=31.0)

    assert throttle.nice == 0.0


def test_throttle_does_not_begin_again_because_the_signal_that_stopped_it_fell_silent() -> None:
    throttle = Throttle().after([STOP], now=0.0).after([UNKNOWN], now=5.0).after([UNKNOWN, SLOW], now=10.0)

    assert (throttle.stopped_since, throttle.reason) == (0.0, "far behind")
    assert not throttle.after([NORMAL], now=15.0).stopped


def test_throttle_is_not_stopped_for_ever_by_a_signal_that_fell_silent() -> None:
    throttle = Throttle().after([STOP], now=0.0).after([UNKNOWN], now=1.0)
    throttle = throttle.after([UNKNOWN], now=1.0 + UNKNOWN_FOR)

    assert not throttle.stopped
    assert throttle.reason == "not allowed, for 30 s"


@given(st.lists(st.lists(st.sampled_from([NORMAL, UNKNOWN, COMPANY, SLOW, STOP]), max_size=3), max_size=60))
def test_throttle_always_has_a_bounded_pause_and_a_reason_for_it(rounds: list[list[Answer]]) -> None:
    throttle = after(*rounds)

    assert 0 <= throttle.nice <= MOST_NICE
    assert bool(throttle.nice) == bool(throttle.reason) == (throttle.since is not None)
    assert throttle.stopped <= bool(throttle.nice)
    assert throttle.pause_after(2.0) == 2 * throttle.nice


@given(st.lists(st.lists(st.sampled_from([NORMAL, UNKNOWN, COMPANY, SLOW, STOP]), max_size=3), max_size=30))
def test_throttle_is_back_at_full_speed_after_enough_good_rounds(rounds: list[list[Answer]]) -> None:
    throttle = after(*rounds, *[[NORMAL]] * 30)

    assert throttle == Throttle()


def test_throttle_takes_the_pause_that_an_answer_asks_for_at_once_and_no_longer_one() -> None:
    pauses = [after(*[[COMPANY]] * rounds).nice for rounds in range(1, 5)]

    assert pauses == [1.0] * 4


def test_throttle_backs_off_further_for_a_signal_that_asks_for_no_pause_of_its_own() -> None:
    throttle = after([COMPANY], [COMPANY, SLOW], [COMPANY, SLOW])

    assert (throttle.nice, throttle.reason) == (4.0, "behind")


def test_throttle_comes_back_slowly_to_the_pause_that_is_still_asked_for() -> None:
    pauses = [after([SLOW], *[[SLOW]] * 3, *[[COMPANY]] * rounds).nice for rounds in range(6)]

    assert pauses[0] == 2.0
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[1] > 1.5
    assert pauses[-1] == 1.0


def test_throttle_names_the_stop_among_slow_answers() -> None:
    throttle = after([COMPANY, SLOW, STOP])

    assert throttle.stopped
    assert throttle.reason == "far behind"


def test_throttle_lets_work_do_with_a_shorter_pause_for_others_who_are_just_there() -> None:
    throttle = after([COMPANY])

    assert throttle.pause_after(2.0) == 2.0
    assert throttle.pause_after(2.0, courtesy=0.25) == 0.5
    assert throttle.pause_after(2.0, courtesy=3.0) == 2.0
    # So too while they go.
    assert after([COMPANY], [NORMAL]).pause_after(1.0, courtesy=0.25) == 0.25


def test_throttle_takes_no_shorter_pause_while_it_backs_off_and_comes_back() -> None:
    slow = [[COMPANY, SLOW], [COMPANY, SLOW]]

    assert after(*slow).pause_after(1.0, courtesy=0.25) == 2.0
    assert after(*slow, [COMPANY]).pause_after(1.0, courtesy=0.25) > 1.5
    assert after(*slow, *[[COMPANY]] * 4).pause_after(1.0, courtesy=0.25) == 0.25
