import pytest

from jackfield.sampling import SamplingParams
from jackfield.step import BlockAppend, BlockCopy, BlockReplace, LateInputs, TokenMasks
from jackfield_testing.faults import BooksError
from jackfield_testing.oracle import reference_tokens

PROMPT = [5, 6, 7, 8, 9]
FULL, WINDOW, BOTH = (None,), (3,), (None, 3)
GREEDY = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)


def expected(driver, prompt=PROMPT, sampling=GREEDY, **values):
    return reference_tokens(prompt, sampling, driver.spec, **values)


@pytest.mark.parametrize("windows", [FULL, WINDOW, BOTH], ids=str)
def test_a_row_draws_what_the_oracle_says(make_driver, windows):
    driver = make_driver(windows)

    first = driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [3, 1, 7, 2])])

    assert [*first.token_ids, *driver.decode(0, 7)] == expected(driver)


@pytest.mark.parametrize("windows", [FULL, WINDOW, BOTH], ids=str)
def test_chunks_change_nothing(make_driver, windows):
    driver = make_driver(windows)

    start = driver.step((0, 2, False), new_rows=[driver.new(0, PROMPT, [3, 1, 7, 2])])
    first = driver.step((0, 3, True))

    assert start.token_ids == []
    assert [*first.token_ids, *driver.decode(0, 7)] == expected(driver)


def test_rows_do_not_disturb_each_other(driver):
    other = [9, 9, 9]
    rows = [driver.new(0, PROMPT, [0, 1, 2]), driver.new(1, other, [3, 4, 5])]

    steps = [driver.step((0, 5, True), (1, 3, True), new_rows=rows)]
    steps += [driver.step((1, 1, True), (0, 1, True)) for _ in range(4)]

    drawn = [
        dict(zip((0, 1) if i == 0 else (1, 0), s.token_ids, strict=True))
        for i, s in enumerate(steps)
    ]
    assert [step[0] for step in drawn] == expected(driver)[:5]
    assert [step[1] for step in drawn] == expected(driver, other)[:5]


@pytest.mark.parametrize("windows", [FULL, BOTH], ids=str)
def test_a_prefix_hit_on_the_right_blocks_changes_nothing(make_driver, windows):
    driver = make_driver(windows)
    driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0, 1])])
    longer = [*PROMPT[:4], 1, 2]

    hit = driver.new(1, longer, [0, 5], num_computed=4)
    result = driver.step((1, 2, True), new_rows=[hit])

    assert list(result.token_ids) == expected(driver, longer)[:1]


@pytest.mark.parametrize("windows", [FULL, WINDOW], ids=str)
def test_a_prefix_hit_with_equal_tokens_after_another_prefix_changes_the_answer(
    make_driver, windows
):
    """The last window of both prompts is the same, but what stands in the cache knows its past."""
    driver = make_driver(windows)
    driver.step((0, 5, True), new_rows=[driver.new(0, [1, *PROMPT[1:]], [0, 1])])

    result = driver.step((1, 1, True), new_rows=[driver.new(1, PROMPT, [0, 5], num_computed=4)])

    assert list(result.token_ids) != expected(driver)[:1]


def test_verify_names_the_place_of_a_wrong_value(make_driver):
    driver = make_driver(verify=True)
    driver.step((0, 5, True), new_rows=[driver.new(0, [1, 1, 1, 1, 1], [0, 1])])

    with pytest.raises(BooksError, match="position 0 of group 0, in block 0"):
        driver.step((1, 1, True), new_rows=[driver.new(1, PROMPT, [0, 5], num_computed=4)])


def test_a_block_that_another_row_overwrites_changes_the_answer(driver):
    driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0, 1, 2])])
    other = driver.new(1, [1, 2, 3, 4, 4], [0, 5], num_computed=2)  # a hit on half of block 0

    driver.step((1, 3, True), new_rows=[other])

    assert driver.decode(0, 1) != expected(driver)[1:2]


def test_a_slot_that_nobody_wrote_is_not_read(driver):
    with pytest.raises(BooksError, match="position 0 of group 0 is read before it was written"):
        driver.step((0, 1, True), new_rows=[driver.new(0, PROMPT, [0, 1], num_computed=4)])


