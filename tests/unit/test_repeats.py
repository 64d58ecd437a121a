"""What is said again and again is written once a minute."""

import logging
import time

from filmfs.cli.repeats import Repeats


def record(text: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord("filmfs.test", logging.ERROR, __file__, 1, text, values, None)


def test_a_message_comes_again_after_its_time_with_how_often_it_was_left_out() -> None:
    repeats = Repeats(window_s=0.05)
    assert repeats.filter(record("not durable yet: %s", "full"))
    assert [repeats.filter(record("not durable yet: %s", "full")) for _ in range(3)] == [False] * 3
    time.sleep(0.06)
    again = record("not durable yet: %s", "full")
    assert repeats.filter(again)
    assert again.getMessage() == "not durable yet: full (and 3 times more before)"
    time.sleep(0.06)
    once_more = record("not durable yet: %s", "full")
    assert repeats.filter(once_more)
    assert once_more.getMessage() == "not durable yet: full"


def test_other_messages_are_not_left_out_and_what_is_known_has_bounds() -> None:
    repeats = Repeats()
    assert all(repeats.filter(record("a blob of %d cannot be read", number)) for number in range(5000))
    assert len(repeats._said) <= 1000
    assert not repeats.filter(record("a blob of %d cannot be read", 4999))
