"""All tensors of a step are on the right device. This is shown for every family, with tensors that have no data."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from jackfield.cache import CacheLayout
from jackfield.sampling import SamplingParams
from jackfield.step import Draft, NewRow
from jackfield_torch import sampler as sampler_module
from jackfield_torch.attention_step import BoundAttention, PagedAttention
from jackfield_torch.decoder import assemble_decoder
from jackfield_torch.drafts import lay_out_drafts
from jackfield_torch.interfaces.attention import AttentionBatch, GroupAttention
from jackfield_torch.interfaces.kernels import DraftTensors, Kernels
from jackfield_torch.load_context import LoadContext
from jackfield_torch.loader import ModelWeights
from jackfield_torch.paged_cache import GroupCache
from jackfield_torch.rows import Rows
from jackfield_torch.sampler import Sampler
from jackfield_torch.sampling import bit_masks, penalties, row_params
from jackfield_torch.step_batch import StepBuffers
from jackfield_torch.tensor_parallel import SingleRank
from jackfield_torch.unquantized import UnquantizedScheme

# A device for which this build of torch has no backend, so only fake tensors can be on it. It stands for all accelerators.
# Registered, it hides a real one: torch would ask it for pinned memory.
if torch.cuda.is_available():
    pytest.skip("this machine has a real accelerator", allow_module_level=True)
_setup_privateuseone_for_python_backend("jackfield")
DEVICE = torch.device("jackfield", 0)
LENGTH, NUM_BLOCKS, BLOCK_SIZE = 64, 8, 4


class HostWeights(ModelWeights):
    """Parameters on the host, as a checkpoint gives them."""

    def has(self, module, parameter):
        return True

    def read(self, module, parameter, shape=None):
        return torch.empty(shape)


class AnyAttention(GroupAttention):
    def prepare(self, batch):
        self.batch = batch

    def attend(self, q_TNH, cache, layer):
        sinks = () if layer.sinks_N is None else (layer.sinks_N,)
        tensors = (*cache_of(cache), self.batch.lengths_R, self.batch.block_ids_RB, *sinks)
        assert {tensor.device for tensor in (q_TNH, *tensors)} == {DEVICE}
        return torch.empty_like(q_TNH)


def cache_of(cache):
    return cache.key_BSHD, cache.value_BSHD


def make_attention(spec, sinks):
    groups = spec.cache_groups(spec.dtype)
    layout = CacheLayout(order="KHBSD", block_size=BLOCK_SIZE, dtype=spec.dtype)
    caches = [GroupCache(group, layout, NUM_BLOCKS, group.num_kv_heads, DEVICE) for group in groups]
    bound = []
    for group in groups:
        layers = [
            index
            for index, layer in enumerate(spec.layers)
            if (index if layer.cache_of_layer is None else layer.cache_of_layer) in group.layers
        ]
        bound.append(BoundAttention(AnyAttention(), group.index, tuple(layers), "any", False))
    return PagedAttention(spec, caches, bound, sinks), len(groups)


def make_step(rows, kernels, counts):
    """A step of so many tokens of the first rows."""
    words = torch.zeros(3 * len(counts) + 1, dtype=torch.int32, device=DEVICE)
    step = StepBuffers(rows, 32, DEVICE).view(words, len(counts), sum(counts), 4)
    kernels.prepare_step(rows.tensors, step)
    batches = [
        AttentionBatch(
            query_lengths=counts,
            lengths=counts,
            query_starts_R1=step.query_starts_R1,
            lengths_R=step.lengths_R,
            block_ids_RB=block_ids,
            slots_T=slots,
        )
        for block_ids, slots in zip(step.block_ids, step.slots, strict=True)
    ]
    return step, batches


@pytest.fixture
def fake():
    with FakeTensorMode(), torch.inference_mode():
        yield


def test_a_step_of_the_decoder_stays_on_its_device(oracle, fake):
    spec, kernels, scheme = oracle.spec, Kernels(), UnquantizedScheme()
    decoder = assemble_decoder(
        LoadContext(
            spec=spec,
            weights=HostWeights(),
            device=DEVICE,
            dtype=torch.bfloat16,
            schemes=lambda part: scheme,
            ranks=SingleRank(),
            max_length=LENGTH,
            kernels=kernels,
        )
    )
    attention, num_groups = make_attention(spec, decoder.sinks)
    rows = make_rows(spec.vocab_size, num_groups, spec.unscaled_length)
    for counts in ([1, 1, 1], [5, 1, 2]):
        step, batches = make_step(rows, kernels, counts)

        attention.begin(batches)
        hidden_TE = decoder.forward(step.token_ids_T, step.positions_T, attention)
        logits_TV = decoder.logits(hidden_TE)

        assert (hidden_TE.device, logits_TV.device) == (DEVICE, DEVICE)
        assert logits_TV.shape == (sum(counts), spec.vocab_size)


def make_rows(vocab_size=96, num_groups=1, unscaled_length=None):
    return Rows(
        max_rows=4,
        max_length=LENGTH,
        block_size=BLOCK_SIZE,
        num_groups=num_groups,
        vocab_size=vocab_size,
        device=DEVICE,
        unscaled_length=unscaled_length,
    )


PARAMS = [
    SamplingParams(temperature=0.0, logprobs=2),
    SamplingParams(temperature=0.5, top_k=5, top_p=0.9, min_p=0.1, logit_bias={3: 1.0}),
    SamplingParams(presence_penalty=0.5, min_tokens=3, max_tokens=4, stop_token_ids=(7,)),
]


def enter_all(sampler, rows):
    for row, params in enumerate(PARAMS):
        new = NewRow(
            row=row,
            token_ids=[1, 2, 3],
            num_prompt_tokens=2,
            num_computed=0,
            block_ids=((0,),),
            sampling=params,
            seed=1,
        )
        rows.request_R[row] = row
        sampler.enter(new)


@pytest.fixture
def uploads(monkeypatch):
    """Uploads without data."""

    def upload(array, device):
        return torch.empty(array.shape, dtype=torch.from_numpy(array).dtype, device=device)

    for module in (penalties, row_params, bit_masks, sampler_module):
        monkeypatch.setattr(module, "upload", upload)


@pytest.mark.parametrize("has_draft", [False, True])
def test_sampling_stays_on_its_device(uploads, fake, has_draft):
    rows, kernels = make_rows(), Kernels()
    sampler = Sampler(rows.tensors, kernels, 96, DEVICE)
    enter_all(sampler, rows)
    rows_P, drafts = np.arange(3), None
    if has_draft:
        host = lay_out_drafts(
            [Draft(2, 3, [5, 6])], np.arange(3), np.arange(3), np.array([0, 1, 4])
        )
        shapes = {
            name: torch.empty(getattr(host, name).shape, dtype=torch.int64, device=DEVICE)
            for name in ("rows_S", "first_S", "starts_S", "row_P", "offsets_P", "guesses_P")
        }
        drafts, rows_P = (host, DraftTensors(**shapes, most=2)), host.row_P
    batch = SimpleNamespace(
        rows=rows_P,
        rows_P=torch.empty(len(rows_P), dtype=torch.int64, device=DEVICE),
        drafts=drafts,
    )
    masks = bit_masks.upload_masks([1], bytes(12), DEVICE)

    drawn = sampler.sample(torch.empty(len(rows_P), 96, device=DEVICE), batch, masks)

    assert drawn.logprobs is not None
    found = (drawn.token_ids_P, drawn.logprobs.top_ids_PM, drawn.counts_S)
    assert {tensor.device for tensor in found if tensor is not None} == {DEVICE}
