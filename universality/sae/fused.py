"""Adam and the decoder's projection compiled into few kernels, where a compiler is at hand."""

import torch

from universality.gpu import compiled
from universality.sae.autograd_step import Decays, Moving, Named, across, advance, update


class FusedUpdate:
    """:func:`universality.sae.autograd_step.update` by ``torch.compile``; in plain operations where that fails.

    What changes from step to step is a tensor, so that shapes alone are compiled for. The projection is compiled on its
    own: with the step in one piece, torch's compiler for the CPU fails (2.13).

    Attributes:
        warning: why nothing is compiled, in one sentence; None while all is well.
    """

    def __init__(self) -> None:
        self.warning: str | None = None
        self._across, self._advance = compiled(across), compiled(advance)

    def __call__(
        self,
        weights: Named,
        means: Named,
        squares: Named,
        grads: Named,
        rates: Moving,
        constants: Decays,
        unit: bool,
    ) -> None:
        """As :func:`universality.sae.autograd_step.update`, by rates that are numbers."""
        tensors = (weights, means, squares)
        if self.warning is None:
            from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

            moving = torch.tensor(rates, device=weights["W_dec"].device).unbind()
            try:
                ready = dict(grads)
                if unit:
                    ready["W_dec"] = self._across(grads["W_dec"], weights["W_dec"])
                self._advance(*tensors, ready, moving, constants, unit)
                return
            except (TorchDynamoException, FailOnRecompileLimitHit) as error:
                # Raised while compiling: nothing has been changed yet.
                reason = str(error).strip().split("\n")[0]
                self.warning = f"The optimiser could not be compiled and ran uncompiled: {reason}"
        update(*tensors, grads, rates, constants, unit)
