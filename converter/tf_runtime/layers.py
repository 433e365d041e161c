"""What each layer of a graph computes: found by the scopes its variables were asked for in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .network import Network
from .tensorflow1 import noting_variables, tf

_PASSING = ("Identity", "IdentityN", "StopGradient")
_SUMS = ("Add", "AddV2")
_VARIABLES = ("Variable", "VariableV2", "VarHandleOp", "ReadVariableOp")


def outputs_and_layers(
    network: Network, inputs: Sequence[Any], keywords: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Build a network on the inputs; return its outputs, and the result of every layer by the scope of its variables.

    Scopes are those of the dump, such as "G_synthesis/8x8/Conv0_up", in the order in which the source builds them.
    """
    if any(function.takes("structure") for function in (network, *network.components.values())):
        # Other structures of grown networks compute the same inside conditions, where nothing can be looked at.
        keywords = {**keywords, "structure": "linear"}
    with noting_variables() as uses:
        outputs = network.get_output_for(*inputs, return_as_list=True, **keywords)
    scopes: dict[str, str] = {}
    for variable, scope in uses:
        scopes.setdefault(variable.rpartition("/")[0], scope)
    results = {}
    for variables, scope in scopes.items():
        result = _result(scope, list(scopes.values()).count(scope), outputs)
        name = _dumped_name(network, variables)
        if result is not None and name is not None:
            results[name] = result
    return outputs, results


def _dumped_name(network: Network, scope: str) -> str | None:
    """Turn a scope of the graph into one of the dump, where a network's own variables have no prefix."""
    if scope.startswith(f"{network.scope}/"):
        return scope.removeprefix(f"{network.scope}/")
    for part in network.components.values():
        if scope.startswith(f"{part.scope}/"):
            return f"{part.name}/{scope.removeprefix(f'{part.scope}/')}"
    return None


def _result(scope: str, sharing: int, outputs: Sequence[Any]) -> Any:
    """Return the last tensor that leaves a scope; None if there is none, or several layers share the scope."""
    if not scope or sharing > 1:
        return None
    prefix, found = f"{scope}/", None
    for operation in tf.get_default_graph().get_operations():
        if not operation.name.startswith(prefix) or operation._get_control_flow_context() is not None:
            continue
        for tensor in operation.outputs:
            leaves = any(not user.name.startswith(prefix) for user in tensor.consumers())
            if tensor.dtype == tf.float32 and (tensor.shape.ndims or 0) >= 2 and (leaves or tensor in outputs):
                found = tensor
    return None if found is None else _own_part(found, prefix)


def _own_part(tensor: Any, prefix: str) -> Any:
    """Undo the joining of a layer's result with a branch from outside, which some sources do within the scope.

    That is: result + branch, or (result + branch) · constant.
    """
    inner = _skip_passing(tensor, prefix)
    if inner.op.type == "Mul":
        factors = [_skip_passing(x, prefix) for x in inner.op.inputs]
        sums = [x for x in factors if x.op.type in _SUMS]
        if len(sums) == 1 and any(x.op.type == "Const" for x in factors):
            inner = sums[0]
    if inner.op.type in _SUMS and inner.op.name.startswith(prefix):
        inside = [x for x in inner.op.inputs if x.op.name.startswith(prefix) or _is_variable(x)]
        if len(inside) == 1 and not _is_variable(inside[0]):
            return inside[0]
    return tensor


def _skip_passing(tensor: Any, prefix: str) -> Any:
    while tensor.op.type in _PASSING and tensor.op.name.startswith(prefix):
        tensor = tensor.op.inputs[tensor.value_index if tensor.op.type == "IdentityN" else 0]
    return tensor


def _is_variable(tensor: Any) -> bool:
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor.op.type in _VARIABLES
