"""What a step asks of a device: operations on tensors, the bytes they read and write, and what the host waits for."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

#: Operations that launch nothing: views, and memory that is only taken.
NO_KERNEL = ("view", "expand", "permute", "transpose", "select.int", "slice", "unsqueeze", "squeeze", "detach", "alias",
             "aten.t.", "empty", "split", "unbind", "as_strided", "lift_fresh")  # fmt: skip


class Counted(TorchDispatchMode):
    """Counts what passes while it is on, also on fake and meta tensors.

    Attributes:
        kernels: operations that change memory; one of them may be several kernels of the device.
        moved: bytes of the tensors that these read and write, each once an operation, and of rows gathered by index.
        waits: names of operations whose outcome the host must know: numbers that are read, shapes that depend on
            values, copies to the host.
        by_name: bytes by operation.
    """

    def __init__(self):
        super().__init__()
        self.kernels, self.moved, self.waits, self.by_name = 0, 0, [], {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = function(*args, **kwargs)
        name = str(function)
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        to_host = str(kwargs.get("device")) == "cpu" and any(t.device.type != "cpu" for t in given)
        if {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(function.tags) or to_host:
            self.waits.append(name)
        launches = name.startswith("aten") and not any(part in name for part in NO_KERNEL)
        if launches and not function.is_view:
            tensors = {id(t): t for t in [*given, *tree_leaves(out)] if isinstance(t, torch.Tensor)}
            size = sum(t.numel() * t.element_size() for t in tensors.values())
            if "index_select" in name or "index_add" in name:  # of the table only the rows that are asked for
                few = out if "select" in name else given[-1]
                size = (2 if few is out else 3) * few.numel() * few.element_size()
            if "embedding_bag" in name:  # a row of floats for every index
                longest = max(t.numel() for t in given if t.dtype == torch.int64)
                size += longest * 4 * max(t.shape[-1] for t in given if t.is_floating_point() and t.ndim == 2)
            self.kernels += 1
            self.moved += size
            self.by_name[name] = self.by_name.get(name, 0) + size
        return out