def test_what_a_block_held_for_an_earlier_row_is_not_read(driver):
    driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0, 1])])
    driver.step((1, 1, False), removed_rows=[0], new_rows=[driver.new(1, PROMPT, [0, 1])])

    cache = driver.device.caches[0]

    with pytest.raises(BooksError, match="position 4"):
        cache.read([0, 1], 4, 5)


def test_a_fresh_block_that_another_row_uses_is_refused(driver):
    driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0, 1])])

    with pytest.raises(BooksError, match="block 1 of group 0 comes to row 1 as a fresh one"):
        driver.step((1, 3, True), new_rows=[driver.new(1, [1, 2, 3], [1])])


def test_an_appended_block_that_another_row_uses_is_refused(driver):
    rows = [driver.new(0, PROMPT, [0, 1]), driver.new(1, [1, 2, 3], [2])]
    driver.step((0, 5, True), (1, 3, True), new_rows=rows)

    with pytest.raises(BooksError, match="block 1 of group 0"):
        driver.step((1, 1, True), new_blocks=[BlockAppend(1, 0, [1])])


def test_a_block_behind_the_window_may_go_to_another_row(make_driver):
    driver = make_driver(WINDOW)
    driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0, 1, 2])])
    driver.decode(0, 1)  # the next query, at position 6, sees 4, 5 and 6

    driver.step((1, 3, True), new_rows=[driver.new(1, [1, 2, 3], [0])])

    assert driver.decode(0, 3) == expected(driver)[2:5]


def test_a_block_within_the_window_may_not(make_driver):
    driver = make_driver(WINDOW)
    driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0, 1, 2])])

    with pytest.raises(BooksError, match="block 0 of group 0"):  # position 5 sees 3
        driver.step((1, 3, True), new_rows=[driver.new(1, [1, 2, 3], [0])])


def test_appended_blocks_go_on(driver):
    driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0, 1])])
    driver.decode(0, 3)

    result = driver.step((0, 1, True), new_blocks=[BlockAppend(0, 0, [9])])

    assert list(result.token_ids) == expected(driver)[4:5]


def test_a_copied_tail_goes_on_by_itself(driver):
    driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0, 1])])
    fork = driver.new(1, [*PROMPT, 40], [0, 8], num_computed=5)

    result = driver.step((0, 1, True), (1, 1, True), new_rows=[fork], copies=[BlockCopy(0, 1, 8)])

    assert result.token_ids[0] == expected(driver)[1]
    assert result.token_ids[1] == expected(driver, [*PROMPT, 40])[0]


def test_a_tail_that_was_not_copied_is_noticed(driver):
    driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0, 1])])

    with pytest.raises(BooksError, match="position 4 of group 0 is read before it was written"):
        driver.step((1, 1, True), new_rows=[driver.new(1, [*PROMPT, 40], [0, 8], num_computed=5)])


def test_a_block_that_was_never_written_is_not_copied(driver):
    with pytest.raises(BooksError, match="block 7 of group 0 is copied to 8"):
        driver.step(copies=[BlockCopy(0, 7, 8)])


def test_a_replaced_block_goes_on_with_the_copy(driver):
    rows = [driver.new(0, PROMPT, [0, 1])]
    driver.step((0, 5, True), new_rows=rows)

    result = driver.step(
        (0, 1, True), copies=[BlockCopy(0, 1, 6)], replaced_blocks=[BlockReplace(0, 0, 1, 6)]
    )

    assert list(result.token_ids) == expected(driver)[1:2]
    assert driver.device.rows[0].tables.block_ids == [[0, 6]]


def test_a_removed_row_lets_go_of_its_blocks(driver):
    driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0, 1])])

    driver.step(removed_rows=[0])

    assert [cache.num_held for cache in driver.device.caches] == [0]
    assert driver.device.rows == {}


def test_a_row_in_use_is_not_given_away(driver):
    driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0, 1])])

    with pytest.raises(BooksError, match="row 0 is given to a new request, but is in use"):
        driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [2, 3])])


def test_a_row_may_be_removed_and_given_away_in_one_plan(driver):
    driver.step((0, 5, True), new_rows=[driver.new(0, [1, 1, 1, 1, 1], [0, 1])])

    again = driver.step((0, 5, True), removed_rows=[0], new_rows=[driver.new(0, PROMPT, [0, 1])])

    assert list(again.token_ids) == expected(driver)[:1]


