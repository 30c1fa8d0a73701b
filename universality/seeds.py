"""Seeds derived by hashing, so that no two random acts share a stream by accident.

``root_seed + 1`` style seeds collide as soon as two loops use them. Here every act names its
purpose and its subjects, and gets 63 bits of blake2b over them.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def derive_seed(root_seed: int, purpose: str, *ids: str | int) -> int:
    """Derive a seed for one purpose.

    Args:
        root_seed: the seed that the user set.
        purpose: what the numbers are for, for example ``"sae-init"``.
        ids: what tells this act from its siblings, for example a model id.

    Returns:
        An integer in ``[0, 2**63)``; equal arguments give equal seeds on every machine.
    """
    text = json.dumps([int(root_seed), purpose, *ids], ensure_ascii=True, separators=(",", ":"))
    digest = hashlib.blake2b(text.encode("ascii"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(root_seed: int, purpose: str, *ids: str | int) -> np.random.Generator:
    """A numpy generator seeded by :func:`derive_seed`."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(derive_seed(root_seed, purpose, *ids)))
