"""What an SAE architecture says of itself: one subclass in one file is all that a training needs to know of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import torch

    from universality.sae.autograd_step import AutogradStep, Batch, Stepper
    from universality.sae.sae_config import SAETrainingConfig
    from universality.sae.training_state import TrainingState


class Losses(NamedTuple):
    """What a batch costs; leading axes are those of the weights: none, or one of seeds.

    Attributes:
        loss, fvu: (...).
        fired: bool (..., d_sae), latents that are active in some row.
        values: (..., slots) or (..., n, slots), activations, at least 0; 0 is no active latent.
    """

    loss: torch.Tensor
    fvu: torch.Tensor
    fired: torch.Tensor
    values: torch.Tensor


class SAEArchitecture:
    """What decides, in training, which latents of a dictionary fire and what that costs.

    It is not the activation function of the saved dictionary (:mod:`universality.sae.activations`): BatchTopK is
    trained by a rule over whole batches and saved as JumpReLU. Instances hold nothing: what varies from training to
    training is in the config, what a training learns in its :class:`~universality.sae.training_state.TrainingState`.
    Modules of architectures import torch inside functions only, because recipes are read without it.

    Attributes:
        name: in recipes. label: in texts. citation: key of the work in the report's bibliography.
        settings: the fields of the config that this architecture has and others may lack.
        optimiser: defaults of ``betas`` and ``eps`` that differ from the config's.
        peak_lr: default learning rate; None for the rule of the TopK paper, ``2e-4 * sqrt(16384 / d_sae)``.
        usual_penalty: weight of the penalty unless the config gives one.
        unit_norm_inputs: whether inputs are scaled to a mean squared norm of 1, else to a mean norm of sqrt(d_in).
        unit_decoder: whether the decoder's rows stay unit vectors in training.
        clip: largest norm of the whole gradient of a dictionary; None cuts nothing.
        subtract_b_dec: whether the encoder sees ``x - b_dec``.
        buffers: shapes, by name, of what is not learned and yet belongs to the state of a training.
        named_in_metadata: whether the metadata of a saved dictionary say that it was trained so.
        revives: whether dead latents have an auxiliary loss.
        sparse_on: types of devices on which a step forms no dense gradient of activations.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    citation: ClassVar[str]
    settings: ClassVar[tuple[str, ...]] = ()
    optimiser: ClassVar[dict[str, Any]] = {"eps": 1e-8}
    peak_lr: ClassVar[float | None] = None
    unit_norm_inputs: ClassVar[bool] = False
    unit_decoder: ClassVar[bool] = True
    clip: ClassVar[float | None] = None
    subtract_b_dec: ClassVar[bool] = True
    usual_penalty: ClassVar[float] = 0.0
    buffers: ClassVar[dict[str, tuple[int, ...]]] = {}
    named_in_metadata: ClassVar[bool] = True
    revives: ClassVar[bool] = False
    sparse_on: ClassVar[tuple[str, ...]] = ()

    def check(self, config: SAETrainingConfig) -> None:
        """Refuse settings that contradict each other; those of other architectures are refused before.

        Raises:
            ValueError: what must be, what it is, and what to do.
        """

    def prefixes(self, config: SAETrainingConfig) -> tuple[int, ...]:
        """Sizes of the nested dictionaries that explain the data each alone, rising to d_sae."""
        return (config.d_sae,)

    def penalty(self, config: SAETrainingConfig) -> float:
        """Weight of the penalty on activity, once it has risen; 0 for none."""
        given = config.l1_coefficient if config.l0_coefficient is None else config.l0_coefficient
        return self.usual_penalty if given is None else given

    def resampling(self, config: SAETrainingConfig, n_steps: int) -> dict[int, int]:
        """After which steps dead latents start afresh, and the rows without firing that make a latent dead there."""
        return {}

    def scale(self, rows: np.ndarray) -> float:
        """Factor on the inputs, estimated on some rows (n, d_in); 1 where they are all 0.

        Source: Conerly et al. 2024; Lieberum et al. 2024 ("Gemma Scope"), section 3.1, for unit norms.
        """
        norms = np.linalg.norm(rows.astype(np.float64), axis=1)
        size = math.sqrt(float(np.square(norms).mean())) if self.unit_norm_inputs else float(norms.mean())
        target = 1.0 if self.unit_norm_inputs else math.sqrt(rows.shape[1])
        return target / size if size > 0 else 1.0

    def start(self, shared: dict[str, np.ndarray], config: SAETrainingConfig) -> dict[str, np.ndarray]:
        """The weights to start from, by name.

        Args:
            shared: float32 ``W_enc_rows`` and ``W_dec`` (d_sae, d_in), the same random unit rows; ``b_enc`` (d_sae,)
                zeros; ``b_dec`` (d_in,), the geometric median of the inputs.
            config: of the training.
        """
        return shared

    def losses(self, w: dict[str, torch.Tensor], batch: Batch) -> Losses:
        """What a batch costs, by operations on any device that autograd can follow.

        Args:
            w: weights by name, each with the same leading axes: none, or one of seeds.
            batch: rows, dead latents, step and config.
        """
        raise NotImplementedError

    def observe(self, values: torch.Tensor, state: TrainingState, decay: float) -> None:
        """Look at the active values of a batch that was trained on, and change the state's buffers.

        Args:
            values: (..., slots) or (..., n, slots), at least 0.
            state: of the training.
            decay: of running means, in [0, 1).
        """

    def kernel_step(self, config: SAETrainingConfig, state: TrainingState, n_steps: int) -> Stepper | None:
        """A step by kernels of the CPU on plain float32 tensors; None where autograd is all there is."""
        return None

    def resample(
        self, step: AutogradStep, rows: torch.Tensor, silent_for: int, t: int, rng: np.random.Generator
    ) -> int:
        """Let latents that were silent for so many rows start afresh; only asked for as :meth:`resampling` says.

        Args:
            step: of one dictionary; its state is changed.
            rows: (n, d_in), scaled as in training.
            silent_for: rows without firing that make a latent dead.
            t: number of the step before.
            rng: for what is drawn.

        Returns:
            How many latents started afresh.
        """
        raise NotImplementedError

    def folded(self, config: SAETrainingConfig, state: TrainingState, scale: float) -> dict[str, Any]:
        """The activation of the saved dictionary, and those weights that are more than unscaled.

        Every architecture is homogeneous in its inputs: with ``x`` scaled by s, biases and thresholds go by 1/s and
        the reconstruction comes out in units of x.

        Args:
            config, state: of the training.
            scale: factor that was on the inputs.

        Returns:
            ``activation`` and, where they differ from ``W_enc_rows``, ``W_dec`` and ``b_enc / scale`` of the training,
            these three by name.
        """
        raise NotImplementedError