@pytest.mark.parametrize(
    ("work", "message"),
    [
        ((0, 2, True), "has 5 of 6 computed"),
        ((0, 1, False), "samples=False"),
        ((1, 1, True), "row 1, which is not in use"),
    ],
)
def test_work_that_does_not_fit_the_row_is_refused(driver, work, message):
    driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0, 1])])

    with pytest.raises(BooksError, match=message):
        driver.step(work)


def test_sampling_before_a_row_has_caught_up_is_refused(driver):
    with pytest.raises(BooksError, match="samples=True, but 4 of its 5 tokens"):
        driver.step((0, 4, True), new_rows=[driver.new(0, PROMPT, [0, 1])])


def test_a_table_that_ends_too_early_is_refused(driver):
    with pytest.raises(BooksError, match="computes up to position 4, but its table of group 0"):
        driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0])])


def test_an_unknown_block_is_refused(driver):
    with pytest.raises(BooksError, match="group 0 has no block 16"):
        driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0, 16])])


def test_step_ids_increase(driver):
    driver.step()
    driver.step_id -= 1

    with pytest.raises(BooksError, match="step 0 came after step 0"):
        driver.step()


def test_the_limits_hold(driver):
    with pytest.raises(BooksError, match="65 tokens; allowed: 4 and 64"):
        driver.step((0, 65, True), new_rows=[driver.new(0, [1] * 65, list(range(16)))])


def test_an_error_concerns_one_row(make_driver):
    driver = make_driver(error_token_id=77)
    rows = [driver.new(0, [5, 77], [0]), driver.new(1, PROMPT, [1, 2])]

    first = driver.step((0, 2, True), (1, 5, True), new_rows=rows)
    second = driver.step((0, 1, True), (1, 1, True))

    assert list(first.errors) == list(second.errors) == [0]
    assert [first.token_ids[1], second.token_ids[1]] == expected(driver)[:2]


def test_an_error_can_come_with_a_position(make_driver):
    driver = make_driver(error_position=6)
    driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0, 1])])

    assert [list(driver.step((0, 1, True)).errors) for _ in range(2)] == [[], [0]]


def test_a_prompt_that_asks_for_an_echo_is_answered_with_its_rest(make_driver):
    driver = make_driver(echo_token_id=257)

    first = driver.step((0, 3, True), new_rows=[driver.new(0, [257, 11, 12], [0, 1])])

    assert [*first.token_ids, *driver.decode(0, 3)] == [11, 12, 11, 12]


def test_a_late_mask_decides(driver):
    mask = bytearray(36)
    mask[42 // 8] = 1 << 42 % 8

    new = driver.new(0, PROMPT, [0, 1])
    result = driver.step((0, 5, True), new_rows=[new], late=LateInputs(masks=TokenMasks([0], mask)))

    assert result.token_ids == [42]


def test_a_mask_that_allows_nothing_is_an_error_of_the_row(driver):
    new = driver.new(0, PROMPT, [0, 1])
    result = driver.step(
        (0, 5, True), new_rows=[new], late=LateInputs(masks=TokenMasks([0], bytes(36)))
    )

    assert "no token is allowed" in result.errors[0]


def test_prompt_logprobs_cover_each_prompt_token_but_the_first(driver):
    sampling = SamplingParams(temperature=0, prompt_logprobs=2)
    new = driver.new(0, PROMPT, [0, 1], sampling=sampling)

    first = driver.step((0, 2, False), new_rows=[new])
    second = driver.step((0, 3, True))

    both = [*first.prompt_logprobs[0], *second.prompt_logprobs[0]]
    assert [entry.token_id for entry in both] == PROMPT[1:]
    assert [len(entry.top_ids) for entry in both] == [2, 2, 2, 2]


def test_logprobs_rank_the_drawn_token(driver):
    sampling = SamplingParams(temperature=0, logprobs=3)

    result = driver.step((0, 5, True), new_rows=[driver.new(0, PROMPT, [0, 1], sampling=sampling)])

    (entry,) = result.logprobs[0]
    assert (entry.token_id, entry.rank) == (result.token_ids[0], 1)
    assert entry.top_ids[0] == entry.token_id
