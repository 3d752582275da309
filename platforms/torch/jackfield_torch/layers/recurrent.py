"""The parts that recurrent mixers share: the short convolution, and reading and writing of states."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.layers.attention import StepInputs
from jackfield_torch.layers.compose import TensorFunction

# Arguments for B rows with T tokens each: outputs of the input projection after the convolution [B, T, C], the other
# outputs [B, T, X], and the state of each row. Results: outputs [B, T, Y], and the new states. All but the other
# outputs are float32.
Recurrence = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class Convolution:
    """A causal convolution of each channel, then silu. It has W taps; the last W - 1 inputs of a row are kept."""

    def __init__(self, weight_C1W: Tensor, bias_C: Tensor | None) -> None:
        self._weight_C1W, self._bias_C = weight_C1W, bias_C
        self._num_kept = weight_C1W.shape[-1] - 1

    def __call__(self, x_BTC: Tensor, kept_BCW: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs [B, T, C], and the inputs to keep."""
        x_BCT = torch.cat((kept_BCW, x_BTC.transpose(1, 2).float()), -1)
        if x_BTC.shape[1] == 1:
            y_BC = (x_BCT * self._weight_C1W[:, 0]).sum(-1)
            y_BC1 = (y_BC if self._bias_C is None else y_BC + self._bias_C).unsqueeze(-1)
            return functional.silu(y_BC1).transpose(1, 2), x_BCT[..., 1:]
        y_BCT = functional.conv1d(
            x_BCT, self._weight_C1W, self._bias_C, groups=len(self._weight_C1W)
        )
        return functional.silu(y_BCT).transpose(1, 2), x_BCT[..., -self._num_kept :]


class RecurrentMixer:
    """The mixer of one layer that keeps a state for each row."""

    def __init__(
        self,
        *,
        layer: int,
        inputs: TensorFunction,  # gives the inputs of the convolution first, then the others
        convolution: Convolution,
        num_channels: int,  # channels of the convolution
        recurrence: Recurrence,
        out: Linear,
    ) -> None:
        self._layer = layer
        self._inputs, self._out = inputs, out
        self._convolution, self._num_channels = convolution, num_channels
        self._recurrence = recurrence

    def __call__(self, x_TE: Tensor, step: StepInputs) -> Tensor:
        """This rank's share of the sum."""
        states = step.attention.states(self._layer)
        inputs_TX = self._inputs(x_TE)
        outputs = []
        for part in states.parts:
            inputs_BTX = torch.unflatten(inputs_TX[part.tokens], 0, (part.num_rows, -1))
            kept_BCW, state_B = states.read(part)
            mixed_BTC, kept_BCW = self._convolution(inputs_BTX[..., : self._num_channels], kept_BCW)
            y_BTY, state_B = self._recurrence(
                mixed_BTC, inputs_BTX[..., self._num_channels :], state_B
            )
            states.write(part, kept_BCW, state_B)
            outputs.append(y_BTY.flatten(0, 1))
        y_TY = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        return self._out(y_TY.to(x_TE.dtype))
