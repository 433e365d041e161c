"""The stand-ins that embedded sources run against: operations against formulas, and the habits of TensorFlow 1."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.tools import oracle

pytestmark = [
    pytest.mark.skipif(find_spec("tensorflow") is None, reason="needs the extra: pip install '.[tf]'"),
    pytest.mark.filterwarnings("ignore"),  # TensorFlow's own
]

Array = np.ndarray[Any, Any]
EXAMPLES = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
taps_of_filter = st.lists(st.integers(1, 9), min_size=1, max_size=9)
sides = st.integers(3, 7)
even_sides = st.sampled_from([4, 6, 8])
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="session")
def modules() -> Any:
    """The parts of the runtime, imported here: TensorFlow takes seconds, and only some workers need it."""
    from converter.original.tf_runtime import embedded, network, packages, resampling, tensorflow1, tflib

    packages.install()
    return SimpleNamespace(
        embedded=embedded,
        network=network,
        ops=resampling,
        tflib=tflib,
        tf=tensorflow1.tf,
        child=__import__("converter.original.tf_runtime.child", fromlist=["child"]),
    )


@pytest.fixture
def session(modules: Any) -> Iterator[Any]:
    with modules.tf.Graph().as_default(), modules.tflib.new_session() as session:
        yield session


def load(modules: Any, code: str) -> Any:
    return SimpleNamespace(**modules.embedded.load_source(code, "test"))


def evaluate(modules: Any, function: Callable[..., Any], *arrays: Array) -> Array:
    """Apply a function of tensors to arrays."""
    with modules.tf.Graph().as_default(), modules.tflib.new_session() as session:
        return session.run(function(*(modules.tf.constant(array, "float32") for array in arrays)))


def random(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def agree(actual: Array, expected: Array) -> None:
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


# Resampling.


@given(
    taps_of_filter,
    sides,
    st.integers(1, 3),
    st.integers(1, 3),
    st.tuples(st.integers(-2, 5), st.integers(-2, 5)),
    seeds,
)
@EXAMPLES
def test_upfirdn(
    modules: Any, taps: list[int], side: int, up: int, down: int, pads: tuple[int, int], seed: int
) -> None:
    assume(side * up + sum(pads) >= len(taps) and side * up + min(pads) > 0)
    x, k = random(seed, 2, 3, side, side + 1), oracle.filter_2d(taps)
    options = {"upx": up, "upy": up, "downx": down, "downy": down}
    options |= {"padx0": pads[0], "padx1": pads[1], "pady0": pads[0], "pady1": pads[1]}
    actual = evaluate(modules, lambda x: modules.ops.upfirdn_2d(x, k, **options), x.transpose(0, 2, 3, 1))
    agree(actual.transpose(0, 3, 1, 2), oracle.upfirdn(x, k, pads, up, down))


def test_upfirdn_takes_each_axis_by_itself(modules: Any) -> None:
    x, k = random(0, 1, 5, 6, 2), np.asarray([[1.0, 2.0, 4.0]])  # one row: acts along x alone
    y = evaluate(modules, lambda x: modules.ops.upfirdn_2d(x, k, upx=2, downy=3, padx0=2, pady1=1), x)
    assert y.shape == (1, 2, 12, 2)
    np.testing.assert_allclose(y[0, 1, 0], x[0, 3, 0], rtol=1e-5)
    np.testing.assert_allclose(y[0, 1, 2], x[0, 3, 0] * 4 + x[0, 3, 1], rtol=1e-5)


@given(taps_of_filter, even_sides, seeds)
@EXAMPLES
def test_resampling_by_two(modules: Any, taps: list[int], side: int, seed: int) -> None:
    x, k = random(seed, 2, 3, side, side), oracle.filter_2d(taps)
    for name, expected in (("upsample_2d", oracle.up2(x, k)), ("downsample_2d", oracle.down2(x, k))):
        function = getattr(modules.ops, name)
        agree(evaluate(modules, lambda x, f=function: f(x, taps), x), expected)
        agree(evaluate(modules, lambda x, f=function: f(x, k=taps, gain=3, data_format="NCHW"), x), expected * 3)
        swapped = evaluate(modules, lambda x, f=function: f(x, taps, data_format="NHWC"), x.transpose(0, 2, 3, 1))
        agree(swapped.transpose(0, 3, 1, 2), expected)


def test_without_a_filter_resampling_repeats_and_averages(modules: Any) -> None:
    x = random(0, 2, 3, 6, 6)
    for factor in (2, 3):
        agree(evaluate(modules, lambda x, f=factor: modules.ops.upsample_2d(x, factor=f), x), oracle.near(x, factor))
        agree(evaluate(modules, lambda x, f=factor: modules.ops.downsample_2d(x, factor=f), x), oracle.box(x, factor))


@given(taps_of_filter, sides, seeds)
@EXAMPLES
def test_filtering_keeps_the_size(modules: Any, taps: list[int], side: int, seed: int) -> None:
    x, n = random(seed, 2, 3, side, side), len(taps)
    expected = oracle.upfirdn(x, oracle.filter_2d(taps), (n // 2, (n - 1) // 2))
    agree(evaluate(modules, lambda x: modules.ops.filter_2d(x, taps, data_format="NCHW"), x), expected)


@given(taps_of_filter, even_sides, st.sampled_from([1, 3]), seeds)
@EXAMPLES
def test_convolutions_that_resample(modules: Any, taps: list[int], side: int, size: int, seed: int) -> None:
    assume(len(taps) >= size)
    x, w, k = random(seed, 2, 3, side, side), random(seed + 1, size, size, 3, 5), oracle.filter_2d(taps)
    for name, expected in (
        ("upsample_conv_2d", oracle.conv_up2(x, w, k)),
        ("conv_downsample_2d", oracle.conv_down2(x, w, k)),
    ):
        function = getattr(modules.ops, name)
        agree(evaluate(modules, lambda x, w, f=function: f(x, w, k=taps, data_format="NCHW"), x, w), expected)


@pytest.mark.parametrize("name", ["upsample_conv_2d", "conv_downsample_2d", "plain"])
def test_grouped_convolution_is_each_group_by_itself(name: str, modules: Any) -> None:
    groups, x, w = 3, random(0, 2, 12, 6, 6), random(1, 3, 3, 4, 15)
    plain = load(modules, "import tensorflow as tf").tf.nn.conv2d
    function = {
        "plain": lambda x, w: plain(x, w, strides=[1, 1, 1, 1], padding="SAME", data_format="NCHW"),
    }.get(name) or (lambda x, w: getattr(modules.ops, name)(x, w, k=[1, 3, 3, 1]))
    parts = [evaluate(modules, function, x[:, 4 * i : 4 * i + 4], w[..., 5 * i : 5 * i + 5]) for i in range(groups)]
    agree(evaluate(modules, function, x, w), np.concatenate(parts, axis=1))


@pytest.mark.parametrize("act", sorted(oracle.ACTIVATIONS))
def test_fused_bias_act(act: str, modules: Any) -> None:
    x, b = random(0, 2, 3, 4, 4) * 3, random(1, 3)
    function = modules.ops.fused_bias_act
    agree(evaluate(modules, lambda x, b: function(x, b, act=act), x, b), oracle.bias_act(x, b, act))
    agree(evaluate(modules, lambda x, b: function(x, b, act=act, clamp=0.5), x, b), oracle.bias_act(x, b, act, 0.5))
    _, own_gain = oracle.ACTIVATIONS[act]
    without = oracle.bias_act(x[:, :, 0, 0], np.zeros(3), act) / own_gain
    agree(evaluate(modules, lambda x: function(x[:, :, 0, 0], act=act, gain=2), x), without * 2)


def test_fused_bias_act_with_another_slope_and_axis(modules: Any) -> None:
    x, b = random(0, 2, 4, 4, 3), random(1, 3)
    y = evaluate(modules, lambda x, b: modules.ops.fused_bias_act(x, b, axis=3, act="lrelu", alpha=0.5, gain=1), x, b)
    agree(y, np.where(x + b > 0, x + b, (x + b) * 0.5))


# TensorFlow 1.

NCHW = {
    "conv2d": lambda tf, x, f: tf.nn.conv2d(x, np.ones([3, 2, 4, 5], "f4"), f(1, 1, 2, 3), "SAME", data_format=FORMAT),
    "conv2d with pads": lambda tf, x, f: tf.nn.conv2d(
        x, filters=np.ones([3, 2, 4, 5], "f4"), strides=f(1, 1, 1, 1), padding=f((0, 0), (0, 0), (1, 2), (3, 0)),
        dilations=f(1, 1, 1, 2), data_format=FORMAT,
    ),
    "conv2d_transpose": lambda tf, x, f: tf.nn.conv2d_transpose(
        x, np.ones([3, 3, 5, 4], "f4"), f(tf.shape(x)[0], 5, 12, 16), strides=f(1, 1, 2, 2), data_format=FORMAT
    ),
    "depthwise_conv2d": lambda tf, x, f: tf.nn.depthwise_conv2d(
        x, np.ones([3, 3, 4, 2], "f4"), strides=f(1, 1, 2, 2), padding="SAME", data_format=FORMAT
    ),
    "avg_pool": lambda tf, x, f: tf.nn.avg_pool(x, f(1, 1, 2, 3), f(1, 1, 2, 1), "VALID", data_format=FORMAT),
    "max_pool": lambda tf, x, f: tf.nn.max_pool(
        x, ksize=f(1, 1, 2, 2), strides=f(1, 1, 2, 2), padding="SAME", data_format=FORMAT
    ),
    "bias_add": lambda tf, x, f: tf.nn.bias_add(x, np.arange(4, dtype="f4"), data_format=FORMAT),
    "space_to_depth": lambda tf, x, f: tf.space_to_depth(x, 2, data_format=FORMAT),
    "fused_batch_norm": lambda tf, x, f: tf.nn.fused_batch_norm(
        x, np.ones(4, "f4"), np.zeros(4, "f4"), data_format=FORMAT
    )[0],
}  # fmt: skip
FORMAT = "NCHW"


@pytest.mark.parametrize("name", NCHW)
def test_functions_take_nchw_on_the_cpu(name: str, modules: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tf, x = load(modules, "import tensorflow as tf").tf, random(0, 2, 4, 6, 8)
    in_nchw = evaluate(modules, lambda x: NCHW[name](tf, x, lambda *axes: list(axes)), x)
    monkeypatch.setitem(globals(), "FORMAT", "NHWC")
    in_nhwc = evaluate(
        modules, lambda x: NCHW[name](tf, x, lambda *axes: [axes[i] for i in (0, 2, 3, 1)]), x.transpose(0, 2, 3, 1)
    )
    agree(in_nchw, in_nhwc.transpose(0, 3, 1, 2))


ONE: dict[str, Callable[[Any], Any]] = {
    "bool": lambda tf: True,
    "numpy's bool": lambda tf: np.bool_(True),
    "numpy's integer": lambda tf: np.int64(1),
    "float": lambda tf: 1.0,
    "numpy's float": lambda tf: np.float32(1.0),
    "Dimension": lambda tf: tf.Dimension(1),
}
TAKING_SIZES: dict[str, Callable[[Any, Any], Any]] = {
    "get_variable": lambda tf, n: tf.get_variable("v", [n, 2]),
    "get_variable, by name": lambda tf, n: tf.get_variable("v", shape=(n, 2), initializer=tf.initializers.zeros()),
    "get_variable, array": lambda tf, n: tf.get_variable("v", np.asarray([int(n), 2]) * np.asarray(n, float)),
    "placeholder": lambda tf, n: tf.placeholder(tf.float32, [n, 2]),
    "zeros": lambda tf, n: tf.zeros([n, 2]),
    "ones": lambda tf, n: tf.ones((tf.shape(tf.zeros([n]))[0], n, 2))[0],
    "fill": lambda tf, n: tf.fill([n, 2], 0.0),
    "constant": lambda tf, n: tf.constant(0.0, shape=[n, 2]),
    "reshape": lambda tf, n: tf.reshape(tf.zeros([2]), [n, 2]),
    "reshape, partly known": lambda tf, n: tf.reshape(tf.zeros([2]), [tf.shape(tf.zeros([2]))[0] // 2, 2 * int(n)]),
    "random_normal": lambda tf, n: tf.random_normal([n, 2]),
    "random.normal": lambda tf, n: tf.random.normal(shape=[n, 2]),
    "random_uniform": lambda tf, n: tf.random_uniform([n, 2]),
    "truncated_normal": lambda tf, n: tf.truncated_normal([n, 2]),
    "tile": lambda tf, n: tf.tile(tf.zeros([1, 2]), [n, n]),
    "pad": lambda tf, n: tf.pad(tf.zeros([1, 1]), [[0, 0], [0, n]]),
    "slice": lambda tf, n: tf.slice(tf.zeros([3, 2]), [n, 0], [n, 2]),
    "transpose": lambda tf, n: tf.transpose(tf.zeros([2, 1]), [n, 0]),
    "reduce_mean": lambda tf, n: tf.reduce_mean(tf.zeros([1, 3, 2]), axis=n),
    "split": lambda tf, n: tf.split(tf.zeros([2, 2]), [n, n], axis=0)[0],
    "one_hot": lambda tf, n: tf.tile(tf.one_hot([0], n), [1, 2]),
    "broadcast_to": lambda tf, n: tf.broadcast_to(tf.zeros([2]), [n, 2]),
    "conv2d": lambda tf, n: tf.nn.conv2d(
        tf.zeros([1, 1, 1, 2]), np.zeros([1, 1, 1, 1], "f4"), [1, 1, n, n], "SAME", data_format="NCHW"
    )[0, 0],
    "avg_pool": lambda tf, n: tf.nn.avg_pool(tf.zeros([1, 1, 2, 1]), [1, n, n, 1], [1, n, n, 1], "VALID")[0, :, :, 0],
    "resize": lambda tf, n: tf.image.resize_nearest_neighbor(tf.zeros([1, 1, 3, 1]), [n, 2])[0, :, :, 0],
    "set_shape": lambda tf, n: _with_shape(tf.placeholder(tf.float32), [n, 2]),
    "TensorShape": lambda tf, n: tf.zeros(tf.TensorShape([n, 2])),
    "Dimension": lambda tf, n: tf.zeros([tf.Dimension(n), 2]),
}


def _with_shape(x: Any, shape: list[Any]) -> Any:
    x.set_shape(shape)
    return x


@pytest.mark.parametrize("kind", ONE)
@pytest.mark.parametrize("function", TAKING_SIZES)
def test_sizes_are_whole_numbers_of_any_kind(function: str, kind: str, modules: Any, session: Any) -> None:
    tf = load(modules, "import tensorflow as tf").tf
    assert TAKING_SIZES[function](tf, ONE[kind](tf)).shape.as_list() == [1, 2]


def test_sizes_with_a_fraction_stay_wrong(modules: Any, session: Any) -> None:
    tf = load(modules, "import tensorflow as tf").tf
    for shape in ([1.5, 2], [np.float32(0.5)], ["2"]):
        with pytest.raises((TypeError, ValueError)):
            tf.get_variable("v", shape)


def _layers(modules: Any, code: str, x: Array) -> tuple[Array, dict[str, Array]]:
    """Apply a line that uses x; return its value, and the variables it made, filled with random numbers."""
    with modules.tf.Graph().as_default(), modules.tflib.new_session() as session:
        function = load(modules, f"import tensorflow as tf\ndef f(x):\n    return {code}").f
        given = modules.tf.placeholder("float32", [None, *x.shape[1:]])
        y = function(given)
        variables = {v.name.removesuffix(":0"): v for v in modules.tf.global_variables()}
        values = {name: np.abs(random(i, *v.shape.as_list())) for i, (name, v) in enumerate(variables.items())}
        modules.tflib.set_vars({variables[name]: value for name, value in values.items()})
        return session.run(y, {given: x}), values


BOTH_FORMATS = [
    ("max_pooling2d", "tf.layers.max_pooling2d(x, 2, 2, 'SAME', 'FORMAT')", []),
    ("average_pooling2d", "tf.layers.average_pooling2d(x, pool_size=(2, 3), strides=[1, 2], data_format='FORMAT')", []),
    (
        "conv2d",
        "tf.layers.conv2d(x, 5, 3, 2, 'same', 'FORMAT', activation=tf.nn.relu)",
        ["conv2d/kernel", "conv2d/bias"],
    ),
    (
        "conv2d_transpose",
        "tf.layers.conv2d_transpose(x, 5, 4, strides=2, padding='SAME', data_format='FORMAT', name='up')",
        ["up/kernel", "up/bias"],
    ),
    (
        "separable_conv2d",
        "tf.layers.separable_conv2d(x, 5, 3, data_format='FORMAT', use_bias=False)",
        ["separable_conv2d/depthwise_kernel", "separable_conv2d/pointwise_kernel"],
    ),
    (
        "batch_normalization",
        "tf.layers.batch_normalization(x, AXIS)",
        [f"batch_normalization/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")],
    ),
    ("contrib.conv2d", "tf.contrib.layers.conv2d(x, 5, [3, 3], data_format='CODE')", ["Conv/weights", "Conv/biases"]),
    ("contrib.max_pool2d", "tf.contrib.layers.max_pool2d(x, 2, data_format='CODE')", []),
    (
        "contrib.batch_norm",
        "tf.contrib.layers.batch_norm(x, is_training=False, data_format='CODE')",
        [f"BatchNorm/{name}" for name in ("beta", "moving_mean", "moving_variance")],
    ),
    (
        "contrib.instance_norm",
        "tf.contrib.layers.instance_norm(x, data_format='CODE', scope='IN')",
        ["IN/beta", "IN/gamma"],
    ),
]


@pytest.mark.parametrize(("code", "names"), [case[1:] for case in BOTH_FORMATS], ids=[case[0] for case in BOTH_FORMATS])
def test_layers_take_both_formats_and_name_variables_as_ever(code: str, names: list[str], modules: Any) -> None:
    x = random(0, 2, 4, 6, 8)
    first = code.replace("FORMAT", "channels_first").replace("CODE", "NCHW").replace("AXIS", "1")
    last = code.replace("FORMAT", "channels_last").replace("CODE", "NHWC").replace("AXIS", "-1")
    y, values = _layers(modules, first, x)
    other, same = _layers(modules, last, x.transpose(0, 2, 3, 1))
    assert sorted(values) == sorted(same) == sorted(names)
    agree(y, other.transpose(0, 3, 1, 2))


def test_what_layers_compute(modules: Any) -> None:
    x = random(0, 2, 4, 6, 8)
    y, _ = _layers(modules, "tf.layers.max_pooling2d(x, 2, 2, data_format='channels_first')", x)
    agree(y, x.reshape(2, 4, 3, 2, 4, 2).max(axis=(3, 5)))
    y, _ = _layers(modules, "tf.layers.average_pooling2d(x, 2, 2, data_format='channels_first')", x)
    agree(y, x.reshape(2, 4, 3, 2, 4, 2).mean(axis=(3, 5)))
    y, v = _layers(modules, "tf.layers.conv2d(x, 3, 1, data_format='channels_first')", x)
    kernel = v["conv2d/kernel"][0, 0]
    agree(y, np.einsum("nihw,io->nohw", x, kernel) + v["conv2d/bias"][:, None, None])
    y, v = _layers(modules, "tf.layers.dense(x, 3, tf.nn.relu)", x[:, :, 0, 0])
    agree(y, np.maximum(x[:, :, 0, 0] @ v["dense/kernel"] + v["dense/bias"], 0))
    y, v = _layers(modules, "tf.contrib.layers.fully_connected(x, 3, activation_fn=None)", x[:, :, 0, 0])
    agree(y, x[:, :, 0, 0] @ v["fully_connected/weights"] + v["fully_connected/biases"])
    y, v = _layers(modules, "tf.layers.batch_normalization(x, axis=1)", x)
    gamma, beta, mean, variance = (
        v["batch_normalization/" + n][:, None, None] for n in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    agree(y, (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta)
    y, v = _layers(modules, "tf.contrib.layers.layer_norm(x)", x[:, :, 0, 0])
    z = x[:, :, 0, 0]
    normal = (z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True)
    agree(y, normal * v["LayerNorm/gamma"] + v["LayerNorm/beta"])
    y, _ = _layers(modules, "tf.layers.flatten(x, data_format='channels_first')", x)
    agree(y, x.transpose(0, 2, 3, 1).reshape(2, -1))
    y, _ = _layers(modules, "tf.layers.dropout(x)", x)
    agree(y, x)


def test_layers_share_variables_when_a_network_is_built_again(modules: Any, session: Any) -> None:
    code = """
