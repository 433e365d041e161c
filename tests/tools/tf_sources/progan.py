"""Progressive GAN networks in the TensorFlow 1 style of that release: what a pickle of ours carries as its source.

Written for this project from its own notes on the file format; it runs inside a ``tfutil.Network``.
"""

import numpy as np
import tensorflow as tf

RELU_GAIN = np.sqrt(2)


# ---------------------------------------------------------------- variables


def weight_variable(shape, gain=RELU_GAIN, fan_in=None, use_wscale=True):
    """Make a weight whose scale is applied at run time, or else put into its first values."""
    std = gain / np.sqrt(np.prod(shape[:-1]) if fan_in is None else fan_in)
    if not use_wscale:
        return tf.get_variable("weight", shape=shape, initializer=tf.initializers.random_normal(0, std))
    stored = tf.get_variable("weight", shape=shape, initializer=tf.initializers.random_normal())
    return stored * tf.constant(np.float32(std), name="scale")


def add_bias(x):
    """Add one learned number per channel."""
    bias = tf.get_variable("bias", shape=[x.shape[1]], initializer=tf.initializers.zeros())
    bias = tf.cast(bias, x.dtype)
    return x + (bias if len(x.shape) == 2 else tf.reshape(bias, [1, -1, 1, 1]))


# ---------------------------------------------------------------- layers without variables


def leaky(x):
    """Leaky rectifier, slope 0.2."""
    with tf.name_scope("Leaky"):
        return tf.maximum(x * tf.constant(0.2, dtype=x.dtype), x)


def unit_channels(x, epsilon):
    """Divide by the root mean square over the channels."""
    with tf.name_scope("UnitChannels"):
        power = tf.reduce_mean(tf.square(x), axis=1, keep_dims=True)
        return x * tf.rsqrt(power + tf.cast(epsilon, x.dtype))


def enlarge(x, factor):
    """Repeat every pixel ``factor`` times in both directions."""
    if factor == 1:
        return x
    with tf.name_scope("Enlarge"):
        height, width = x.shape[2], x.shape[3]
        x = tf.expand_dims(tf.expand_dims(x, 3), 5)
        x = tf.tile(x, [1, 1, 1, factor, 1, factor])
        return tf.reshape(x, [-1, x.shape[1], height * factor, width * factor])


def shrink(x, factor):
    """Average over blocks of ``factor`` x ``factor`` pixels."""
    if factor == 1:
        return x
    window = [1, 1, factor, factor]
    with tf.name_scope("Shrink"):
        return tf.nn.avg_pool(x, ksize=window, strides=window, padding="VALID", data_format="NCHW")


def blend(a, b, t):
    """Go from a to b as t goes from 0 to 1."""
    with tf.name_scope("Blend"):
        return a + (b - a) * t


def append_deviation(x, group_size):
    """Append a map that says how much the samples of a group differ from each other."""
    with tf.name_scope("Deviation"):
        count = tf.shape(x)[0]
        size = tf.minimum(group_size, count)  # a batch smaller than a group is one group
        _, channels, height, width = [dim.value for dim in x.shape]
        groups = tf.cast(tf.reshape(x, [size, -1, channels, height, width]), tf.float32)
        groups -= tf.reduce_mean(groups, axis=0, keep_dims=True)
        deviation = tf.sqrt(tf.reduce_mean(tf.square(groups), axis=0) + 1e-8)
        deviation = tf.reduce_mean(deviation, axis=[1, 2, 3], keep_dims=True)
        extra = tf.tile(tf.cast(deviation, x.dtype), [size, 1, height, width])
        return tf.concat([x, extra], axis=1)


# ---------------------------------------------------------------- layers with variables


def dense(x, fmaps, **options):
    """Multiply the flattened input by a matrix."""
    if len(x.shape) > 2:
        x = tf.reshape(x, [-1, np.prod([dim.value for dim in x.shape[1:]])])
    weight = weight_variable([x.shape[1].value, fmaps], **options)
    return tf.matmul(x, tf.cast(weight, x.dtype))


def conv(x, fmaps, side, **options):
    """Convolve without changing the size."""
    weight = weight_variable([side, side, x.shape[1].value, fmaps], **options)
    return tf.nn.conv2d(x, tf.cast(weight, x.dtype), strides=[1, 1, 1, 1], padding="SAME", data_format="NCHW")


def four_taps(weight):
    """Spread a 3x3 kernel over a 2x2 block, which makes it a 4x4 kernel."""
    shifted = [[[y, 1 - y], [x, 1 - x], [0, 0], [0, 0]] for y in (0, 1) for x in (0, 1)]
    return tf.add_n([tf.pad(weight, paddings) for paddings in shifted])


