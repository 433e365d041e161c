"""The helpers of `dnnlib.tflib` (and of ProGAN's `tfutil`): expressions, scopes, variables, 8-bit pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from .tensorflow1 import TO_NCHW, TO_NHWC, Value, tf


def new_session() -> Value:
    """Return a session for the default graph in which devices that are not there are the CPU."""
    return tf.Session(config=tf.ConfigProto(allow_soft_placement=True))


TfExpression = TfExpressionEx = Value
"""What the releases call tensors, variables and operations, and values besides, in annotations."""


def run(*args: Value, **kwargs: Value) -> Value:
    """Evaluate in the default session."""
    return tf.get_default_session().run(*args, **kwargs)


def is_tf_expression(x: Value) -> bool:
    """Tell whether x is part of a graph."""
    return bool(tf.is_tensor(x)) or isinstance(x, tf.Variable | tf.Operation)


def lerp(a: Value, b: Value, t: Value) -> Value:
    """Return a + (b - a) t."""
    with tf.name_scope("Lerp"):
        return a + (b - a) * t


def lerp_clip(a: Value, b: Value, t: Value) -> Value:
    """Return a + (b - a) t with t limited to [0, 1]."""
    with tf.name_scope("LerpClip"):
        return a + (b - a) * tf.clip_by_value(t, 0.0, 1.0)


def shape_to_list(shape: Value) -> list[int | None]:
    """Return the sizes of a static shape."""
    return [size.value for size in shape]


def flatten(x: Value) -> Value:
    """Return x as a vector."""
    with tf.name_scope("Flatten"):
        return tf.reshape(x, [-1])


def log2(x: Value) -> Value:
    """Return the logarithm to base 2."""
    with tf.name_scope("Log2"):
        return tf.log(x) * np.float32(1.0 / np.log(2.0))


def exp2(x: Value) -> Value:
    """Return 2 to the power of x."""
    with tf.name_scope("Exp2"):
        return tf.exp(x * np.float32(np.log(2.0)))


def absolute_name_scope(scope: str) -> Value:
    """Enter a name scope whatever the current one is."""
    return tf.name_scope(scope + "/")


@contextmanager
def absolute_variable_scope(scope: str, **kwargs: Value) -> Iterator[Value]:
    """Enter a variable scope whatever the current one is; names of operations stay as they are."""
    reuse = kwargs.pop("reuse", None)
    with tf.variable_scope(tf.VariableScope(reuse, name=scope), auxiliary_name_scope=False, **kwargs) as entered:
        yield entered


def init_tf(config: Value = None) -> None:
    """Do nothing: whoever runs the source has opened a session."""


def assert_tf_initialized() -> None:
    """Raise RuntimeError unless there is a session."""
    if tf.get_default_session() is None:
        raise RuntimeError("there is no TensorFlow session")


def init_uninitialized_vars(target_vars: Value = None) -> None:
    """Give all variables, or those named, their initial values unless they have one."""
    variables = tf.global_variables() if target_vars is None else target_vars
    flags = run([tf.is_variable_initialized(variable) for variable in variables])
    run([variable.initializer for variable, done in zip(variables, flags, strict=True) if not done])


def create_var_with_large_initial_value(initial_value: Value, *args: Value, **kwargs: Value) -> Value:
    """Return a variable with an initial value; what made the original special was a limit on graphs."""
    return tf.Variable(initial_value, *args, **kwargs)


def set_vars(var_to_value_dict: Mapping[Value, Value]) -> None:
    """Give variables new values, without adding to the graph.

    Raises:
        ValueError: naming a variable that a value does not fit.
    """
    feeds: dict[Value, tuple[Value, Value]] = {}
    for variable, value in var_to_value_dict.items():
        array = np.asarray(value)
        if variable.shape.is_fully_defined() and tuple(variable.shape.as_list()) != array.shape:
            name, shape = variable.name.removesuffix(":0"), variable.shape.as_list()
            raise ValueError(f"variable {name} has shape {shape} by the source, but {list(array.shape)} in the file")
        initial = variable.initializer.inputs[1]
        if initial.ref() in feeds:  # variables with the same initial value take turns
            _assign(feeds)
            feeds = {}
        feeds[initial.ref()] = (variable, array)
    _assign(feeds)


def _assign(feeds: Mapping[Value, tuple[Value, Value]]) -> None:
    run([variable.initializer for variable, _ in feeds.values()], {x.deref(): value for x, (_, value) in feeds.items()})


def convert_images_from_uint8(
    images: Value, drange: tuple[float, float] = (-1, 1), nhwc_to_nchw: bool = False
) -> Value:
    """Turn uint8 pictures into float32 ones of the given range."""
    images = tf.cast(images, tf.float32)
    images = tf.transpose(images, TO_NCHW) if nhwc_to_nchw else images
    return images * ((drange[1] - drange[0]) / 255) + drange[0]


def convert_images_to_uint8(
    images: Value,
    drange: tuple[float, float] = (-1, 1),
    nchw_to_nhwc: bool = False,
    shrink: int = 1,
    uint8_cast: bool = True,
) -> Value:
    """Turn float pictures of the given range into uint8 ones: for [-1, 1], ⌊127.5 x + 128⌋ limited to 0 … 255."""
    images = tf.cast(images, tf.float32)
    if shrink > 1:
        images = tf.nn.avg_pool(tf.transpose(images, TO_NHWC), [1, shrink, shrink, 1], [1, shrink, shrink, 1], "VALID")
        images = tf.transpose(images, TO_NCHW)
    images = tf.transpose(images, TO_NHWC) if nchw_to_nhwc else images
    scale = 255 / (drange[1] - drange[0])
    images = images * scale + (0.5 - drange[0] * scale)
    return tf.saturate_cast(images, tf.uint8) if uint8_cast else images


def autosummary(name: str, value: Value, passthru: Value = None, condition: Value = True) -> Value:
    """Return the value; there is no training run to report to."""
    return value if passthru is None else passthru
