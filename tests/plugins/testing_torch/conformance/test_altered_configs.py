from jackfield_testing_torch.conformance.altered_configs import (
    with_keys_changed,
    with_keys_left_out,
    with_nonsense,
)

CONFIG = {"architectures": ["Acme"], "size": 3, "rope": {"theta": 2.0}}


def test_keys_are_left_out_and_null_one_at_a_time_also_in_tables():
    found = {how: {**config, "architectures": None} for how, config in with_keys_left_out(CONFIG)}

    assert found == {
        "without the key size": {"architectures": None, "rope": {"theta": 2.0}},
        "with size=null": {"architectures": None, "size": None, "rope": {"theta": 2.0}},
        "without the key rope": {"architectures": None, "size": 3},
        "with rope=null": {"architectures": None, "size": 3, "rope": None},
        "without the key rope.theta": {"architectures": None, "size": 3, "rope": {}},
        "with rope.theta=null": {"architectures": None, "size": 3, "rope": {"theta": None}},
    }


def test_other_values_are_of_the_same_type_or_null():
    config = {"on": True, "n": 3, "x": 2.0, "act": "silu", "kinds": ["a", "b"]}

    found = [how for how, _ in with_keys_changed(config)]

    assert found == [
        *("on=False", "on=None"),
        *("n=4", "n=6", "n=None"),
        *("x=3.0", "x=2.5", "x=None"),
        *("act='gelu'", "act='relu'", "act=None"),
        *("kinds=['b', 'a']", "kinds=None"),
    ]


def test_for_null_values_of_each_type_are_tried():
    assert [how for how, _ in with_keys_changed({"cap": None})] == [
        "cap=True",
        "cap=2",
        "cap=0.5",
        "cap='relu'",
    ]


def test_nothing_is_done_to_the_config_itself():
    for alter in (with_keys_left_out, with_keys_changed, with_nonsense):
        list(alter(CONFIG))

    assert CONFIG == {"architectures": ["Acme"], "size": 3, "rope": {"theta": 2.0}}