def conv_enlarge(x, fmaps, **options):
    """Enlarge by 2 and convolve in one go; the kernel is stored as [3, 3, out, in]."""
    width_in = x.shape[1].value
    weight = weight_variable([3, 3, fmaps, width_in], fan_in=9 * width_in, **options)
    shape = [tf.shape(x)[0], fmaps, x.shape[2] * 2, x.shape[3] * 2]
    kernel = tf.cast(four_taps(weight), x.dtype)
    return tf.nn.conv2d_transpose(x, kernel, shape, strides=[1, 1, 2, 2], padding="SAME", data_format="NCHW")


def conv_shrink(x, fmaps, **options):
    """Convolve and shrink by 2 in one go."""
    weight = weight_variable([3, 3, x.shape[1].value, fmaps], **options)
    kernel = tf.cast(four_taps(weight) * 0.25, x.dtype)
    return tf.nn.conv2d(x, kernel, strides=[1, 1, 2, 2], padding="SAME", data_format="NCHW")


# ---------------------------------------------------------------- growing


def choose_structure(structure, is_template_graph):
    """Branches skip the work nobody sees, but use some layers twice: not where the variables are made."""
    if structure not in (None, "auto", "fixed", "linear", "recursive"):
        raise ValueError(f"unknown structure: {structure}")
    if structure in ("fixed", "linear"):
        return structure
    return "linear" if is_template_graph else "recursive"


def draw_growing(structure, top, lod, x, block, to_picture):
    """Turn the 4x4 features ``x`` into a full-size picture."""

    def deeper(res, x, coarser):
        level = top - res

        def here():
            picture = to_picture(res, x)
            if coarser is not None:
                faded = lambda: blend(picture, enlarge(to_picture(res - 1, coarser), 2), lod - level)  # noqa: E731
                return enlarge(tf.cond(lod > level, faded, lambda: picture), 2**level)
            return enlarge(picture, 2**level)

        if level == 0:
            return here()
        return tf.cond(lod < level, lambda: deeper(res + 1, block(res + 1, x), x), here)

    if structure == "recursive":
        return deeper(2, x, None)

    picture = to_picture(2, x) if structure == "linear" or top == 2 else None
    for res in range(3, top + 1):
        x = block(res, x)
        if structure == "linear":
            step = tf.clip_by_value(lod - (top - res), 0.0, 1.0)
            picture = blend(to_picture(res, x), enlarge(picture, 2), step)
        elif res == top:
            picture = to_picture(res, x)
    return picture


def judge_growing(structure, top, lod, picture, block, from_picture):
    """Turn a full-size picture into what the 4x4 block returns."""

    def features(res):
        level = top - res
        start = lambda: from_picture(res, shrink(picture, 2**level))  # noqa: E731
        x = start() if level == 0 else tf.cond(lod < level, lambda: features(res + 1), start)
        x = block(res, x)
        if res == 2:
            return x
        coarse = lambda: blend(x, from_picture(res - 1, shrink(picture, 2 ** (level + 1))), lod - level)  # noqa: E731
        return tf.cond(lod > level, coarse, lambda: x)

    if structure == "recursive":
        return features(2)

    x = from_picture(top, picture)
    for res in range(top, 2, -1):
        x = block(res, x)
        if structure == "linear":
            picture = shrink(picture, 2)
            x = blend(x, from_picture(res - 1, picture), tf.clip_by_value(lod - (top - res), 0.0, 1.0))
    return block(2, x)


# ---------------------------------------------------------------- networks


