"""CUDA graphs: small networks keep a card waiting for the next operation, unless all of them are one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_WARM = 3
"""Runs before a graph is recorded, in which libraries choose how to work and take their memory."""


@dataclass(frozen=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    output: Tensor


class Graphed:
    """A function of tensors to one, recorded for each shape it is given; on a CPU just that function.

    A graph keeps the memory that it works in, so few shapes should come. One thread draws at a time.
    """

    def __init__(self, draw: Callable[..., Tensor]) -> None:
        self._draw = draw
        self._recorded: dict[tuple[object, ...], _Recorded] = {}
        self._lock = threading.Lock()

    @torch.inference_mode()
    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return what the function gives for inputs, all on one device."""
        if not inputs[0].is_cuda:
            return self._draw(*inputs)
        key = tuple((each.shape, each.dtype, each.device) for each in inputs)
        with self._lock, torch.cuda.device(inputs[0].device):
            recorded = self._recorded.get(key) or self._recorded.setdefault(key, self._record(inputs))
            for own, each in zip(recorded.inputs, inputs, strict=True):
                own.copy_(each)
            recorded.graph.replay()
            return recorded.output.clone()

    def _record(self, inputs: tuple[Tensor, ...]) -> _Recorded:
        own, graph = tuple(each.clone() for each in inputs), torch.cuda.CUDAGraph()
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM):
                self._draw(*own)
        torch.cuda.current_stream().wait_stream(aside)
        with torch.cuda.graph(graph):
            output = self._draw(*own)
        return _Recorded(graph, own, output)
