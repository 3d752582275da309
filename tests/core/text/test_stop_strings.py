from hypothesis import given
from hypothesis import strategies as st

from jackfield.text.stop_strings import StopFilter

texts = st.text(alphabet="abc", max_size=30)
stop_lists = st.lists(st.text(alphabet="abc", min_size=1, max_size=4), min_size=1, max_size=3)


def shown(stops, pieces, **options):
    """All that a filter lets pass of the pieces, and the stop string."""
    stop_filter = StopFilter(stops, **options)
    text = ""
    for piece in pieces:
        delta, stop = stop_filter.push(piece)
        text += delta
        if stop is not None:
            return text, stop
    return text + stop_filter.flush(), None


def letter_by_letter(text, stops):
    """The meaning of stop strings, written out: the first that is complete, the longest of several."""
    for end in range(1, len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            stop = max(found, key=len)
            return text[: end - len(stop)], stop
    return text, None


@given(texts, stop_lists, st.lists(st.integers(1, 6), max_size=30))
def test_the_cut_into_pieces_does_not_matter(text, stops, cuts):
    pieces, rest = [], text
    for size in cuts:
        pieces.append(rest[:size])
        rest = rest[size:]

    assert shown(stops, [*pieces, rest]) == letter_by_letter(text, stops)


@given(texts, stop_lists)
def test_nothing_that_was_shown_is_taken_back(text, stops):
    stop_filter = StopFilter(stops)
    expected, _ = letter_by_letter(text, stops)
    seen = ""

    for letter in text:
        delta, stop = stop_filter.push(letter)
        seen += delta
        assert expected.startswith(seen)
        if stop is not None:
            break


def test_no_more_is_held_back_than_may_be_a_stop_string():
    stop_filter = StopFilter(["</end>"])

    assert stop_filter.push("a < b </e") == ("a < b ", None)
    assert stop_filter.push("x") == ("</ex", None)


def test_the_stop_string_can_be_kept():
    assert shown(["END"], ["one E", "ND two"], include_stop=True) == ("one END", "END")


def test_text_that_only_begins_a_stop_string_is_given_out_at_the_end():
    assert shown(["END"], ["one EN"]) == ("one EN", None)
