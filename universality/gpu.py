"""What trainings on a CUDA device ask of torch: how products round, kernels that repeat, compiled copies, one graph."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import torch


@contextmanager
def float32_products(*, tf32: bool) -> Iterator[None]:
    """Whether products of float32 matrices may round their factors to 10 bits, inside the block."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def repeatable_kernels() -> Iterator[None]:
    """Kernels whose sums have one order, so that a training that is resumed ends in the same bytes.

    Of what is used here the gradient of attention alone has others, which add from several blocks as they finish.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory  # pyright: ignore[reportAttributeAccessIssue]
    # Torch refuses products then, unless the workspace of cuBLAS is one of two; this is also its default size.
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = workspace or ":4096:8"
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.utils.deterministic.fill_uninitialized_memory = before[1]  # pyright: ignore[reportAttributeAccessIssue]
        if workspace is None:
            del os.environ["CUBLAS_WORKSPACE_CONFIG"]


def device_memory(device: torch.device) -> int:
    """Bytes of memory of a CUDA device; all of it, since what is free would change how sums are split."""
    return int(torch.cuda.get_device_properties(device).total_memory)


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """A compiled copy, for one shape at a time.

    A copy, because torch keeps few compiled forms of one code object, which many trainings would soon use up.

    Args:
        function: a plain function, traced whole.
        options: of ``torch.compile``.
    """
    assert isinstance(function, FunctionType)
    own = FunctionType(function.__code__.replace(), function.__globals__)
    return torch.compile(own, fullgraph=True, dynamic=False, **options)


def repeatable_options() -> dict[str, Any]:
    """Options of ``torch.compile`` by which no measurement of speed decides how sums are taken."""
    import torch._inductor.config as inductor

    return {"options": {"deterministic": True}} if hasattr(inductor, "deterministic") else {}


def captured(work: Callable[[], None], warm_ups: int = 3, pool: Any = None) -> Callable[[], None]:
    """Work on tensors that stay where they are, as one CUDA graph: what is returned does it once more.

    The work is done ``warm_ups`` times before, in a stream of its own, so that whatever is made on first use is there.
    Graphs that are never replayed at once may share the memory of a ``pool``.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(warm_ups):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool, stream=stream):
        work()
    return graph.replay
