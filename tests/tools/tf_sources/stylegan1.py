"""StyleGAN networks in the TensorFlow 1 style of that release: what a pickle of ours carries as its source.

Written for this project from its own notes on the file format; it runs inside a ``dnnlib.tflib.Network``.
"""

import dnnlib
import dnnlib.tflib as tflib  # noqa: PLR0402
import numpy as np
import tensorflow as tf

LAYOUT = {"data_format": "NCHW"}
GAINS = {"lrelu": np.sqrt(2), "relu": np.sqrt(2)}


# ---------------------------------------------------------------- small things


def activate(x, kind):
    """Apply the named nonlinearity."""
    if kind == "relu":
        return tf.nn.relu(x)
    assert kind == "lrelu", kind
    return tf.nn.leaky_relu(x, alpha=0.2)


def fmap_counter(fmap_base, fmap_decay, fmap_max):
    """Return the function that says how many feature maps a stage has."""
    return lambda stage: min(int(fmap_base / (2.0 ** (stage * fmap_decay))), fmap_max)


def level_scope(res):
    """Open the variable scope of a level."""
    return tf.variable_scope(f"{2**res}x{2**res}")


def log2_of(resolution):
    """Return the number of the finest level."""
    top = int(np.log2(resolution))
    assert resolution == 2**top >= 4
    return top


def lod_variable(dtype):
    """Make the variable that says how far a network has grown."""
    return tf.cast(tf.get_variable("lod", initializer=np.float32(0), trainable=False), dtype)


def choose_structure(structure, clean_graph):
    """Prefer branches, which skip work, but not where variables are made or nobody looks at the values."""
    assert structure in ("auto", "fixed", "linear", "recursive"), structure
    if structure in ("fixed", "linear"):
        return structure
    return "linear" if clean_graph else "recursive"


# ---------------------------------------------------------------- variables


def weight_variable(shape, gain, use_wscale=True, lrmul=1.0):
    """Make a weight; its scale is applied here, or else put into its first values."""
    std = gain / np.sqrt(np.prod(shape[:-1]))
    start, factor = (1.0 / lrmul, std * lrmul) if use_wscale else (std / lrmul, lrmul)
    stored = tf.get_variable("weight", shape=shape, initializer=tf.initializers.random_normal(0, start))
    return stored * factor


def add_bias(x, lrmul=1.0):
    """Add one learned number per channel."""
    bias = tf.get_variable("bias", shape=[x.shape[1]], initializer=tf.initializers.zeros()) * lrmul
    bias = tf.cast(bias, x.dtype)
    return x + bias if len(x.shape) == 2 else x + tf.reshape(bias, [1, -1, 1, 1])


# ---------------------------------------------------------------- resampling


def linear_map(x, forward, adjoint):
    """Apply a linear map and tell TensorFlow that each gradient is the other map, however often it is taken."""

    @tf.custom_gradient
    def there(value):
        @tf.custom_gradient
        def back(gradient):
            return adjoint(gradient), forward

        return forward(value), back

    return there(x)


def spread(x, factor, gain=1.0):
    """Repeat every pixel ``factor`` times in both directions."""
    if gain != 1:
        x *= gain
    if factor == 1:
        return x
    _, channels, height, width = [dim.value for dim in x.shape]
    x = tf.reshape(x, [-1, channels, height, 1, width, 1])
    x = tf.tile(x, [1, 1, 1, factor, 1, factor])
    return tf.reshape(x, [-1, channels, height * factor, width * factor])


def pool(x, factor, gain=1.0):
    """Average over blocks of ``factor`` x ``factor`` pixels."""
    if factor != 1:
        window = [1, 1, factor, factor]
        x = tf.nn.avg_pool(x, ksize=window, strides=window, padding="VALID", **LAYOUT)
    return x * gain if gain != 1 else x


def enlarge(x, factor=2):
    """Enlarge to the nearest pixel."""
    with tf.name_scope("Enlarge"):
        area = factor**2
        return linear_map(x, lambda v: spread(v, factor), lambda g: pool(g, factor, gain=area))