import tensorflow as tf
def net(x_in):
    x_in.set_shape([None, 4, 6, 8])
    x = tf.layers.conv2d(x_in, 4, 1, data_format='channels_first')
    return tf.layers.conv2d(x, 4, 1, data_format='channels_first')
"""
    network = modules.network.Network("net", load(modules, code).net)
    assert list(network.vars) == ["conv2d/kernel", "conv2d/bias", "conv2d_1/kernel", "conv2d_1/bias"]
    agree(network.run(random(0, 1, 4, 6, 8)), network.run(random(0, 1, 4, 6, 8), return_as_list=True)[0])
    assert len(modules.tf.global_variables()) == 4


def test_shapes_are_those_of_tensorflow_1(modules: Any, session: Any) -> None:
    code = """
import tensorflow as tf
import tensorflow.contrib
from tensorflow.contrib import layers
import tensorflow.compat.v1 as v1
import numpy as np
x = tf.placeholder(tf.float32, [None, 3, 4, 4])
y = tf.nn.conv2d(x, np.ones([1, 1, 3, 5], np.float32), [1, 1, 1, 1], 'SAME', data_format='NCHW')
sizes = [d.value for d in y.shape]
older = [np.float(1), np.int(2), np.bool(1), np.product([2, 3])]
drawn = tf.get_variable('drawn', [3, 4], initializer=tf.contrib.layers.xavier_initializer())
flat = layers.flatten(y)
"""
    found = load(modules, code)
    assert found.sizes == [None, 5, 4, 4]
    assert found.older == [1.0, 2, True, 6]
    assert found.flat.shape.as_list() == [None, 80]
    assert found.v1 is found.tf
    assert found.tf.float32 is modules.tf.float32


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("import dnnlib.tflib as tflib\ntflib.optimizer", "dnnlib.tflib.optimizer"),
        ("import dnnlib\ndnnlib.submit", "dnnlib.submit"),
        ("from dnnlib.tflib.ops.upfirdn_2d import simple_upsample", "simple_upsample"),
        ("import dnnlib.tflib.custom_ops", "dnnlib.tflib.custom_ops"),
        ("from dnnlib.util import Logger", "Logger"),
        ("import tfutil\ntfutil.Optimizer", "tfutil.Optimizer"),
        ("import tensorflow as tf\ntf.contrib.nccl", "tensorflow.contrib.nccl"),
        ("from tensorflow.contrib import opt", "opt"),
        ("import tensorflow as tf\ntf.nn.no_such", "tensorflow.nn.no_such"),
        ("import tensorflow as tf\ntf.no_such", "tensorflow.no_such"),
        ("import tensorflow.no_such", "no_such"),
        ("import numpy as np\nnp.no_such", "numpy.no_such"),
        ("import training.misc", "training"),
        ("import dnnlib\ndnnlib.EasyDict().no_such", "no_such"),
    ],
)
def test_what_is_missing_is_named(code: str, missing: str, modules: Any) -> None:
    with pytest.raises((AttributeError, ImportError)) as caught:
        load(modules, code)
    told = modules.child._describe(caught.value)
    assert missing in told
    assert f"(line {code.count(chr(10)) + 1} of its source of test)" in told


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("import moviepy", "moviepy is not installed; get it with: pip install moviepy (line 1"),
        ("import cv2", "get it with: pip install opencv-python-headless"),
        (
            "from training import misc",
            "there is no module training; if it is the program's own, name the folder that has",
        ),
        ("import dnnlib\ndnnlib.submit_config", "name the folder that has the program's own dnnlib with --module-path"),
        ("from dnnlib.util import Logger", "name the folder that has the program's own dnnlib with --module-path"),
    ],
)
def test_what_is_missing_is_told_with_the_way_to_get_it(
    code: str, advice: str, modules: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("moviepy", "cv2", "training"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises((AttributeError, ImportError)) as caught:
        load(modules, code)
    assert advice in modules.child._describe(caught.value)


SUPPLIED = {
    "training/misc.py": (
        "import tensorflow as tf\nfrom . import more\nfrom .more import TWO\ndef f(x): return tf.ones([x, True])"
    ),
    "training/more.py": "TWO = 2",
    "dnnlib/__init__.py": "from .submission.run_context import RunContext\nfrom . import util\nsubmit_config = None",
    "dnnlib/submission/__init__.py": "",
    "dnnlib/submission/run_context.py": "from .. import tflib\nclass RunContext: lerp = tflib.lerp",
    "dnnlib/util.py": "class Logger: pass\nclass EasyDict: pass",
}


def test_modules_of_the_users_and_what_stand_ins_lack(
    modules: Any, session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in SUPPLIED.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    stand_in = type(modules.embedded.PACKAGES["tensorflow"])
    monkeypatch.setattr(stand_in, "supplied", stand_in.supplied)
    monkeypatch.setattr(modules.embedded, "_supplied", {})
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    modules.embedded.take_modules(tmp_path)
    code = """
