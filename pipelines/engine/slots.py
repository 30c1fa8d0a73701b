"""How many steps share a CUDA device: small ones leave most of it idle while they launch, read and look."""

from collections.abc import Sequence

from pipelines.engine.plan import Node

#: More processes than these on one device wait for each other.
MOST_SLOTS = 4
#: A step's bytes on the device are at most so many times its estimate for the host: there are three shuffle buffers for
#: moments, and gradients and the memory of graphs beside the weights.
DEVICE_FACTOR = 3
#: Part of the device that any step may take besides: the pieces of a transformer's logits follow from its memory.
OWN_SHARE = 8
#: Part of the device that is given away.
USABLE = 0.9


def default_slots(nodes: Sequence[Node], memory: int | None) -> int:
    """The largest number of steps of which any may be on one device at once.

    Args:
        nodes: what is to be computed; those of other devices do not count.
        memory: bytes of the smallest device; None if unknown.

    Returns:
        1 to :data:`MOST_SLOTS`; 1 where the memory is unknown.
    """
    if memory is None:
        return 1
    largest = sorted((node.estimate.memory for node in nodes if node.device == "cuda"), reverse=True)
    slots, taken = 1, 0.0
    for number, estimate in enumerate(largest[:MOST_SLOTS], start=1):
        taken += DEVICE_FACTOR * estimate + memory / OWN_SHARE
        if taken <= USABLE * memory:
            slots = number
    return slots
