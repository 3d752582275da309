"""Keys of a config that no plugin has read. A warning names them once: the model may compute something else."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from jackfield.interfaces.model_source import ModelFiles

logger = logging.getLogger(__name__)
# Keys that change no logits: training, heads of other tasks, notes of the libraries that wrote the file.
_IDLE = re.compile(
    r"_.*|.*(dropout|dropout_prob|_pdrop|_token_id|_token_index|_loss_coef|_range|_std|_version|_class)|summary_.*|unsloth.*"
    r"|(id2label|label2id|num_labels|problem_type|return_dict(_in_generate)?|use_cache|model_type|pretraining_tp"
    r"|auto_map|architectures|torch_dtype|dtype|attn_implementation|output_.*|chunk_size_feed_forward"
    r"|quantization_config|is_decoder|add_cross_attention|gradient_checkpointing|task_specific_params|name_or_path"
    r"|use_return_dict|n_ctx|num_logits_to_keep|(mamba_)?chunk_size|z_loss_coefficient|rescale_prenorm_residual"
    r"|initializer_cutoff_factor|decoder_bias|sparse_pred.*|classifier_(pooling|activation|bias)|(is_)?matryoshka.*|sentence_transformers"
    r"|residual_in_fp32|time_step_(min|max|floor|rank)|cache_implementation|do_sample|temperature|top_[kp]|max_length|max_window_layers"
    r"|sliding_window(_pattern)?|layer_types|rope_(theta|scaling|parameters|local_base_freq)|head_dim)",
    re.DOTALL,
)


# Files beside a model that change its answers in other programs.
_UNUSED = {
    "adapter_config.json": "an adapter, which Transformers would apply",
    "*mmproj*.gguf": "a projector of images; texts alone are read",
    "vision_adapter*": "an adapter for images; texts alone are read",
}


def tell_unused_files(files: ModelFiles) -> None:
    """Warn once of files beside the model that are not used."""
    found = [
        f"{path.name} ({what})"
        for pattern, what in _UNUSED.items()
        for path in (files.glob(pattern) if files.path.is_dir() else ())
    ]
    if found:
        logger.warning(
            "beside the model %r stand files that are not used: %s",
            files.reference,
            ", ".join(found),
        )


def without_idle(keys: Iterable[str]) -> list[str]:
    """The keys that are not known to have no effect."""
    return [key for key in keys if not _IDLE.fullmatch(key)]


def tell_unread(reference: str, keys: Iterable[str]) -> None:
    """Warn of `keys`, except those that are known to have no effect."""
    left = without_idle(keys)
    if left:
        logger.warning(
            "the config of %r has keys that nothing here reads: %s. If one of them changes what the model computes, its "
            "answers are not those of its authors",
            reference,
            ", ".join(left),
        )