import training.misc
import dnnlib
from dnnlib.util import EasyDict, Logger
found = [training.misc.f(3).shape.as_list(), training.misc.TWO, training.more.TWO, dnnlib.submit_config]
"""
    found = load(modules, code)
    assert found.found == [[3, 1], 2, 2, None]
    assert found.dnnlib.RunContext.lerp is modules.tflib.lerp
    assert found.EasyDict is load(modules, "from dnnlib import EasyDict").EasyDict
    with pytest.raises(ImportError, match="no_such"):
        load(modules, "from training import no_such")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise KeyboardInterrupt", "KeyboardInterrupt (line 1"),
        ("def f(): f()\nf()", "RecursionError"),
        ("def (", "SyntaxError"),
        ("class Odd(Exception):\n def __str__(self): raise self\nraise Odd", "Odd: <exception str() failed>"),
    ],
)
def test_however_a_source_fails_it_is_told(code: str, told: str, modules: Any) -> None:
    with pytest.raises(BaseException) as caught:
        load(modules, code)
    assert told in modules.child._describe(caught.value)


def test_helpers(modules: Any, session: Any) -> None:
    code = """
import numpy as np
import tensorflow as tf
import dnnlib
import dnnlib.tflib as tflib
from dnnlib import EasyDict
from dnnlib.tflib.autosummary import autosummary
from dnnlib.tflib.tfutil import lerp_clip as same
a = EasyDict(x=1); a.y = a.x + 1; del a.x
v = tf.get_variable('v', [2], initializer=tf.initializers.zeros())
tflib.set_vars({v: [3, 4]})
value = tflib.run(v)
kinds = [tflib.is_tf_expression(x) for x in (v, tf.constant(1), tf.no_op(), 1, np.zeros(2))]
mixed = [tflib.lerp(2.0, 4.0, 0.25), tflib.run(tflib.lerp_clip(tf.constant(2.0), 4.0, 1.5))]
mixed += tflib.run([tflib.log2(tf.constant(8.0)), tflib.exp2(tf.constant(3.0)), autosummary('n', v)[0]])
pictures = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
there = tflib.convert_images_from_uint8(tf.constant(pictures))
back = tflib.run(tflib.convert_images_to_uint8(there))
with tf.variable_scope('inner'), tflib.absolute_variable_scope('outer'):
    name = tf.get_variable('w', []).name
