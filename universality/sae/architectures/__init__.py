"""Every architecture that a dictionary can be trained as: one file each, and this list."""

from universality.sae.architectures.architecture import SAEArchitecture
from universality.sae.architectures.batch_topk import BatchTopKArchitecture
from universality.sae.architectures.gated import GatedArchitecture
from universality.sae.architectures.jumprelu import JumpReLUArchitecture
from universality.sae.architectures.matryoshka import MatryoshkaArchitecture
from universality.sae.architectures.relu import ReLUArchitecture
from universality.sae.architectures.relu_2023 import ReLU2023Architecture
from universality.sae.architectures.topk import TopKArchitecture

ARCHITECTURES: dict[str, SAEArchitecture] = {
    kind.name: kind()
    for kind in (
        TopKArchitecture,
        BatchTopKArchitecture,
        MatryoshkaArchitecture,
        ReLUArchitecture,
        ReLU2023Architecture,
        GatedArchitecture,
        JumpReLUArchitecture,
    )
}
"""By name, in the order in which messages list them."""
