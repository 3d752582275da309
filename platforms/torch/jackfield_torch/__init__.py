"""The torch runtime: worker, model runner, paged cache, sampler, layers and the decoder that interprets model specs."""