found = dnnlib.util.get_obj_by_name('dnnlib.tflib.Network')
"""
    found = load(modules, code)
    assert found.a == {"y": 2}
    assert found.value.tolist() == [3, 4]
    assert found.kinds == [True, True, True, False, False]
    np.testing.assert_allclose(found.mixed, [2.5, 4.0, 3.0, 8.0, 3.0], rtol=1e-6)
    assert (found.back == found.pictures).all()
    assert found.name == "outer/w:0"
    assert found.found is modules.network.Network
    assert found.same is modules.tflib.lerp_clip


def test_setting_a_variable_to_a_value_of_another_shape_names_it(modules: Any, session: Any) -> None:
    with modules.tf.variable_scope("here"):
        variable = modules.tf.get_variable("v", [2])
    with pytest.raises(ValueError, match=r"variable here/v has shape \[2\] by the source, but \[3\] in the file"):
        modules.tflib.set_vars({variable: np.zeros(3)})


def test_variables_with_the_same_initial_value_get_their_own(modules: Any, session: Any) -> None:
    tf, tflib = modules.tf, modules.tflib
    initial = tf.zeros([2])
    variables = [tf.get_variable(name, initializer=initial) for name in "abc"]
    tflib.set_vars({variable: [i, i] for i, variable in enumerate(variables)})
    assert [value.tolist() for value in tflib.run(variables)] == [[0, 0], [1, 1], [2, 2]]


def test_a_source_is_a_module(modules: Any) -> None:
    code = """
