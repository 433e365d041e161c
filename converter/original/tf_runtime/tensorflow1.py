"""TensorFlow 1 as embedded sources know it, on TensorFlow 2: the v1 interface, NCHW on the CPU, sizes of any kind.

Only embedded sources see these stand-ins; the installed packages stay as they are, but for `Dimension`, which every
static shape is made of.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import tensorflow.compat.v1

from .advice import MissingPartError

Value = Any
"""What has no type to name: a tensor, variable or operation, and whatever may stand for one."""
Array = np.ndarray[Any, Any]
Function = Callable[..., Value]
tf: Value = tensorflow.compat.v1
tf.disable_v2_behavior()
tf.disable_v2_tensorshape()
tf.logging.set_verbosity(tf.logging.ERROR)

TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)

_IMAGES = ("input", "value", "x", "out_backprop")
"""Parameters of `tf.nn` functions that are NCHW tensors."""
_PER_AXIS = ("strides", "ksize", "dilations", "padding", "output_shape", "input_sizes")
"""Parameters with an entry for every axis, if they have four."""
_SIZES = {
    *("axes", "axis", "begin", "block_shape", "block_size", "depth", "dilation_rate", "dilations", "dims", "dim"),
    *("dimension", "end", "expand_dims", "filter_sizes", "input_sizes", "k", "ksize", "maxlen", "multiples", "num"),
    *("num_columns", "num_or_size_splits", "num_rows", "num_samples", "output_shape", "padding", "paddings", "perm"),
    *("offset_height", "offset_width", "pool_size", "repeats", "seq_dim", "shape", "shift", "size", "squeeze_dims"),
    *("static_shape", "strides", "target_height", "target_width", "window_shape", "batch_shape", "batch_dims"),
}
"""Parameters of TensorFlow's functions that are whole numbers, or lists of them."""


class StandIn(ModuleType):
    """A module made of given names, and of those of another one; a name in neither fails by that name.

    Args:
        name: of the module.
        names: what it has.
        other: has the rest.
        adapted: what becomes of that, given its whole name and itself.
    """

    supplied: ClassVar[Callable[[str], ModuleType | None]] = lambda name: None
    """Gives the module that the user supplies under a whole name, where a stand-in lacks it; None if there is none."""

    def __init__(
        self,
        name: str,
        names: Mapping[str, object],
        other: object = None,
        adapted: Callable[[str, Value], object] = lambda name, value: value,
    ) -> None:
        super().__init__(name)
        self.__dict__.update(names)
        self.__dict__["_other"] = other
        self.__dict__["_adapted"] = adapted

    def __getattr__(self, name: str) -> Any:
        other, whole_name = self.__dict__["_other"], f"{self.__name__}.{name}"
        if other is not None and hasattr(other, name):
            self.__dict__[name] = value = self.__dict__["_adapted"](whole_name, getattr(other, name))
            return value
        if name.startswith("__"):
            raise AttributeError(name)
        module = StandIn.supplied(whole_name)
        if module is not None:
            return module
        module = StandIn.supplied(self.__name__)
        if module is not None and name in module.__dict__:
            return module.__dict__[name]
        raise MissingPartError(
            f"{whole_name} is not among what this project provides to embedded sources", name=whole_name, obj=self
        )


def whole(value: Value) -> Value:
    """Return a size, or a list of them, in Python's integers where TensorFlow 1 took another kind of number for one.

    That is: truth values, numpy's integers, floats without a fraction, `Dimension`s. All else stays as it is.
    """
    if isinstance(value, list | tuple):
        sizes = [whole(item) for item in value]
        return tuple(sizes) if isinstance(value, tuple) else sizes
    if isinstance(value, tf.Dimension):
        return value.value
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "bfiu":
        return whole(value.tolist())
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    return value


def _let_dimensions_be_whole() -> None:
    make = tf.Dimension.__init__

    @functools.wraps(make)
    def wrapper(self: object, value: object) -> None:
        make(self, whole(value))

    tf.Dimension.__init__ = wrapper


_let_dimensions_be_whole()


def _taking_sizes(function: Function) -> Function:
    """Let a function take sizes as TensorFlow 1 did."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: Value, **kwargs: Value) -> Value:
        call = signature.bind(*args, **kwargs)
        call.arguments.update({name: whole(value) for name, value in call.arguments.items() if name in _SIZES})
        return function(*call.args, **call.kwargs)

    return wrapper


def _nchw_on_cpu(function: Function) -> Function:
    """Let a function of `tf.nn` take NCHW tensors, which TensorFlow's CPU kernels do not."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: Value, **kwargs: Value) -> Value:
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


@functools.wraps(tf.get_variable)
def _get_variable(*args: Value, **kwargs: Value) -> Value:
    variable = tf.get_variable(*args, **kwargs)
    if _uses is not None:
        scope, current = tf.get_variable_scope().original_name_scope or "", tf.get_default_graph().get_name_scope()
        # A name scope inside that of the variable scope is no layer of its own.
        scope = scope if scope and f"{current}/".startswith(scope) else current
        _uses.append((variable.name.removesuffix(":0"), scope.rstrip("/")))
    return variable


def _adapted(name: str, value: Value) -> object:
    """Return what sources get for a part of TensorFlow."""
    if isinstance(value, ModuleType):
        return StandIn(name, {}, value, _adapted)
    if not inspect.isfunction(value):
        return value
    parameters = inspect.signature(value).parameters
    value = _nchw_on_cpu(value) if "data_format" in parameters else value
    return _taking_sizes(value) if _SIZES & set(parameters) else value


def _tensorflow() -> StandIn:
    module = StandIn("tensorflow", {"get_variable": _taking_sizes(_get_variable)}, tf, _adapted)
    module.__dict__["compat"] = StandIn("tensorflow.compat", {"v1": module}, tf.compat)
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

TENSORFLOW = _tensorflow()
"""What sources get for TensorFlow; `packages.install` adds `layers` and `contrib`."""
PACKAGES = {"tensorflow": TENSORFLOW, "numpy": StandIn("numpy", _DROPPED_BY_NUMPY, np)}
