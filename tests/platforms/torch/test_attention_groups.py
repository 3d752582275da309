"""Which layers share a selection of attention."""

import dataclasses

from jackfield.config import EngineConfig
from jackfield_testing.models import tiny_spec
from jackfield_torch.attention_groups import attention_groups


def groups_of(spec, *rules):
    select = {"attention": list(rules)} if rules else {}
    return attention_groups(spec, EngineConfig(select=select), "cpu")


def with_mixer(spec, layer, *, cache_of_layer=None, **changes):
    layers = list(spec.layers)
    mixer = dataclasses.replace(layers[layer].mixer, **changes)
    layers[layer] = dataclasses.replace(layers[layer], mixer=mixer, cache_of_layer=cache_of_layer)
    return dataclasses.replace(spec, layers=tuple(layers))


def test_layers_of_one_cache_group_that_are_alike_are_together():
    found = groups_of(tiny_spec(4, windows=(None, 8)))

    assert [group.subject for group in found] == ["layers 0, 2", "layers 1, 3"]
    assert [group.cache_group.index for group in found] == [0, 1]


def test_layers_that_need_something_else_are_apart_though_they_share_a_cache_group():
    capped, plain = groups_of(with_mixer(tiny_spec(3), 0, soft_cap=30.0))

    assert (capped.subject, plain.subject) == ("layer 0", "layers 1-2")
    assert (capped.need.soft_cap, plain.need.soft_cap) == (True, False)
    assert capped.cache_group == plain.cache_group


def test_a_layer_that_reads_another_ones_cache_is_selected_for_what_it_needs_itself():
    plain, reader = groups_of(with_mixer(tiny_spec(2), 1, cache_of_layer=0, sinks=True))

    assert (plain.need.sinks, reader.need.sinks) == (False, True)
    assert reader.cache_group.layers == (0,)


def test_a_layer_that_a_rule_names_is_apart():
    rest, named = groups_of(tiny_spec(3), {"match": {"layer": 1}, "use": "acme"})

    assert (rest.subject, named.subject) == ("layers 0, 2", "layer 1")
    assert (rest.match["layer"], named.match["layer"]) == (None, 1)


def test_rules_on_what_holds_for_all_layers_split_nothing():
    rules = [{"match": {"window": False, "head_size": 4}, "use": "acme"}]

    assert len(groups_of(tiny_spec(3), *rules)) == 1