def shrink(x, factor=2):
    """Shrink by averaging."""
    with tf.name_scope("Shrink"):
        area = factor**2
        return linear_map(x, lambda v: pool(v, factor), lambda g: spread(g, factor, gain=1 / area))


def blur(x, taps):
    """Blur every channel with the outer product of ``taps``; None does nothing."""
    if taps is None:
        return x
    taps = list(taps) if len(taps) % 2 else [0, *taps]  # an odd length pads alike on both sides
    kernel = np.outer(taps, taps).astype(np.float32)
    kernel = kernel[:, :, np.newaxis, np.newaxis] / np.sum(kernel)

    def run(value, kernel):
        kernel = tf.tile(tf.constant(kernel, dtype=value.dtype), [1, 1, value.shape[1], 1])
        return tf.nn.depthwise_conv2d(value, kernel, strides=[1, 1, 1, 1], padding="SAME", **LAYOUT)

    with tf.name_scope("Blur"):
        return linear_map(x, lambda v: run(v, kernel), lambda g: run(g, kernel[::-1, ::-1]))


# ---------------------------------------------------------------- layers


def dense(x, fmaps, gain, **options):
    """Multiply the flattened input by a matrix."""
    if len(x.shape) > 2:
        x = tf.reshape(x, [-1, np.prod([dim.value for dim in x.shape[1:]])])
    weight = weight_variable([x.shape[1].value, fmaps], gain, **options)
    return tf.matmul(x, tf.cast(weight, x.dtype))


def conv(x, fmaps, side, gain, **options):
    """Convolve without changing the size."""
    weight = tf.cast(weight_variable([side, side, x.shape[1].value, fmaps], gain, **options), x.dtype)
    return tf.nn.conv2d(x, weight, strides=[1, 1, 1, 1], padding="SAME", **LAYOUT)


def spread_kernel(weight, dtype):
    """Convolve a 3x3 kernel with a 2x2 block of ones."""
    wide = tf.pad(weight, [[1, 1], [1, 1], [0, 0], [0, 0]])
    return tf.cast(tf.add_n([wide[1:, 1:], wide[:-1, 1:], wide[1:, :-1], wide[:-1, :-1]]), dtype)


def conv_enlarge(x, fmaps, gain, fused_scale, **options):
    """Enlarge by 2, then convolve: in one go where pictures are large."""
    if fused_scale == "auto":
        fused_scale = min(x.shape[2:]) * 2 >= 128
    if not fused_scale:
        return conv(enlarge(x), fmaps, 3, gain, **options)
    weight = weight_variable([3, 3, x.shape[1].value, fmaps], gain, **options)
    kernel = spread_kernel(tf.transpose(weight, [0, 1, 3, 2]), x.dtype)
    shape = [tf.shape(x)[0], fmaps, x.shape[2] * 2, x.shape[3] * 2]
    return tf.nn.conv2d_transpose(x, kernel, shape, strides=[1, 1, 2, 2], padding="SAME", **LAYOUT)


def conv_shrink(x, fmaps, gain, fused_scale, **options):
    """Convolve, then shrink by 2: in one go where pictures are large."""
    if fused_scale == "auto":
        fused_scale = min(dim.value for dim in x.shape[2:]) >= 128
    if not fused_scale:
        return shrink(conv(x, fmaps, 3, gain, **options))
    weight = weight_variable([3, 3, x.shape[1].value, fmaps], gain, **options)
    kernel = spread_kernel(weight / 4, x.dtype)
    return tf.nn.conv2d(x, kernel, strides=[1, 1, 2, 2], padding="SAME", **LAYOUT)


def unit_channels(x):
    """Divide by the root mean square over the channels."""
    with tf.name_scope("UnitChannels"):
        small = tf.constant(1e-8, dtype=x.dtype)
        return x * tf.rsqrt(tf.reduce_mean(tf.square(x), axis=1, keepdims=True) + small)


def unit_maps(x):
    """Give every feature map mean 0 and variance 1; in float32, as squares overflow half precision."""
    with tf.name_scope("UnitMaps"):
        wide = tf.cast(x, tf.float32)
        wide -= tf.reduce_mean(wide, axis=[2, 3], keepdims=True)
        wide *= tf.rsqrt(tf.reduce_mean(tf.square(wide), axis=[2, 3], keepdims=True) + 1e-8)
        return tf.cast(wide, x.dtype)


