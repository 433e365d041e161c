"""`dnnlib.tflib.ops`: resampling and fused bias + activation in plain TensorFlow (docs/spec/TF.md 0.1, 4.4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .tensorflow1 import TO_NCHW, TO_NHWC, Array, Value, tf

Filter = Sequence[float] | Array | None


def upfirdn_2d(
    x: Value,
    k: Value,
    upx: int = 1,
    upy: int = 1,
    downx: int = 1,
    downy: int = 1,
    padx0: int = 0,
    padx1: int = 0,
    pady0: int = 0,
    pady1: int = 0,
    impl: str = "ref",
) -> Value:
    """Insert zeros, pad or crop, convolve with `k`, keep every `down`-th sample of x [major, H, W, minor]."""
    k = np.asarray(k, dtype=np.float32)
    if k.ndim != 2:
        raise ValueError(f"upfirdn_2d wants a filter of two dimensions, not {k.ndim}")
    x = tf.convert_to_tensor(x)
    x = _insert_zeros(_insert_zeros(x, 1, upy), 2, upx)
    x = _pad(x, (pady0, pady1), (padx0, padx1))
    channels = tf.shape(x)[3] if x.shape[3].value is None else x.shape[3]
    kernel = tf.tile(tf.constant(k[::-1, ::-1, None, None], dtype=x.dtype), [1, 1, channels, 1])
    x = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "VALID")
    return x[:, ::downy, ::downx, :]


def _insert_zeros(x: Value, axis: int, factor: int) -> Value:
    """Put factor - 1 zeros after every sample."""
    if factor == 1:
        return x
    shape, known = tf.shape(x), x.shape.as_list()
    x = tf.expand_dims(x, axis + 1)
    x = tf.pad(x, [[0, factor - 1 if i == axis + 1 else 0] for i in range(5)])
    sizes = [shape[i] if size is None else size for i, size in enumerate(known)]
    sizes[axis] = sizes[axis] * factor
    return tf.reshape(x, sizes)


def _pad(x: Value, vertical: tuple[int, int], horizontal: tuple[int, int]) -> Value:
    pads = [(0, 0), vertical, horizontal, (0, 0)]
    x = tf.pad(x, [[max(before, 0), max(after, 0)] for before, after in pads])
    return x[tuple(slice(max(-before, 0), -max(-after, 0) or None) for before, after in pads)]


def _kernel(k: Filter, factor: int, gain: float) -> Array:
    """Return a filter of two dimensions whose sum is `gain`; None is a box of `factor`."""
    taps = np.asarray([1] * factor if k is None else k, dtype=np.float32)
    taps = np.outer(taps, taps) if taps.ndim == 1 else taps
    if taps.ndim != 2 or taps.shape[0] != taps.shape[1]:
        raise ValueError(f"a filter must be square, not of shape {list(taps.shape)}")
    return taps / np.sum(taps) * np.float32(gain)


def _filter(x: Value, k: Array, data_format: str, up: int, down: int, pad0: int, pad1: int) -> Value:
    _check_format(data_format)
    nchw = data_format == "NCHW"
    y = tf.transpose(x, TO_NHWC) if nchw else tf.convert_to_tensor(x)
    y = upfirdn_2d(y, k, up, up, down, down, pad0, pad1, pad0, pad1)
    return tf.transpose(y, TO_NCHW) if nchw else y


def _check_format(data_format: str) -> None:
    if data_format not in ("NCHW", "NHWC"):
        raise ValueError(f"data_format must be NCHW or NHWC, not {data_format}")


def filter_2d(
    x: Value, k: Filter, gain: float = 1, padding: int = 0, data_format: str = "NCHW", impl: str = "ref"
) -> Value:
    """Convolve every channel with `k`, keeping the size."""
    kernel = _kernel(k, 1, gain)
    n = kernel.shape[0]
    return _filter(x, kernel, data_format, 1, 1, n // 2 + padding, (n - 1) // 2 + padding)


def upsample_2d(
    x: Value,
    k: Filter = None,
    factor: int = 2,
    gain: float = 1,
    padding: int = 0,
    data_format: str = "NCHW",
    impl: str = "ref",
) -> Value:
    """Enlarge by `factor` with filter `k`."""
    kernel = _kernel(k, factor, gain * factor**2)
    p = kernel.shape[0] - factor
    return _filter(x, kernel, data_format, factor, 1, (p + 1) // 2 + factor - 1 + padding, p // 2 + padding)


def downsample_2d(
    x: Value,
    k: Filter = None,
    factor: int = 2,
    gain: float = 1,
    padding: int = 0,
    data_format: str = "NCHW",
    impl: str = "ref",
) -> Value:
    """Reduce by `factor` with filter `k`."""
    kernel = _kernel(k, factor, gain)
    p = kernel.shape[0] - factor
    return _filter(x, kernel, data_format, 1, factor, (p + 1) // 2 + padding, p // 2 + padding)


def upsample_conv_2d(
    x: Value,
    w: Value,
    k: Filter = None,
    factor: int = 2,
    gain: float = 1,
    padding: int = 0,
    data_format: str = "NCHW",
    impl: str = "ref",
) -> Value:
    """Enlarge by `factor`: zeros between the samples, convolution with w [c, c, in, out], then filter `k`.

    Grouped where the input channels of w divide those of x.
    """
    _check_format(data_format)
    kernel = _kernel(k, factor, gain * factor**2)
    w = tf.convert_to_tensor(w)
    c = w.shape[0].value
    nchw = data_format == "NCHW"
    y = tf.transpose(x, TO_NHWC) if nchw else tf.convert_to_tensor(x)
    y = _insert_zeros(_insert_zeros(y, 1, factor), 2, factor)
    # No zeros after the last sample, c - 1 around: every place the kernel overlaps a sample.
    y = _pad(y, (c - 1, c - factor), (c - 1, c - factor))
    y = tf.nn.conv2d(y, w, [1, 1, 1, 1], "VALID")
    p = kernel.shape[0] - factor - (c - 1)
    y = _filter(y, kernel, "NHWC", 1, 1, (p + 1) // 2 + factor - 1 + padding, p // 2 + 1 + padding)
    return tf.transpose(y, TO_NCHW) if nchw else y


def conv_downsample_2d(
    x: Value,
    w: Value,
    k: Filter = None,
    factor: int = 2,
    gain: float = 1,
    padding: int = 0,
    data_format: str = "NCHW",
    impl: str = "ref",
) -> Value:
    """Reduce by `factor`: filter `k`, then a strided convolution with w [c, c, in, out], grouped as above."""
    kernel = _kernel(k, factor, gain)
    w = tf.convert_to_tensor(w)
    p = kernel.shape[0] - factor + w.shape[0].value - 1
    x = _filter(x, kernel, data_format, 1, 1, (p + 1) // 2 + padding, p // 2 + padding)
    nchw = data_format == "NCHW"
    y = tf.transpose(x, TO_NHWC) if nchw else x
    y = tf.nn.conv2d(y, w, [1, factor, factor, 1], "VALID")
    return tf.transpose(y, TO_NCHW) if nchw else y


_SQRT2 = math.sqrt(2.0)

# name -> (function of the value and alpha, default alpha, default gain)
_ACTIVATIONS: dict[str, tuple[Callable[[Value, Value], Value], float | None, float]] = {
    "linear": (lambda x, alpha: x, None, 1.0),
    "relu": (lambda x, alpha: tf.nn.relu(x), None, _SQRT2),
    "lrelu": (tf.nn.leaky_relu, 0.2, _SQRT2),
    "tanh": (lambda x, alpha: tf.nn.tanh(x), None, 1.0),
    "sigmoid": (lambda x, alpha: tf.nn.sigmoid(x), None, 1.0),
    "elu": (lambda x, alpha: tf.nn.elu(x), None, 1.0),
    "selu": (lambda x, alpha: tf.nn.selu(x), None, 1.0),
    "softplus": (lambda x, alpha: tf.nn.softplus(x), None, 1.0),
    "swish": (lambda x, alpha: tf.nn.sigmoid(x) * x, None, _SQRT2),
}


def fused_bias_act(
    x: Value,
    b: Value = None,
    axis: int = 1,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
    impl: str = "ref",
) -> Value:
    """Return clamp(gain · act(x + b)); b runs along `axis`."""
    x = tf.convert_to_tensor(x)
    if act not in _ACTIVATIONS:
        raise ValueError(f"fused_bias_act: the activation {act} is none of {', '.join(_ACTIVATIONS)}")
    function, default_alpha, default_gain = _ACTIVATIONS[act]
    if b is not None:
        x = x + tf.reshape(b, [-1 if i == axis else 1 for i in range(x.shape.ndims)])
    x = function(x, default_alpha if alpha is None else alpha)
    x = x * tf.cast(default_gain if gain is None else gain, x.dtype)
    if clamp is not None and clamp >= 0:
        x = tf.clip_by_value(x, tf.constant(-clamp, x.dtype), tf.constant(clamp, x.dtype))
    return x
