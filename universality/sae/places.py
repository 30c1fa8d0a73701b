"""What dictionaries say of the model and hook point that they read, in one spelling."""

import re

_ALIASES = {"gpt2-small": "gpt2"}


def model_name(model: str) -> str:
    """A model's name without its owner or folder, in small letters."""
    name = model.rstrip("/").rpartition("/")[2].lower()
    return _ALIASES.get(name, name)


def place_of(hook_point: str) -> str:
    """What goes into a block is what comes out of the one before."""
    match = re.fullmatch(r"blocks\.(\d+)\.(hook_resid_pre|hook_in|hook_resid_post|hook_out)", hook_point)
    if match is None:
        return hook_point
    after = int(match[1]) + (match[2] in ("hook_resid_post", "hook_out"))
    return f"the residual stream before block {after}"
