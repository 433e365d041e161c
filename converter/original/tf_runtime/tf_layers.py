"""`tf.layers` and `tf.contrib.layers`, which TensorFlow dropped: the functions that sources call, in both data formats.

Names of variables and scopes are those of TensorFlow 1. What serves training only (regularisers, constraints) is taken
and left alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .tensorflow1 import TENSORFLOW, Function, Value, whole

tf: Value = TENSORFLOW
Sizes = int | Sequence[int]

ZEROS = tf.zeros_initializer()

_FORMATS = {"channels_first": "NCHW", "channels_last": "NHWC", "NCHW": "NCHW", "NHWC": "NHWC", None: "NHWC"}


def _pair(sizes: Sizes) -> list[int]:
    numbers = whole(sizes)
    return [numbers, numbers] if isinstance(numbers, int) else list(numbers)


def _format(data_format: str | None) -> str:
    if data_format not in _FORMATS:
        raise ValueError(f"data_format must be channels_first or channels_last, not {data_format}")
    return _FORMATS[data_format]


def _per_axis(form: str, sizes: Sizes) -> list[int]:
    height, width = _pair(sizes)
    return [1, 1, height, width] if form == "NCHW" else [1, height, width, 1]


def _channels(x: Value, form: str) -> int:
    return int(x.shape[1 if form == "NCHW" else -1])


def _along_channels(vector: Value, x: Value, form: str) -> Value:
    """Let a vector run along the channels of x."""
    axis = 1 if form == "NCHW" else x.shape.ndims - 1
    return tf.reshape(vector, [-1 if i == axis else 1 for i in range(x.shape.ndims)])


def _finish(y: Value, bias: Value, form: str, activation: Function | None) -> Value:
    y = y if bias is None else y + _along_channels(bias, y, form)
    return y if activation is None else activation(y)


def _bias(use: bool, name: str, size: int, initializer: Value) -> Value:
    return tf.get_variable(name, [size], initializer=initializer or ZEROS) if use else None


# tf.layers


def dense(
    inputs: Value,
    units: int,
    activation: Function | None = None,
    use_bias: bool = True,
    kernel_initializer: Value = None,
    bias_initializer: Value = None,
    name: str | None = None,
    reuse: bool | None = None,
    **_training: object,
) -> Value:
    """Multiply the last axis by a matrix."""
    with tf.variable_scope(name, "dense", reuse=reuse):
        kernel = tf.get_variable("kernel", [int(inputs.shape[-1]), units], initializer=kernel_initializer)
        bias = _bias(use_bias, "bias", units, bias_initializer)
        return _finish(tf.tensordot(inputs, kernel, 1), bias, "NHWC", activation)


def conv2d(
    inputs: Value,
    filters: int,
    kernel_size: Sizes,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str = "channels_last",
    dilation_rate: Sizes = 1,
    activation: Function | None = None,
    use_bias: bool = True,
    kernel_initializer: Value = None,
    bias_initializer: Value = None,
    name: str | None = None,
    reuse: bool | None = None,
    **_training: object,
) -> Value:
    """Convolve."""
    form = _format(data_format)
    with tf.variable_scope(name, "conv2d", reuse=reuse):
        shape = [*_pair(kernel_size), _channels(inputs, form), filters]
        kernel = tf.get_variable("kernel", shape, initializer=kernel_initializer)
        bias = _bias(use_bias, "bias", filters, bias_initializer)
        steps, rates = _per_axis(form, strides), _per_axis(form, dilation_rate)
        y = tf.nn.conv2d(inputs, kernel, steps, padding.upper(), data_format=form, dilations=rates)
        return _finish(y, bias, form, activation)


def conv2d_transpose(
    inputs: Value,
    filters: int,
    kernel_size: Sizes,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str = "channels_last",
    activation: Function | None = None,
    use_bias: bool = True,
    kernel_initializer: Value = None,
    bias_initializer: Value = None,
    name: str | None = None,
    reuse: bool | None = None,
    **_training: object,
) -> Value:
    """Convolve backwards, which enlarges by the strides."""
    form, kernel_sides, steps = _format(data_format), _pair(kernel_size), _pair(strides)
    with tf.variable_scope(name, "conv2d_transpose", reuse=reuse):
        shape = [*kernel_sides, filters, _channels(inputs, form)]
        kernel = tf.get_variable("kernel", shape, initializer=kernel_initializer)
        bias = _bias(use_bias, "bias", filters, bias_initializer)
        given, first = tf.shape(inputs), 2 if form == "NCHW" else 1
        sides = [
            given[first + i] * steps[i] + (max(kernel_sides[i] - steps[i], 0) if padding.upper() == "VALID" else 0)
            for i in range(2)
        ]
        shape = [given[0], filters, *sides] if form == "NCHW" else [given[0], *sides, filters]
        y = tf.nn.conv2d_transpose(
            inputs, kernel, tf.stack(shape), _per_axis(form, strides), padding.upper(), data_format=form
        )
        y.set_shape([None, filters, None, None] if form == "NCHW" else [None, None, None, filters])
        return _finish(y, bias, form, activation)


def separable_conv2d(
    inputs: Value,
    filters: int,
    kernel_size: Sizes,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str = "channels_last",
    depth_multiplier: int = 1,
    activation: Function | None = None,
    use_bias: bool = True,
    depthwise_initializer: Value = None,
    pointwise_initializer: Value = None,
    bias_initializer: Value = None,
    name: str | None = None,
    reuse: bool | None = None,
    **_training: object,
) -> Value:
    """Convolve each channel by itself, then mix the channels."""
    form = _format(data_format)
    with tf.variable_scope(name, "separable_conv2d", reuse=reuse):
        channels = _channels(inputs, form)
        shape = [*_pair(kernel_size), channels, depth_multiplier]
        depthwise = tf.get_variable("depthwise_kernel", shape, initializer=depthwise_initializer)
        shape = [1, 1, channels * depth_multiplier, filters]
        pointwise = tf.get_variable("pointwise_kernel", shape, initializer=pointwise_initializer)
        bias = _bias(use_bias, "bias", filters, bias_initializer)
        steps = _per_axis(form, strides)
        y = tf.nn.depthwise_conv2d(inputs, depthwise, steps, padding.upper(), data_format=form)
        y = tf.nn.conv2d(y, pointwise, [1, 1, 1, 1], "VALID", data_format=form)
        return _finish(y, bias, form, activation)


def max_pooling2d(
    inputs: Value,
    pool_size: Sizes,
    strides: Sizes,
    padding: str = "valid",
    data_format: str = "channels_last",
    name: str | None = None,
) -> Value:
    """Take the largest value of each window."""
    form = _format(data_format)
    window, steps = _per_axis(form, pool_size), _per_axis(form, strides)
    return tf.nn.max_pool(inputs, window, steps, padding.upper(), data_format=form, name=name)


def average_pooling2d(
    inputs: Value,
    pool_size: Sizes,
    strides: Sizes,
    padding: str = "valid",
    data_format: str = "channels_last",
    name: str | None = None,
) -> Value:
    """Take the mean of each window."""
    form = _format(data_format)
    window, steps = _per_axis(form, pool_size), _per_axis(form, strides)
    return tf.nn.avg_pool(inputs, window, steps, padding.upper(), data_format=form, name=name)


def flatten(inputs: Value, name: str | None = None, data_format: str = "channels_last") -> Value:
    """Make a vector of each sample, with the channels innermost whatever the format is."""
    if _format(data_format) == "NCHW" and inputs.shape.ndims > 2:
        inputs = tf.transpose(inputs, [0, *range(2, inputs.shape.ndims), 1])
    return tf.reshape(inputs, [tf.shape(inputs)[0], np.prod(inputs.shape[1:])], name=name)


def dropout(
    inputs: Value,
    rate: float = 0.5,
    noise_shape: Value = None,
    seed: Value = None,
    training: Value = False,
    name: Value = None,
) -> Value:
    """Return the inputs; in training with some of them zero."""
    return _if(training, lambda: tf.nn.dropout(inputs, rate=rate, noise_shape=noise_shape, seed=seed), lambda: inputs)


def batch_normalization(
    inputs: Value,
    axis: int = -1,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    training: Value = False,
    name: str | None = None,
    reuse: bool | None = None,
    **_training: object,
) -> Value:
    """Normalise each channel by its stored mean and variance; in training by those of the batch."""
    form = "NCHW" if inputs.shape.ndims == 4 and whole(axis) in (1, -3) else "NHWC"
    with tf.variable_scope(name, "batch_normalization", reuse=reuse):
        return _normalized(inputs, form, epsilon, center, scale, training)


def _if(condition: Value, then: Function, otherwise: Function) -> Value:
    if isinstance(condition, bool | int | np.bool_):
        return then() if condition else otherwise()
    return tf.cond(condition, then, otherwise)


def _normalized(x: Value, form: str, epsilon: float, center: bool, scale: bool, training: Value) -> Value:
    channels = _channels(x, form)
    gamma = tf.get_variable("gamma", [channels], initializer=tf.ones_initializer()) if scale else None
    beta = tf.get_variable("beta", [channels], initializer=ZEROS) if center else None
    mean = tf.get_variable("moving_mean", [channels], initializer=ZEROS, trainable=False)
    variance = tf.get_variable("moving_variance", [channels], initializer=tf.ones_initializer(), trainable=False)
    axes = [i for i in range(x.shape.ndims) if i != (1 if form == "NCHW" else x.shape.ndims - 1)]
    of_batch = lambda: tuple(tf.nn.moments(x, axes))  # noqa: E731
    mean, variance = _if(training, of_batch, lambda: (tf.identity(mean), tf.identity(variance)))
    vectors = [None if v is None else _along_channels(v, x, form) for v in (mean, variance, beta, gamma)]
    return tf.nn.batch_normalization(x, *vectors, epsilon)


LAYERS = {
    function.__name__: function
    for function in (
        dense,
        conv2d,
        conv2d_transpose,
        separable_conv2d,
        max_pooling2d,
        average_pooling2d,
        flatten,
        dropout,
        batch_normalization,
    )
}


# tf.contrib.layers


def _xavier(uniform: bool = True, seed: Value = None, dtype: Value = tf.float32) -> Value:
    return (tf.glorot_uniform_initializer if uniform else tf.glorot_normal_initializer)(seed=seed, dtype=dtype)


def _variance_scaling(
    factor: float = 2.0, mode: str = "FAN_IN", uniform: bool = False, seed: Value = None, dtype: Value = tf.float32
) -> Value:
    shape = "uniform" if uniform else "truncated_normal"
    return tf.variance_scaling_initializer(factor, mode.lower(), shape, seed, dtype)


def _after(y: Value, normalizer: Function | None, parameters: dict[str, Value] | None, bias: Value, form: str) -> Value:
    return _finish(y, bias, form, None) if normalizer is None else normalizer(y, **(parameters or {}))


def _contrib_conv2d(
    inputs: Value,
    num_outputs: int,
    kernel_size: Sizes,
    stride: Sizes = 1,
    padding: str = "SAME",
    data_format: str | None = None,
    rate: Sizes = 1,
    activation_fn: Function | None = tf.nn.relu,
    normalizer_fn: Function | None = None,
    normalizer_params: dict[str, Value] | None = None,
    weights_initializer: Value = None,
    biases_initializer: Value = ZEROS,
    reuse: bool | None = None,
    scope: str | None = None,
    **_training: object,
) -> Value:
    form = _format(data_format)
    with tf.variable_scope(scope, "Conv", reuse=reuse):
        shape = [*_pair(kernel_size), _channels(inputs, form), num_outputs]
        weights = tf.get_variable("weights", shape, initializer=weights_initializer or _xavier())
        with_bias = normalizer_fn is None and biases_initializer is not None
        bias = _bias(with_bias, "biases", num_outputs, biases_initializer)
        steps, rates = _per_axis(form, stride), _per_axis(form, rate)
        y = tf.nn.conv2d(inputs, weights, steps, padding.upper(), data_format=form, dilations=rates)
        y = _after(y, normalizer_fn, normalizer_params, bias, form)
        return y if activation_fn is None else activation_fn(y)


def _fully_connected(
    inputs: Value,
    num_outputs: int,
    activation_fn: Function | None = tf.nn.relu,
    normalizer_fn: Function | None = None,
    normalizer_params: dict[str, Value] | None = None,
    weights_initializer: Value = None,
    biases_initializer: Value = ZEROS,
    reuse: bool | None = None,
    scope: str | None = None,
    **_training: object,
) -> Value:
    with tf.variable_scope(scope, "fully_connected", reuse=reuse):
        shape = [int(inputs.shape[-1]), num_outputs]
        weights = tf.get_variable("weights", shape, initializer=weights_initializer or _xavier())
        with_bias = normalizer_fn is None and biases_initializer is not None
        bias = _bias(with_bias, "biases", num_outputs, biases_initializer)
        y = _after(tf.tensordot(inputs, weights, 1), normalizer_fn, normalizer_params, bias, "NHWC")
        return y if activation_fn is None else activation_fn(y)


def _linear(*args: Value, **kwargs: Value) -> Value:
    return _fully_connected(*args, **{"activation_fn": None, **kwargs})


def _pool(function: Function) -> Function:
    def pool(
        inputs: Value,
        kernel_size: Sizes,
        stride: Sizes = 2,
        padding: str = "VALID",
        data_format: str | None = None,
        scope: str | None = None,
        **_collections: Value,
    ) -> Value:
        return function(inputs, kernel_size, stride, padding, data_format)

    return pool


def _batch_norm(
    inputs: Value,
    decay: float = 0.999,
    center: bool = True,
    scale: bool = False,
    epsilon: float = 1e-3,
    activation_fn: Function | None = None,
    is_training: Value = True,
    reuse: bool | None = None,
    data_format: str | None = None,
    scope: str | None = None,
    **_training: object,
) -> Value:
    with tf.variable_scope(scope, "BatchNorm", reuse=reuse):
        y = _normalized(inputs, _format(data_format), epsilon, center, scale, is_training)
        return y if activation_fn is None else activation_fn(y)


def _instance_norm(
    inputs: Value,
    center: bool = True,
    scale: bool = True,
    epsilon: float = 1e-6,
    activation_fn: Function | None = None,
    reuse: bool | None = None,
    data_format: str | None = None,
    scope: str | None = None,
    **_training: object,
) -> Value:
    form = _format(data_format)
    axes = list(range(2, inputs.shape.ndims)) if form == "NCHW" else list(range(1, inputs.shape.ndims - 1))
    with tf.variable_scope(scope, "InstanceNorm", reuse=reuse):
        return _standardized(inputs, axes, form, epsilon, [_channels(inputs, form)], center, scale, activation_fn)


def _layer_norm(
    inputs: Value,
    center: bool = True,
    scale: bool = True,
    activation_fn: Function | None = None,
    reuse: bool | None = None,
    scope: str | None = None,
    begin_norm_axis: int = 1,
    begin_params_axis: int = -1,
    **_training: object,
) -> Value:
    rank = inputs.shape.ndims
    axes, shape = list(range(begin_norm_axis % rank, rank)), inputs.shape.as_list()[begin_params_axis % rank :]
    with tf.variable_scope(scope, "LayerNorm", reuse=reuse):
        return _standardized(inputs, axes, None, 1e-12, shape, center, scale, activation_fn)


def _standardized(
    x: Value,
    axes: list[int],
    form: str | None,
    epsilon: float,
    shape: list[int],
    center: bool,
    scale: bool,
    activation: Function | None,
) -> Value:
    beta = tf.get_variable("beta", shape, initializer=ZEROS) if center else None
    gamma = tf.get_variable("gamma", shape, initializer=tf.ones_initializer()) if scale else None
    mean, variance = tf.nn.moments(x, axes, keep_dims=True)
    if form:
        beta, gamma = (None if v is None else _along_channels(v, x, form) for v in (beta, gamma))
    y = tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon)
    return y if activation is None else activation(y)


def _regularizer(*args: Value, **kwargs: Value) -> None:
    """Stand for a regulariser, which is a part of the loss."""


CONTRIB = {
    "xavier_initializer": _xavier,
    "xavier_initializer_conv2d": _xavier,
    "variance_scaling_initializer": _variance_scaling,
    "flatten": lambda inputs, outputs_collections=None, scope=None: flatten(inputs),
    "conv2d": _contrib_conv2d,
    "convolution2d": _contrib_conv2d,
    "fully_connected": _fully_connected,
    "linear": _linear,
    "max_pool2d": _pool(max_pooling2d),
    "avg_pool2d": _pool(average_pooling2d),
    "batch_norm": _batch_norm,
    "instance_norm": _instance_norm,
    "layer_norm": _layer_norm,
    "dropout": lambda inputs, keep_prob=0.5, noise_shape=None, is_training=True, **_: dropout(
        inputs, 1 - keep_prob, noise_shape, training=is_training
    ),
    "l1_regularizer": _regularizer,
    "l2_regularizer": _regularizer,
}
