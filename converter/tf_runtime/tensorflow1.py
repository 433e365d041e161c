"""TensorFlow 1 as embedded sources know it, on TensorFlow 2: the v1 interface, NCHW on the CPU, `tf.contrib`.

Only embedded sources see these stand-ins; the installed packages stay as they are.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import tensorflow.compat.v1

tf: Any = tensorflow.compat.v1
tf.disable_v2_behavior()
tf.disable_v2_tensorshape()
tf.logging.set_verbosity(tf.logging.ERROR)

TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)

_IMAGES = ("input", "value", "x", "out_backprop")
"""Parameters of `tf.nn` functions that are NCHW tensors."""
_PER_AXIS = ("strides", "ksize", "dilations", "padding", "output_shape", "input_sizes")
"""Parameters with an entry for every axis, if they have four."""


class StandIn(ModuleType):
    """A module made of given names, and of those of another one; a name in neither fails by that name."""

    def __init__(self, name: str, names: dict[str, Any], other: Any = None) -> None:
        super().__init__(name)
        self.__dict__.update(names)
        self.__dict__["_other"] = other

    def __getattr__(self, name: str) -> Any:
        other = self.__dict__["_other"]
        if other is not None and hasattr(other, name):
            return getattr(other, name)
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"{self.__name__}.{name} is not among what this project provides to embedded sources")


def _nchw_on_cpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of `tf.nn` take NCHW tensors, which TensorFlow's CPU kernels do not."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        call = signature.bind(*args, **kwargs)
        if call.arguments.get("data_format") != "NCHW":
            return function(*args, **kwargs)
        for name in _IMAGES:
            if call.arguments.get(name) is not None:
                call.arguments[name] = tf.transpose(call.arguments[name], TO_NHWC)
        for name in _PER_AXIS:
            value = call.arguments.get(name)
            if isinstance(value, list | tuple | tf.TensorShape) and len(value) == 4:
                call.arguments[name] = [value[axis] for axis in TO_NHWC]
            elif isinstance(value, np.ndarray):
                call.arguments[name] = value[list(TO_NHWC)].tolist()
            elif isinstance(value, tf.Tensor):
                call.arguments[name] = tf.gather(value, TO_NHWC)
        call.arguments["data_format"] = "NHWC"
        result = function(*call.args, **call.kwargs)
        if isinstance(result, tuple):  # a picture and its statistics
            return tuple(tf.transpose(y, TO_NCHW) if y.shape.ndims == 4 else y for y in result)
        return tf.transpose(result, TO_NCHW)

    return wrapper


_uses: list[tuple[str, str]] | None = None


@contextmanager
def noting_variables() -> Iterator[list[tuple[str, str]]]:
    """Give a list that fills with the variables asked for meanwhile: their name, and the name scope of the asking."""
    global _uses  # noqa: PLW0603  what a source calls has no other way to reach the caller
    _uses = uses = list[tuple[str, str]]()
    try:
        yield uses
    finally:
        _uses = None


def _get_variable(*args: Any, **kwargs: Any) -> Any:
    variable = tf.get_variable(*args, **kwargs)
    if _uses is not None:
        scope, current = tf.get_variable_scope().original_name_scope or "", tf.get_default_graph().get_name_scope()
        # A name scope inside that of the variable scope is no layer of its own.
        scope = scope if scope and f"{current}/".startswith(scope) else current
        _uses.append((variable.name.removesuffix(":0"), scope.rstrip("/")))
    return variable


def _contrib() -> StandIn:
    layers = {
        "xavier_initializer": lambda uniform=True, seed=None, dtype=tf.float32: (
            tf.glorot_uniform_initializer if uniform else tf.glorot_normal_initializer
        )(seed=seed, dtype=dtype),
        "variance_scaling_initializer": lambda factor=2.0, mode="FAN_IN", uniform=False, seed=None, dtype=tf.float32: (
            tf.variance_scaling_initializer(
                factor, mode.lower(), "uniform" if uniform else "truncated_normal", seed, dtype
            )
        ),
        "flatten": lambda inputs, scope=None: tf.reshape(inputs, [tf.shape(inputs)[0], np.prod(inputs.shape[1:])]),
    }
    layers["xavier_initializer_conv2d"] = layers["xavier_initializer"]
    return StandIn("tensorflow.contrib", {"layers": StandIn("tensorflow.contrib.layers", layers)})


def _tensorflow() -> StandIn:
    nn = {
        name: _nchw_on_cpu(function)
        for name, function in inspect.getmembers(tf.nn, inspect.isfunction)
        if "data_format" in inspect.signature(function).parameters
    }
    by_hand = {
        "nn": StandIn("tensorflow.nn", nn, tf.nn),
        "get_variable": _get_variable,
        "contrib": _contrib(),
        "space_to_depth": nn["space_to_depth"],
        "depth_to_space": nn["depth_to_space"],
    }
    module = StandIn("tensorflow", by_hand, tf)
    compat = StandIn("tensorflow.compat", {"v1": module}, tf.compat)
    module.__dict__["compat"] = compat
    return module


_DROPPED_BY_NUMPY = {
    "float": float,
    "int": int,
    "bool": bool,
    "object": object,
    "str": str,
    "complex": complex,
    "float_": np.float64,
    "complex_": np.complex128,
    "unicode": str,
    "unicode_": np.str_,
    "string_": np.bytes_,
    "round_": np.round,
    "asscalar": lambda a: a.item(),
    "asfarray": lambda a, dtype=np.float64: np.asarray(a, dtype),
    "PINF": np.inf,
    "NINF": -np.inf,
    "product": np.prod,
    "alltrue": np.all,
    "sometrue": np.any,
    "Inf": np.inf,
    "infty": np.inf,
    "NaN": np.nan,
}

PACKAGES = {"tensorflow": _tensorflow(), "numpy": StandIn("numpy", _DROPPED_BY_NUMPY, np)}