def G_paper(
    latents_in,
    labels_in,
    num_channels=1,
    resolution=32,
    label_size=0,
    fmap_base=8192,
    fmap_decay=1.0,
    fmap_max=512,
    latent_size=None,
    normalize_latents=True,
    use_wscale=True,
    use_pixelnorm=True,
    pixelnorm_epsilon=1e-8,
    use_leakyrelu=True,
    dtype="float32",
    fused_scale=True,
    structure=None,
    is_training=False,
    is_validation=False,
    is_template_graph=False,
    **_kwargs,
):
    """Generate pictures from latents and labels."""
    top = int(np.log2(resolution))
    assert resolution == 2**top and resolution >= 4
    dtype = tf.as_dtype(dtype)

    def fmaps_at(stage):
        return min(int(fmap_base / (2.0 ** (stage * fmap_decay))), fmap_max)

    def finish(x):
        x = add_bias(x)
        x = leaky(x) if use_leakyrelu else tf.nn.relu(x)
        return unit_channels(x, pixelnorm_epsilon) if use_pixelnorm else x

    def block(res, x):
        fmaps = fmaps_at(res - 1)
        with tf.variable_scope(f"{2**res}x{2**res}"):
            if fused_scale:
                with tf.variable_scope("Conv0_up"):
                    x = finish(conv_enlarge(x, fmaps, use_wscale=use_wscale))
            else:
                x = enlarge(x, 2)
                with tf.variable_scope("Conv0"):
                    x = finish(conv(x, fmaps, 3, use_wscale=use_wscale))
            with tf.variable_scope("Conv1"):
                return finish(conv(x, fmaps, 3, use_wscale=use_wscale))

    def first_block(x):
        fmaps = fmaps_at(1)
        with tf.variable_scope("4x4"):
            with tf.variable_scope("Dense"):
                # a quarter of the usual gain, as if the 16 pixels counted as inputs
                x = dense(x, fmaps * 16, gain=RELU_GAIN / 4, use_wscale=use_wscale)
                x = finish(tf.reshape(x, [-1, fmaps, 4, 4]))
            with tf.variable_scope("Conv"):
                return finish(conv(x, fmaps, 3, use_wscale=use_wscale))

    def to_picture(res, x):
        with tf.variable_scope(f"ToRGB_lod{top - res}"):
            return add_bias(conv(x, num_channels, 1, gain=1, use_wscale=use_wscale))

    latent_size = fmaps_at(0) if latent_size is None else latent_size
    latents_in.set_shape([None, latent_size])
    labels_in.set_shape([None, label_size])
    lod = tf.cast(tf.get_variable("lod", initializer=np.float32(0.0), trainable=False), dtype)

    with tf.device("/gpu:0"):
        x = tf.cast(tf.concat([latents_in, labels_in], axis=1), dtype)
        if normalize_latents:
            x = unit_channels(x, pixelnorm_epsilon)
    structure = choose_structure(structure, is_template_graph)
    images_out = draw_growing(structure, top, lod, first_block(x), block, to_picture)
    assert images_out.dtype == dtype
    return tf.identity(images_out, name="images_out")


def D_paper(
    images_in,
    num_channels=1,
    resolution=32,
    label_size=0,
    fmap_base=8192,
    fmap_decay=1.0,
    fmap_max=512,
    use_wscale=True,
    mbstd_group_size=4,
    dtype="float32",
    fused_scale=True,
    structure=None,
    is_training=False,
    is_validation=False,
    is_template_graph=False,
    **_kwargs,
):
    """Score pictures and guess their labels."""
    top = int(np.log2(resolution))
    assert resolution == 2**top and resolution >= 4
    dtype = tf.as_dtype(dtype)

    def fmaps_at(stage):
        return min(int(fmap_base / (2.0 ** (stage * fmap_decay))), fmap_max)

    def from_picture(res, picture):
        with tf.variable_scope(f"FromRGB_lod{top - res}"):
            return leaky(add_bias(conv(picture, fmaps_at(res - 1), 1, use_wscale=use_wscale)))

    def last_block(x):
        if mbstd_group_size > 1:
            x = append_deviation(x, mbstd_group_size)
        with tf.variable_scope("Conv"):
            x = leaky(add_bias(conv(x, fmaps_at(1), 3, use_wscale=use_wscale)))
        with tf.variable_scope("Dense0"):
            x = leaky(add_bias(dense(x, fmaps_at(0), use_wscale=use_wscale)))
        with tf.variable_scope("Dense1"):
            return add_bias(dense(x, 1 + label_size, gain=1, use_wscale=use_wscale))

    def block(res, x):
        with tf.variable_scope(f"{2**res}x{2**res}"):
            if res == 2:
                return last_block(x)
            with tf.variable_scope("Conv0"):
                x = leaky(add_bias(conv(x, fmaps_at(res - 1), 3, use_wscale=use_wscale)))
            if fused_scale:
                with tf.variable_scope("Conv1_down"):
                    return leaky(add_bias(conv_shrink(x, fmaps_at(res - 2), use_wscale=use_wscale)))
            with tf.variable_scope("Conv1"):
                x = leaky(add_bias(conv(x, fmaps_at(res - 2), 3, use_wscale=use_wscale)))
            return shrink(x, 2)  # after the activation, which the fused form cannot do

    images_in.set_shape([None, num_channels, resolution, resolution])
    lod = tf.cast(tf.get_variable("lod", initializer=np.float32(0.0), trainable=False), dtype)
    structure = choose_structure(structure, is_template_graph)
    x = judge_growing(structure, top, lod, tf.cast(images_in, dtype), block, from_picture)
    scores_out = tf.identity(x[:, :1], name="scores_out")
    labels_out = tf.identity(x[:, 1:], name="labels_out")
    assert scores_out.dtype == labels_out.dtype == dtype
    return scores_out, labels_out
