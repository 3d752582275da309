"""Granite with windows and attention sinks as data: a family that no member knows, for the fields that only it uses."""

from dataclasses import replace

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec, read_rope, read_shape, read_windows
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, Norm


def granite_swa(config: ConfigReader) -> ModelSpec:
    """`layer_rope_theta` is the base of each layer; a layer of 0 has no rope."""
    shape = read_shape(config)
    window = config.get("sliding_window", int, 128)
    windows = read_windows(config, shape.num_layers, window, lambda layer: layer % 4 > 0)
    rope = read_rope(config, shape.head_size)
    thetas = config.get("layer_rope_theta", list, [rope.theta] * shape.num_layers)
    norm = Norm(epsilon=config.get("rms_norm_eps", float, 1e-5))
    layers = tuple(
        Layer(
            mixer=Attention(
                num_heads=shape.num_heads,
                num_kv_heads=shape.num_kv_heads,
                head_size=shape.head_size,
                scale=config.get("attention_multiplier", float, 1.0),
                rope=replace(rope, theta=float(theta)) if theta else None,
                window=window,
                sinks=True,
            ),
            feed_forward=FeedForward(size=config.require("intermediate_size", int)),
            mixer_norm=norm,
            feed_forward_norm=norm,
            residual_scale=config.get("residual_multiplier", float, 1.0),
        )
        for window, theta in zip(windows, thetas, strict=True)
    )
    return make_spec(
        config,
        layers=layers,
        final_norm=norm,
        tied_head=True,
        embedding_scale=config.get("embedding_multiplier", float, 1.0),
        logit_scale=1.0 / config.get("logits_scaling", float, 1.0),
    )
