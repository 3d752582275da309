from jackfield.engine.seeds import output_seed


def test_the_first_output_has_the_seed_of_the_request():
    assert output_seed(7, 0) == 7


def test_outputs_of_one_request_and_of_neighbouring_seeds_differ():
    seeds = [output_seed(seed, index) for seed in range(20) for index in range(20)]

    assert len(set(seeds)) == len(seeds)


def test_any_seed_of_a_user_fits_what_runtimes_take():
    assert all(0 <= output_seed(1 << 80 | 5, index) < 1 << 63 for index in (0, 1))
