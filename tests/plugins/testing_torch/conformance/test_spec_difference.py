from dataclasses import replace

from jackfield_testing.models import tiny_spec
from jackfield_testing_torch.conformance.spec_difference import difference


def test_equal_specs_do_not_differ():
    assert difference(tiny_spec(), tiny_spec()) == ""


def test_the_first_field_that_differs_is_named_with_both_values():
    said = difference(tiny_spec(windows=(None, 8)), tiny_spec())

    assert said == "spec.layers[1].mixer.window is 8, not None"


def test_a_name_in_the_checkpoint_is_named_too():
    found = replace(tiny_spec(), modules={"head": "a"})

    assert difference(found, replace(found, modules={"head": "b"})) == (
        "spec.modules['head'] is 'a', not 'b'"
    )


def test_specs_of_another_depth_differ_in_their_layers():
    assert difference(tiny_spec(1), tiny_spec(2)).startswith("spec.layers is ")
