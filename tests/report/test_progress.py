"""Progress of the commands that look at many runs."""

import io

import pytest

from ebreplicate.report.progress import steps


class Terminal(io.StringIO):
    def isatty(self):
        return True


def clock_of(seconds):
    """A clock that says 0 and then one of `seconds` each time it is asked."""
    return iter([0.0, *seconds]).__next__


def test_a_log_gets_a_line_every_ten_seconds():
    out = io.StringIO()
    assert list(steps("abcdef", "runs checked", out, clock_of([0, 6, 12, 18, 21, 21.5]))) == list("abcdef")
    assert out.getvalue() == "2 of 6 runs checked, about 24 s left\n"  # at 12 s; the next were at 22


def test_a_terminal_gets_one_line_in_place_which_is_cleared_at_the_end():
    out = Terminal()
    assert list(steps("abc", "runs", out, clock_of([0, 1, 1.2]))) == list("abc")
    assert out.getvalue() == "\r\033[K1 of 3 runs, about 2 s left\r\033[K"


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_nothing_to_do_says_nothing(stream):
    out = stream()
    assert list(steps([], "runs", out)) == []
    assert out.getvalue() == ""
