"""What each layer of a graph computes: found by the scopes its variables were asked for in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .network import Network
from .tensorflow1 import Value, noting_variables, tf

_PASSING = ("Identity", "IdentityN", "StopGradient")
_SUMS = ("Add", "AddV2", "AddN")
_OF_CONSTANTS = ("Cast", "Sqrt", "Rsqrt", "Reciprocal", "Identity")
_VARIABLES = ("Variable", "VariableV2", "VarHandleOp", "ReadVariableOp")


def outputs_and_layers(
    network: Network, inputs: Sequence[Value], keywords: Mapping[str, object]
) -> tuple[list[Value], dict[str, Value]]:
    """Build a network on the inputs; return its outputs, and the result of every layer by the scope of its variables.

    Scopes are those of the dump, such as "G_synthesis/8x8/Conv0_up", in the order in which the source builds them.
    """
    if network.takes("structure") and network.static_kwargs.get("structure") != "fixed":
        # Other structures of grown networks compute the same inside conditions, where nothing can be looked at.
        keywords = {**keywords, "structure": "linear"}
    with noting_variables() as uses:
        outputs = network.get_output_for(*inputs, return_as_list=True, **keywords)
    needed = _ancestors(outputs)
    owners: dict[str, set[str]] = {}
    for variable, scope in uses:
        owners.setdefault(scope, set()).add(variable.rpartition("/")[0])
    results: dict[str, Value] = {}
    for variable, scope in uses:
        name = _dumped_name(network, variable.rpartition("/")[0])
        if name is not None and name not in results and scope and len(owners[scope]) == 1:
            result = _result(f"{scope}/", outputs, needed)
            if result is not None:
                results[name] = result
    return outputs, results


def _ancestors(outputs: Sequence[Value]) -> set[Value]:
    """Return the operations that the outputs depend on."""
    found, waiting = set(), [output.op for output in outputs]
    while waiting:
        operation = waiting.pop()
        if operation not in found:
            found.add(operation)
            waiting += [x.op for x in operation.inputs]
    return found


def _dumped_name(network: Network, scope: str) -> str | None:
    """Turn a scope of the graph into one of the dump, where a network's own variables have no prefix."""
    if scope.startswith(f"{network.scope}/"):
        return scope.removeprefix(f"{network.scope}/")
    for part in network.components.values():
        if scope.startswith(f"{part.scope}/"):
            return f"{part.name}/{scope.removeprefix(f'{part.scope}/')}"
    return None


def _result(prefix: str, outputs: Sequence[Value], needed: set[Value]) -> Value:
    """Return the last needed tensor that leaves a scope; None if there is none."""
    found = None
    for operation in tf.get_default_graph().get_operations():
        if not operation.name.startswith(prefix) or operation not in needed:
            continue
        if operation._get_control_flow_context() is not None:
            continue
        for tensor in operation.outputs:
            leaves = any(user in needed and not user.name.startswith(prefix) for user in tensor.consumers())
            is_output = any(tensor is output for output in outputs)
            if tensor.dtype == tf.float32 and (tensor.shape.ndims or 0) >= 2 and (leaves or is_output):
                found = tensor
    return None if found is None else _own_part(found, prefix)


def _own_part(tensor: Value, prefix: str) -> Value:
    """Undo the joining of a layer's result with a branch from outside, which some sources do within the scope.

    That is: result + branch, or (result + branch) times or divided by a constant.
    """
    inner = _skip_passing(tensor, prefix)
    if inner.op.type in ("Mul", "RealDiv"):
        factors = [_skip_passing(x, prefix) for x in inner.op.inputs]
        sums = [x for x in factors if x.op.type in _SUMS]
        if len(sums) == 1 and any(_is_constant(x) for x in factors):
            inner = sums[0]
    if inner.op.type in _SUMS and inner.op.name.startswith(prefix):
        inside = [x for x in inner.op.inputs if x.op.name.startswith(prefix) or _is_variable(x)]
        if len(inside) == 1 and not _is_variable(inside[0]):
            return inside[0]
    return tensor


def _skip_passing(tensor: Value, prefix: str) -> Value:
    while tensor.op.type in _PASSING and tensor.op.name.startswith(prefix):
        tensor = tensor.op.inputs[tensor.value_index if tensor.op.type == "IdentityN" else 0]
    return tensor


def _is_constant(tensor: Value) -> bool:
    while tensor.op.type in _OF_CONSTANTS:
        tensor = tensor.op.inputs[0]
    return bool(tensor.op.type == "Const")


def _is_variable(tensor: Value) -> bool:
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return bool(tensor.op.type in _VARIABLES)
