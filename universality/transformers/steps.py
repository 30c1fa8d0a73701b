"""Optimiser steps of a transformer: one by one as suits a CPU, and without waiting for the host as suits a GPU."""

import math
import warnings
from collections.abc import Callable
from typing import Protocol

import torch
from transformer_lens.model_bridge import TransformerBridge

from universality.gpu import captured, float32_products
from universality.transformers.batches import Batches, schedule
from universality.transformers.objective import NextTokenLoss
from universality.transformers.transformer_config import TrainingConfig


class Steps(Protocol):
    """Takes steps of one training.

    Attributes:
        every: steps between two looks at the losses.
        optimizer: AdamW, with its state.
        warnings: what did not go as asked.
    """

    every: int
    optimizer: torch.optim.AdamW
    warnings: list[str]

    def run(self, first: int, count: int) -> list[float]:
        """Take steps ``first … first + count - 1``, at most ``every``, and give their losses.

        Fewer losses than steps mean that the next loss or its gradient was not finite; that step and those after
        it changed nothing.
        """
        ...


def parameters(model: TransformerBridge) -> list[torch.nn.Parameter]:
    """What is trained."""
    return [p for p in model.parameters() if p.requires_grad]


def optimizer(model: TransformerBridge, config: TrainingConfig, *, capturable: bool = False) -> torch.optim.AdamW:
    """AdamW that decays matrices alone."""
    matrices = [p for p in parameters(model) if p.ndim >= 2]
    others = [p for p in parameters(model) if p.ndim < 2]
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.lr,
        betas=config.betas,
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=True,
        capturable=capturable,
    )


class HostSteps:
    """A step at a time, each loss read before the weights change."""

    every = 20

    def __init__(self, model: TransformerBridge, batches: Batches, config: TrainingConfig, n_steps: int):
        self.batches, self.config, self.n_steps = batches, config, n_steps
        self.objective, self.parameters = NextTokenLoss(model), parameters(model)
        self.optimizer, self.warnings = optimizer(model, config), []
        self._limit, self._device = config.gradient_clip or math.inf, self.parameters[0].device

    def run(self, first: int, count: int) -> list[float]:
        """As :meth:`Steps.run`."""
        losses: list[float] = []
        for step in range(first, first + count):
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.lr * schedule(step, self.n_steps, self.config)
            loss = self.objective(torch.from_numpy(self.batches.of_steps(step, 1)).to(self._device).long())
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.parameters, self._limit)
            value = float(loss.detach())
            if not (math.isfinite(value) and math.isfinite(float(norm))):
                break
            self.optimizer.step()
            losses.append(value)
        return losses


