import copy
import pickle

import pytest

from jackfield.engine.views import ListView, StreamedOutput
from jackfield.request import CompletionOutput


def test_a_view_keeps_its_elements_while_the_list_grows():
    values = [1, 2, 3]
    view = ListView(values, 1, 3)

    values.append(4)

    assert (list(view), len(view), view[0], view[-1], view[1:]) == ([2, 3], 2, 2, 3, [3])


def test_a_view_equals_lists_and_tuples_of_its_elements():
    view = ListView([1, 2, 3], 1, 3)

    assert [view == same for same in ([2, 3], (2, 3), ListView([2, 3], 0, 2))] == [True] * 3
    assert [view == other for other in ([2], [2, 4], "23")] == [False] * 3


@pytest.mark.parametrize("index", [2, -3])
def test_a_view_ends_where_it_ends(index):
    with pytest.raises(IndexError):
        ListView([1, 2, 3], 1, 3)[index]


@pytest.fixture
def streamed():
    def make(pieces):
        return StreamedOutput(
            index=1,
            pieces=pieces,
            num_pieces=2,
            token_ids=ListView([5, 6, 7], 0, 2),
            delta="b",
            logprobs=None,
        )

    return make


def test_a_streamed_output_keeps_its_text_while_the_answer_grows(streamed):
    pieces = ["a", "b"]
    output = streamed(pieces)

    pieces.append("c")

    assert (output.text, output.delta, output.finish_reason) == ("ab", "b", None)


@pytest.mark.parametrize("copied", [copy.copy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_streamed_output_becomes_a_plain_one_when_it_is_copied(streamed, copied):
    output = copied(streamed(["a", "b"]))

    assert output == CompletionOutput(index=1, text="ab", token_ids=[5, 6], delta="b")
