"""Blocks of 4 tokens; what a request holds of a group of states, and where another can go on."""

PROMPT = list(range(10))
STATE = "state"


def compute(books, table, token_ids, start, stop):
    """Plan a step, and let it be resolved."""
    books.manager.extend(table, start, stop)
    books.remember(table, token_ids, stop)


def test_a_request_holds_one_state_however_long_it_is(make_books):
    books = make_books((STATE,), prefix_caching=False)

    table = books.admit(PROMPT)
    books.manager.extend(table, 10, 25)

    assert len(table.block_ids[0]) == 7
    assert len(set(table.block_ids[0])) == 1
    assert books.num_free == [7]


def test_a_prompt_stops_behind_its_last_full_block(make_books):
    assert list(make_books((STATE,)).find(PROMPT).stops) == [8]


def test_a_prompt_that_was_computed_in_one_go_kept_no_state(make_books):
    books = make_books((STATE,))

    books.cache(PROMPT)

    assert books.find(PROMPT).num_tokens == 0


def test_a_kept_state_is_hit_and_stays_as_it_is(make_books):
    books = make_books((STATE,))
    table = books.admit(PROMPT, chunk=8)
    compute(books, table, PROMPT, 0, 8)
    compute(books, table, PROMPT, 8, 10)
    books.manager.give_back(table)

    hit = books.find(PROMPT)
    again = books.admit(PROMPT, hit=hit)

    assert hit.num_tokens == 8
    assert again.block_ids[0][1] == table.block_ids[0][1]  # read
    assert again.block_ids[0][2] != again.block_ids[0][1]  # written


def test_a_hit_goes_on_in_place_where_no_block_is_free(make_books):
    books = make_books((STATE,), num_blocks=1)
    table = books.admit(PROMPT, chunk=8)
    compute(books, table, PROMPT, 0, 8)
    books.manager.give_back(table)

    again = books.admit(PROMPT)

    assert again.block_ids[0][1] == again.block_ids[0][2]
    assert books.find(PROMPT).num_tokens == 0  # nothing is known of it any more


def test_nobody_makes_room_for_a_state_to_be_kept(make_books):
    books = make_books((STATE,), num_blocks=1)
    table = books.admit(PROMPT, chunk=8)
    compute(books, table, PROMPT, 0, 8)

    assert books.manager.extend(table, 8, 10) == [(0, [table.block_ids[0][0]])]
    assert books.find(PROMPT).num_tokens == 0


def test_full_attention_beside_a_state_is_hit_as_far_as_the_state(make_books):
    books = make_books((None, STATE))
    table = books.admit(PROMPT, chunk=4)
    for start, stop in ((0, 4), (4, 8), (8, 10)):
        compute(books, table, PROMPT, start, stop)

    assert books.find([*PROMPT[:6], 99, 99, 99]).num_tokens == 0
    assert books.find([*PROMPT, 99]).num_tokens == 8


def test_a_state_is_kept_where_prompts_part(make_books):
    books = make_books((None, STATE))
    table = books.admit(PROMPT)
    books.remember(table, PROMPT)

    assert list(books.find([*PROMPT[:5], 99, 99, 99, 99]).stops) == [4, 8]


def test_a_fork_goes_on_from_the_kept_state_of_its_sibling(make_books):
    books = make_books((None, STATE))
    table = books.admit(PROMPT, chunk=8)
    books.manager.extend(table, 8, 10)

    fork = books.manager.fork_prefix(table, 9)

    assert fork.num_tokens == 8
    assert [ids[-1] for ids in fork.block_ids] == [ids[1] for ids in table.block_ids]


def test_there_is_no_fork_where_no_state_was_kept(make_books):
    books = make_books((None, STATE))
    table = books.admit(PROMPT)

    assert books.manager.fork_prefix(table, 9) is None


def test_states_are_given_for_rows_and_not_for_tokens(make_budget):
    full, states = make_budget(None, STATE, max_rows=2).split(100_000, [10, 100])

    assert states == 1 + 3 * 2
    assert full == (100_000 - 100 * states) // 10
