"""Every family and every rope scaling gives the logits of Transformers."""

import pytest

TOLERANCE = 1e-4  # relative to the largest logit


def test_logits_equal_those_of_transformers(oracle):
    assert oracle.distance(oracle.run()) < TOLERANCE


def test_logits_do_not_depend_on_how_the_text_is_cut_into_steps(oracle):
    assert oracle.distance(oracle.run(chunks=(17, 1, 1, 1, 20, 8))) < TOLERANCE


def test_unfused_linears_give_the_same_logits(oracle, unfused_scheme):
    assert oracle.distance(oracle.run(scheme=unfused_scheme)) < TOLERANCE


@pytest.fixture
def unfused_scheme():
    from jackfield_torch.unquantized import UnquantizedScheme

    class Unfused(UnquantizedScheme):
        def can_fuse(self, parts):
            return False

    return Unfused()