class DeviceSteps:
    """Steps that a CUDA device takes on its own, as one graph where it can: the host looks every 50 steps.

    What a step depends on lies in tensors that stay: the tokens and learning rates of the next 50 steps, the number of
    the step among them, the losses. A loss or gradient that is not finite raises a flag there, and from then on AdamW
    changes nothing; so weights are never worse than one by one, however late the host looks.

    On the CPU it takes the same steps, uncaptured.

    Args:
        model, batches, config, n_steps: as :class:`HostSteps` takes them.
        compile_: whether blocks and loss are compiled too.
    """

    every = 50

    def __init__(
        self,
        model: TransformerBridge,
        batches: Batches,
        config: TrainingConfig,
        n_steps: int,
        *,
        compile_: bool = False,
    ):
        self.model, self.batches, self.config, self.n_steps = model, batches, config, n_steps
        self.parameters, self.warnings = parameters(model), list[str]()
        self.device = device = self.parameters[0].device
        self._compile, self._limit = compile_, config.gradient_clip or math.inf
        self._tokens = torch.zeros(
            (self.every, config.batch_contexts, batches.contexts.shape[1]), dtype=torch.int32, device=device
        )
        self._rates = torch.zeros(self.every, device=device)
        self._number = torch.zeros(1, dtype=torch.int64, device=device)
        self._lr = torch.tensor(config.lr, device=device)
        self.losses = torch.zeros(self.every, device=device)
        self.stopped = torch.zeros((), device=device)
        self.optimizer = optimizer(model, config, capturable=True)
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr
        # What AdamW has for scaled gradients: where this is 1, a step changes nothing.
        self.optimizer.found_inf = self.stopped  # pyright: ignore[reportAttributeAccessIssue]
        self._objective = NextTokenLoss(model, config.precision, in_pieces=True)
        self._take: Callable[[], None] | None = None
        self._ahead: tuple[int, tuple[torch.Tensor, torch.Tensor]] | None = None

    def run(self, first: int, count: int) -> list[float]:
        """As :meth:`Steps.run`; the one read of the device's memory is that of the losses."""
        with float32_products(tf32=self.config.precision == "tf32"):
            self._load(first)
            if self._take is None:
                self._take = self._fastest()
            for _ in range(count):
                self._take()
            if first + count < self.n_steps:
                self._ahead = (first + count, self._on_host(first + count))  # while the device works
            losses: list[float] = self.losses[:count].tolist()
        finite = [math.isfinite(loss) for loss in losses]
        return losses if all(finite) else losses[: finite.index(False)]

    def step(self) -> None:
        """One step, in operations of the device alone."""
        tokens = self._tokens.index_select(0, self._number)[0].long()
        self._lr.copy_(self._rates.index_select(0, self._number)[0])
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._objective(tokens)
        with self._objective.kernels():
            loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self._limit)
        loss = loss.detach()
        finite = torch.isfinite(loss) & torch.isfinite(norm)
        self.stopped.masked_fill_(finite.logical_not(), 1.0)
        self.losses.index_copy_(0, self._number, loss.masked_fill(self.stopped > 0, math.nan).view(1))
        self.optimizer.step()
        self._number += 1

    def _load(self, first: int) -> None:
        """Bring what the steps from ``first`` on depend on to the device."""
        if self._ahead is None or self._ahead[0] != first:
            self._ahead = (first, self._on_host(first))
        tokens, rates = self._ahead[1]
        self._tokens.copy_(tokens, non_blocking=True)
        self._rates.copy_(rates, non_blocking=True)
        self._number.zero_()

    def _on_host(self, first: int) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = torch.from_numpy(self.batches.of_steps(first, self.every))
        steps = range(first, first + self.every)
        rates = torch.tensor([self.config.lr * schedule(i, self.n_steps, self.config) for i in steps])
        tokens = tokens.view_as(self._tokens)
        return (tokens.pin_memory(), rates.pin_memory()) if self.device.type == "cuda" else (tokens, rates)

    def _fastest(self) -> Callable[[], None]:
        """The step by the fastest way that works here: compiled and captured, captured, one kernel after the other."""
        if self.device.type != "cuda":
            return self.step
        uncompiled, take = self._objective, None
        if self._compile:
            self._objective = NextTokenLoss(self.model, self.config.precision, in_pieces=True, compile_=True)
            take = self._attempt("The transformer's step could not be compiled and runs uncompiled")
        if take is None:
            self._objective = uncompiled
            take = self._attempt("The transformer's step could not be captured as a CUDA graph and runs without")
        return take or self.step

    def _attempt(self, failure: str) -> Callable[[], None] | None:
        """The step as a graph; None, and a warning, where that fails. Nothing that is trained changes here."""
        self.stopped.fill_(1)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # advice of the compiler
                return captured(self.step)
        except Exception as error:
            # Compilers and drivers fail in many ways; a fault of the step itself is raised by the plain step again.
            reason = str(error).strip().split("\n")[0]
            self.warnings.append(f"{failure}: {type(error).__name__}: {reason}")
            return None
        finally:
            self.stopped.zero_()
            self._number.zero_()