from __future__ import annotations
import sys
from dataclasses import dataclass
import dnnlib
@dataclass
class Options:
    width: int = 3
def double(x): return 2 * x
me = sys.modules[__name__].double
called = dnnlib.util.call_func_by_name(4, func_name=__name__ + '.double')
"""
    found = load(modules, code)
    assert (found.me(1), found.called, found.Options().width) == (2, 8, 3)


def test_a_function_gets_only_what_it_takes(modules: Any, session: Any) -> None:
    code = "def plain(x_in, width=3):\n    x_in.set_shape([None, width])\n    return x_in + 1"
    network = modules.network.Network("plain", load(modules, code).plain, width=2)
    assert network.run(np.zeros([1, 2])).tolist() == [[1, 1]]


def test_an_input_without_a_shape_is_named(modules: Any, session: Any) -> None:
    with pytest.raises(ValueError, match="network odd does not set the shape of its input x_in"):
        modules.network.Network("odd", load(modules, "def f(x_in): return x_in + 1").f)


# Networks.

TOP = """
import numpy as np
import tensorflow as tf
import dnnlib
import dnnlib.tflib as tflib

def outer(a_in, b_in, factor=2, is_template_graph=False, components=dnnlib.EasyDict(), **kwargs):
    a_in.set_shape([None, 3])
    b_in.set_shape([None, 2])
    if 'part' not in components:
        components.part = tflib.Network('part', func_name=globals()['inner'], **kwargs)
    v = tf.get_variable('scale', initializer=np.float32(1.0), trainable=False)
    y = components.part.get_output_for(tf.concat([a_in, b_in], axis=1), **kwargs)
    return tf.identity(y * v * factor, name='y_out'), tf.identity(b_in, name='b_out')