def add_noise(x, stored, randomize):
    """Add noise, with one learned strength per channel."""
    with tf.variable_scope("Noise"):
        strength = tf.get_variable("weight", shape=[x.shape[1].value], initializer=tf.initializers.zeros())
        if randomize:
            noise = tf.random_normal([tf.shape(x)[0], 1, x.shape[2], x.shape[3]], dtype=x.dtype)
        else:
            noise = tf.cast(stored, x.dtype)
        return x + noise * tf.reshape(tf.cast(strength, x.dtype), [1, -1, 1, 1])


def modulate(x, dlatent, use_wscale):
    """Scale and shift every feature map as the latent says."""
    with tf.variable_scope("StyleMod"):
        channels = x.shape[1].value
        style = add_bias(dense(dlatent, channels * 2, gain=1, use_wscale=use_wscale))
        scale, shift = tf.unstack(tf.reshape(style, [-1, 2, channels, 1, 1]), axis=1)
        return x * (scale + 1) + shift


def append_deviation(x, group_size, features):
    """Append maps that say how much the samples of a group differ from each other."""
    with tf.name_scope("Deviation"):
        size = tf.minimum(group_size, tf.shape(x)[0])  # a batch smaller than a group is one group
        channels, height, width = [dim.value for dim in x.shape[1:]]
        shape = [size, -1, features, channels // features, height, width]
        groups = tf.cast(tf.reshape(x, shape), tf.float32)
        groups -= tf.reduce_mean(groups, axis=0, keepdims=True)
        deviation = tf.sqrt(tf.reduce_mean(tf.square(groups), axis=0) + 1e-8)
        deviation = tf.reduce_mean(deviation, axis=[2, 3, 4])[:, :, tf.newaxis, tf.newaxis]
        extra = tf.tile(tf.cast(deviation, x.dtype), [size, 1, height, width])
        return tf.concat([x, extra], axis=1)


# ---------------------------------------------------------------- generator


def G_style(
    latents_in,
    labels_in,
    truncation_psi=0.7,
    truncation_cutoff=8,
    truncation_psi_val=None,
    truncation_cutoff_val=None,
    dlatent_avg_beta=0.995,
    style_mixing_prob=0.9,
    is_training=False,
    is_validation=False,
    is_template_graph=False,
    components=dnnlib.EasyDict(),
    **kwargs,
):
    """Generate pictures from latents and labels, by way of the two networks in ``components``."""
    if is_validation:
        truncation_psi, truncation_cutoff = truncation_psi_val, truncation_cutoff_val
    truncating = not is_training and truncates(truncation_psi, truncation_cutoff)

    if "synthesis" not in components:
        components.synthesis = tflib.Network("G_synthesis", func_name=G_synthesis, **kwargs)
    synthesis = components.synthesis
    _, num_layers, dlatent_size = synthesis.input_shape
    if "mapping" not in components:
        components.mapping = tflib.Network("G_mapping", func_name=G_mapping, dlatent_broadcast=num_layers, **kwargs)

    lod = tf.get_variable("lod", initializer=np.float32(0), trainable=False)
    average = tf.get_variable("dlatent_avg", shape=[dlatent_size], initializer=tf.initializers.zeros(), trainable=False)

    modes = dict(kwargs, is_training=is_training, is_validation=is_validation, clean_graph=is_template_graph)
    dlatents = components.mapping.get_output_for(latents_in, labels_in, **modes)
    if is_training and dlatent_avg_beta not in (None, 1):
        with tf.name_scope("Average"):
            batch_average = tf.cast(tf.reduce_mean(dlatents[:, 0], axis=0), tf.float32)
            update = tf.assign(average, tflib.lerp(batch_average, average, dlatent_avg_beta))
            with tf.control_dependencies([update]):
                dlatents = tf.identity(dlatents)
    if is_training and style_mixing_prob is not None and style_mixing_prob > 0:
        with tf.name_scope("Mix"):
            others = components.mapping.get_output_for(tf.random_normal(tf.shape(latents_in)), labels_in, **modes)
            used = num_layers - 2 * tf.cast(tf.floor(lod), tf.int32)
            swap = tf.random_uniform([]) < style_mixing_prob
            cut = tf.cond(swap, lambda: tf.random_uniform([], 1, used, dtype=tf.int32), lambda: used)
            dlatents = tf.where(layer_mask(dlatents, cut), dlatents, others)
    if truncating:
        with tf.name_scope("Truncate"), tf.device("/gpu:0"):
            truncated = tflib.lerp(tf.cast(average, dlatents.dtype), dlatents, truncation_psi)
            dlatents = tf.where(layer_mask(dlatents, truncation_cutoff), truncated, dlatents)

    # The synthesis has a lod of its own, for when it is run alone; here it has to follow ours.
    updates = [tf.assign(synthesis.vars["lod"], lod)] if "lod" in synthesis.vars else []
    with tf.control_dependencies(updates):
        dlatents = tf.identity(dlatents)
        images_out = synthesis.get_output_for(dlatents, **modes)
    return tf.identity(images_out, name="images_out")


def truncates(psi, cutoff):
    """Say whether these options ask for any truncation; either may be a tensor."""
    if psi is None or cutoff is None:
        return False
    if not tflib.is_tf_expression(psi) and psi == 1:
        return False
    return tflib.is_tf_expression(cutoff) or cutoff > 0


def layer_mask(dlatents, cut):
    """Mark the layers before ``cut``, in the full shape of ``dlatents``."""
    layers = np.arange(dlatents.shape[1].value)[np.newaxis, :, np.newaxis]
    return tf.tile(layers < tf.convert_to_tensor(cut), [tf.shape(dlatents)[0], 1, dlatents.shape[2]])


def G_mapping(
    latents_in,
    labels_in,
    latent_size=512,
    label_size=0,
    dlatent_size=512,
    dlatent_broadcast=None,
    mapping_layers=8,
    mapping_fmaps=512,
    mapping_lrmul=0.01,
    mapping_nonlinearity="lrelu",
    use_wscale=True,
    normalize_latents=True,
    dtype="float32",
    is_training=False,
    is_validation=False,
    **_kwargs,
):
    """Turn latents and labels into disentangled latents."""
    latents_in.set_shape([None, latent_size])
    labels_in.set_shape([None, label_size])
    x, labels = tf.cast(latents_in, dtype), tf.cast(labels_in, dtype)
    if label_size:
        with tf.variable_scope("LabelConcat"):
            shape = [label_size, latent_size]
            table = tf.get_variable("weight", shape=shape, initializer=tf.initializers.random_normal())
            x = tf.concat([x, tf.matmul(labels, tf.cast(table, dtype))], axis=1)
    if normalize_latents:
        x = unit_channels(x)

    options = {"gain": GAINS[mapping_nonlinearity], "use_wscale": use_wscale, "lrmul": mapping_lrmul}
    for index in range(mapping_layers):
        fmaps = dlatent_size if index == mapping_layers - 1 else mapping_fmaps
        with tf.variable_scope(f"Dense{index}"):
            x = add_bias(dense(x, fmaps, **options), lrmul=mapping_lrmul)
            x = activate(x, mapping_nonlinearity)

    if dlatent_broadcast is not None:
        with tf.name_scope("Broadcast"):
            x = tf.tile(x[:, np.newaxis], [1, dlatent_broadcast, 1])
    assert x.dtype == tf.as_dtype(dtype)
    return tf.identity(x, name="dlatents_out")


def G_synthesis(
    dlatents_in,
    dlatent_size=512,
    num_channels=3,
    resolution=1024,
    fmap_base=8192,
    fmap_decay=1.0,
    fmap_max=512,
    use_styles=True,
    const_input_layer=True,
    use_noise=True,
    randomize_noise=True,
    nonlinearity="lrelu",
    use_wscale=True,
    use_pixel_norm=False,
    use_instance_norm=True,
    dtype="float32",
    fused_scale="auto",
    blur_filter=[1, 2, 1],  # noqa: B006
    structure="auto",
    is_training=False,
    is_validation=False,
    is_template_graph=False,
    clean_graph=False,
    **_kwargs,
):
    """Turn disentangled latents into pictures."""
    top = log2_of(resolution)
    fmaps_at = fmap_counter(fmap_base, fmap_decay, fmap_max)
    num_layers = 2 * top - 2
    gain = GAINS[nonlinearity]

    dlatents_in.set_shape([None, num_layers if use_styles else 1, dlatent_size])
    dlatents = tf.cast(dlatents_in, dtype)
    lod = lod_variable(dtype)
    noises = []
    for index in range(num_layers if use_noise else 0):
        shape = [1, 1] + [2 ** (index // 2 + 2)] * 2
        normal = tf.initializers.random_normal()
        noises.append(tf.get_variable(f"noise{index}", shape=shape, initializer=normal, trainable=False))

    def finish(x, index):
        if use_noise:
            x = add_noise(x, noises[index], randomize_noise)
        x = activate(add_bias(x), nonlinearity)
        if use_pixel_norm:
            x = unit_channels(x)
        if use_instance_norm:
            x = unit_maps(x)
        return modulate(x, dlatents[:, index], use_wscale) if use_styles else x

    def first_block():
        fmaps = fmaps_at(1)
        if const_input_layer:
            with tf.variable_scope("Const"):
                const = tf.get_variable("const", shape=[1, fmaps, 4, 4], initializer=tf.initializers.ones())
                x = finish(tf.tile(tf.cast(const, dtype), [tf.shape(dlatents)[0], 1, 1, 1]), 0)
        else:
            with tf.variable_scope("Dense"):
                # a quarter of the usual gain, as if the 16 pixels counted as inputs
                x = dense(dlatents[:, 0], fmaps * 16, gain / 4, use_wscale=use_wscale)
                x = finish(tf.reshape(x, [-1, fmaps, 4, 4]), 0)
        with tf.variable_scope("Conv"):
            return finish(conv(x, fmaps, 3, gain, use_wscale=use_wscale), 1)

    def block(res, x):
        with level_scope(res):
            if res == 2:
                return first_block()
            fmaps = fmaps_at(res - 1)
            with tf.variable_scope("Conv0_up"):
                x = conv_enlarge(x, fmaps, gain, fused_scale, use_wscale=use_wscale)
                x = finish(blur(x, blur_filter), 2 * res - 4)
            with tf.variable_scope("Conv1"):
                return finish(conv(x, fmaps, 3, gain, use_wscale=use_wscale), 2 * res - 3)

    def to_picture(res, x):
        with tf.variable_scope(f"ToRGB_lod{top - res}"):
            return add_bias(conv(x, num_channels, 1, 1, use_wscale=use_wscale))

    draw = {"fixed": draw_fixed, "linear": draw_linear, "recursive": draw_recursive}
    draw = draw[choose_structure(structure, is_template_graph or clean_graph)]
    images_out = draw(top, lod, block, to_picture)
    assert images_out.dtype == tf.as_dtype(dtype)
    return tf.identity(images_out, name="images_out")


def draw_fixed(top, _lod, block, to_picture):
    """Run all levels; only the finest has a picture."""
    x = None
    for res in range(2, top + 1):
        x = block(res, x)
    return to_picture(top, x)


def draw_linear(top, lod, block, to_picture):
    """Run all levels and fade between their pictures."""
    x = block(2, None)
    picture = to_picture(2, x)
    for res in range(3, top + 1):
        x = block(res, x)
        with tf.name_scope("Fade"):
            picture = tflib.lerp_clip(to_picture(res, x), enlarge(picture), lod - (top - res))
    return picture


def draw_recursive(top, lod, block, to_picture):
    """Run only the levels that are needed for this ``lod``."""

    def deeper(res, coarse):
        level = top - res
        x = block(res, coarse)

        def here():
            sharp = to_picture(res, x)
            faded = lambda: tflib.lerp(sharp, enlarge(to_picture(res - 1, coarse)), lod - level)  # noqa: E731
            return enlarge(tf.cond(lod > level, faded, lambda: sharp), 2**level)

        return here() if level == 0 else tf.cond(lod >= level, here, lambda: deeper(res + 1, x))

    x = block(2, None)
    return to_picture(2, x) if top == 2 else deeper(3, x)


# ---------------------------------------------------------------- discriminator


def D_basic(
    images_in,
    labels_in,
    num_channels=1,
    resolution=32,
    label_size=0,
    fmap_base=8192,
    fmap_decay=1.0,
    fmap_max=512,
    nonlinearity="lrelu",
    use_wscale=True,
    mbstd_group_size=4,
    mbstd_num_features=1,
    dtype="float32",
    fused_scale="auto",
    blur_filter=[1, 2, 1],  # noqa: B006
    structure="auto",
    is_training=False,
    is_validation=False,
    is_template_graph=False,
    **_kwargs,
):
    """Score pictures, given their labels."""
    top = log2_of(resolution)
    fmaps_at = fmap_counter(fmap_base, fmap_decay, fmap_max)
    gain = GAINS[nonlinearity]

    images_in.set_shape([None, num_channels, resolution, resolution])
    labels_in.set_shape([None, label_size])
    images, labels = tf.cast(images_in, dtype), tf.cast(labels_in, dtype)
    lod = lod_variable(dtype)

    def finish(x):
        return activate(add_bias(x), nonlinearity)

    def from_picture(res, picture):
        with tf.variable_scope(f"FromRGB_lod{top - res}"):
            return finish(conv(picture, fmaps_at(res - 1), 1, gain, use_wscale=use_wscale))

    def last_block(x):
        if mbstd_group_size > 1:
            x = append_deviation(x, mbstd_group_size, mbstd_num_features)
        with tf.variable_scope("Conv"):
            x = finish(conv(x, fmaps_at(1), 3, gain, use_wscale=use_wscale))
        with tf.variable_scope("Dense0"):
            x = finish(dense(x, fmaps_at(0), gain, use_wscale=use_wscale))
        with tf.variable_scope("Dense1"):
            return add_bias(dense(x, max(label_size, 1), 1, use_wscale=use_wscale))

    def block(res, x):
        with level_scope(res):
            if res == 2:
                return last_block(x)
            with tf.variable_scope("Conv0"):
                x = finish(conv(x, fmaps_at(res - 1), 3, gain, use_wscale=use_wscale))
            with tf.variable_scope("Conv1_down"):
                x = conv_shrink(blur(x, blur_filter), fmaps_at(res - 2), gain, fused_scale, use_wscale=use_wscale)
                return finish(x)

    judge = {"fixed": judge_fixed, "linear": judge_linear, "recursive": judge_recursive}
    scores_out = judge[choose_structure(structure, is_template_graph)](top, lod, images, block, from_picture)
    if label_size:
        with tf.name_scope("Pick"):
            scores_out = tf.reduce_sum(scores_out * labels, axis=1, keepdims=True)
    assert scores_out.dtype == tf.as_dtype(dtype)
    return tf.identity(scores_out, name="scores_out")


def judge_fixed(top, _lod, picture, block, from_picture):
    """Look at the full-size picture only."""
    x = from_picture(top, picture)
    for res in range(top, 1, -1):
        x = block(res, x)
    return x


def judge_linear(top, lod, picture, block, from_picture):
    """Run all levels and fade in the smaller pictures."""
    x = from_picture(top, picture)
    for res in range(top, 2, -1):
        x = block(res, x)
        picture = shrink(picture)
        with tf.name_scope("Fade"):
            x = tflib.lerp_clip(x, from_picture(res - 1, picture), lod - (top - res))
    return block(2, x)


def judge_recursive(top, lod, picture, block, from_picture):
    """Run only the levels that are needed for this ``lod``."""

    def features(res):
        level = top - res
        fresh = lambda: from_picture(res, shrink(picture, 2**level))  # noqa: E731
        x = fresh() if level == 0 else tf.cond(lod < level, lambda: features(res + 1), fresh)
        x = block(res, x)
        if res == 2:
            return x
        smaller = lambda: from_picture(res - 1, shrink(picture, 2 ** (level + 1)))  # noqa: E731
        return tf.cond(lod > level, lambda: tflib.lerp(x, smaller(), lod - level), lambda: x)

    return features(2)