def inner(x_in, width=4, offset=0, **_kwargs):
    x_in.set_shape([None, 5])
    with tf.variable_scope('Dense'):
        w = tf.get_variable('weight', [5, width], initializer=tf.initializers.random_normal())
        return tf.identity(tf.matmul(x_in, w) + offset, name='x_out')
"""


def _nested(modules: Any, **keywords: Any) -> Any:
    return modules.network.Network("top", load(modules, TOP).outer, **keywords)


def test_a_network_knows_itself(modules: Any, session: Any) -> None:
    network = _nested(modules, width=6)
    assert (network.name, network.scope, network.num_inputs, network.num_outputs) == ("top", "top", 2, 2)
    assert (network.input_shapes, network.output_shapes) == ([[None, 3], [None, 2]], [[None, 6], [None, 2]])
    assert (network.input_shape, network.output_shape) == ([None, 3], [None, 6])
    assert (network.input_names, network.output_names) == (["a_in", "b_in"], ["y_out", "b_out"])
    assert list(network.vars) == ["scale", "part/Dense/weight"]
    assert list(network.trainables) == ["part/Dense/weight"]
    assert network.components.part.vars["Dense/weight"].name == "part/Dense/weight:0"
    assert network.static_kwargs == {"width": 6}


def test_two_networks_of_one_name_share_nothing(modules: Any, session: Any) -> None:
    first, second = _nested(modules), _nested(modules)
    assert (second.scope, second.components.part.scope) == ("top_1", "part_1")
    second.set_var("scale", 5)
    assert (first.get_var("scale"), second.get_var("scale")) == (1, 5)


def test_running_a_network(modules: Any, session: Any) -> None:
    network = _nested(modules, width=6)
    a, b, w = random(0, 5, 3), random(1, 5, 2), network.get_var("part/Dense/weight")
    expected = np.concatenate([a, b], axis=1) @ w
    y, same = network.run(a, b, minibatch_size=2)
    agree(y, expected * 2)
    agree(same, b)
    y, _ = network.run(a, b, factor=3, offset=1)
    agree(y, (expected + 1) * 3)
    y, zeros = network.run(a, None)
    agree(zeros, np.zeros([5, 2]))
    agree(y, a @ w[:3] * 2)
    part = network.components.part.run(
        np.ones([1, 5]), output_transform={"func": lambda x, gain: x * gain, "gain": 3}, return_as_list=True
    )
    agree(part[0], np.ones([1, 5]) @ w * 3)


def test_the_wrong_number_of_inputs_is_refused(modules: Any, session: Any) -> None:
    network = _nested(modules)
    with pytest.raises(ValueError, match="network top takes 2 inputs, not 1"):
        network.get_output_for(modules.tf.zeros([1, 3]))
    with pytest.raises(ValueError, match="needs at least one input that is not None"):
        network.get_output_for(None, None)


def test_building_again_shares_variables_and_tells_shapes(modules: Any, session: Any) -> None:
    network, x = _nested(modules), modules.tf.placeholder(modules.tf.float32)
    count = len(modules.tf.global_variables())
    with modules.tf.variable_scope("elsewhere"), modules.tf.name_scope("far"):
        outputs = network.get_output_for(x, None, return_as_list=True)
    assert len(modules.tf.global_variables()) == count
    assert x.shape.as_list() == [None, 3]
    assert [output.shape.as_list() for output in outputs] == [[None, 4], [None, 2]]


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_state_travels_by_pickle(version: int, modules: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Network, module = modules.network.Network, ModuleType("dnnlib.tflib.network")
    module.__dict__["Network"] = Network
    for name in ("dnnlib", "dnnlib.tflib", "dnnlib.tflib.network"):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(Network, "__module__", "dnnlib.tflib.network")
    a, b = random(0, 5, 3), random(1, 5, 2)
    with modules.tf.Graph().as_default(), modules.tflib.new_session():
        network = _nested(modules, width=6)
        network.set_var("scale", 7)
        network.version = network.components.part.version = version
        data, before = pickle.dumps(network), network.run(a, b)
    with modules.tf.Graph().as_default(), modules.tflib.new_session():
        network = pickle.loads(data)
        agree(network.run(a, b)[0], before[0])
        assert (network.version, network.without_value) == (version, [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 6}, "network top is of version 6"),
        ({"build_module_src": ""}, "network top carries no source"),
        ({"build_func_name": "other"}, "the source of network top has no function other"),
        ({"variables": [("scale", 1.0), ("odd", 1.0)]}, "makes no variable odd, which the file has"),
        ({"variables": [("scale", [1.0])]}, r"variable top\w*/scale has shape \[\] by the source, but \[1\]"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change: dict[str, Any], message: str, modules: Any, session: Any) -> None:
    state = {**_nested(modules).__getstate__(), "components": {}, **change}
    network = modules.network.Network.__new__(modules.network.Network)
    with pytest.raises(ValueError, match=message):
        network.__setstate__(state)


def test_variables_that_a_state_lacks_keep_their_initial_value(modules: Any, session: Any) -> None:
    state = {**_nested(modules).__getstate__(), "components": {}, "variables": []}
    network = modules.network.Network.__new__(modules.network.Network)
    network.__setstate__(state)
    assert network.without_value == ["scale"]
    assert network.get_var("scale") == 1
