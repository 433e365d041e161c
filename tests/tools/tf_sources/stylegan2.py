"""StyleGAN2 networks in the TensorFlow 1 style of that release: what a pickle of ours carries as its source.

Written for this project from its own notes on the file format; it runs inside a ``dnnlib.tflib.Network``.
"""

import dnnlib
import dnnlib.tflib as tflib  # noqa: PLR0402
import numpy as np
import tensorflow as tf
from dnnlib.tflib.ops.fused_bias_act import fused_bias_act
from dnnlib.tflib.ops.upfirdn_2d import conv_downsample_2d, downsample_2d, upsample_2d, upsample_conv_2d

EPSILON = 1e-8


# ---------------------------------------------------------------- small things


def fmap_counter(fmap_base, fmap_decay, fmap_min, fmap_max):
    """Return the function that says how many feature maps a stage has."""

    def count(stage):
        wanted = int(fmap_base / (2.0 ** (stage * fmap_decay)))
        return min(max(wanted, fmap_min), fmap_max)

    return count


def log2_of(resolution):
    """Return the number of the finest level."""
    top = int(np.log2(resolution))
    assert resolution == 2**top >= 4
    return top


def level_scope(res):
    """Open the variable scope of a level."""
    return tf.variable_scope(f"{2**res}x{2**res}")


def lod_variable():
    """Make the variable that says how far a network has grown."""
    return tf.get_variable("lod", initializer=np.float32(0), trainable=False)


def choose_structure(structure, is_template_graph):
    """Say how to grow: the template graph makes every variable once, other graphs leave out what nobody sees."""
    assert structure in ("auto", "fixed", "linear", "recursive"), structure
    if structure == "fixed":
        return structure
    return "linear" if is_template_graph or structure == "linear" else "recursive"


def unit_vectors(x):
    """Divide by the root mean square over the features."""
    return x * tf.rsqrt(tf.reduce_mean(tf.square(x), axis=1, keepdims=True) + EPSILON)


# ---------------------------------------------------------------- layers


def weight_variable(shape, lrmul=1.0, name="weight"):
    """Make a weight that is kept at unit variance and scaled where it is used."""
    wide = tf.initializers.random_normal(0, 1.0 / lrmul)
    return tf.get_variable(name, shape=shape, initializer=wide) * (lrmul / np.sqrt(np.prod(shape[:-1])))


def dense(x, fmaps, lrmul=1.0, name="weight"):
    """Multiply by a matrix; pictures are flattened first."""
    if len(x.shape) > 2:
        x = tf.reshape(x, [-1, np.prod([d.value for d in x.shape[1:]])])
    return tf.matmul(x, tf.cast(weight_variable([x.shape[1].value, fmaps], lrmul, name), x.dtype))


def bias_act(x, act="linear", lrmul=1.0, name="bias"):
    """Add a bias and bend."""
    bias = tf.get_variable(name, shape=[x.shape[1]], initializer=tf.initializers.zeros()) * lrmul
    return fused_bias_act(x, b=tf.cast(bias, x.dtype), act=act)


def convolve(x, weight, taps, scale=1):
    """Convolve a batch of pictures, on the way to twice or half the size if asked."""
    weight = tf.cast(weight, x.dtype)
    if scale == 2:
        return upsample_conv_2d(x, weight, data_format="NCHW", k=taps)
    if scale == 0.5:
        return conv_downsample_2d(x, weight, data_format="NCHW", k=taps)
    return tf.nn.conv2d(x, weight, data_format="NCHW", strides=[1, 1, 1, 1], padding="SAME")


def conv(x, fmaps, side, taps=None, scale=1):
    """Make a weight and convolve with it."""
    return convolve(x, weight_variable([side, side, x.shape[1].value, fmaps]), taps, scale)


def convolve_each(x, weights, taps, scale):
    """Convolve every picture with its own weight, as one picture whose channels are groups."""
    _, side, _, channels, fmaps = [d.value for d in weights.shape]
    x = tf.reshape(x, [1, -1, x.shape[2], x.shape[3]])
    weights = tf.reshape(tf.transpose(weights, [1, 2, 3, 0, 4]), [side, side, channels, -1])
    x = convolve(x, weights, taps, scale)
    return tf.reshape(x, [-1, fmaps, x.shape[2], x.shape[3]])


def modulated_conv(x, dlatent, fmaps, side, how, scale=1, demodulate=True):
    """Convolve with a weight whose input channels a dlatent scales."""
    channels = x.shape[1].value
    weight = weight_variable([side, side, channels, fmaps])
    style = bias_act(dense(dlatent, channels, name="mod_weight"), name="mod_bias") + 1  # [N, in]
    style = tf.cast(style, weight.dtype)

    weights = weight[np.newaxis] * style[:, np.newaxis, np.newaxis, :, np.newaxis]  # [N, side, side, in, out]
    shrink = None
    if demodulate:
        shrink = tf.rsqrt(tf.reduce_sum(tf.square(weights), axis=[1, 2, 3]) + EPSILON)  # [N, out]

    if how.fused:
        if demodulate:
            weights *= shrink[:, np.newaxis, np.newaxis, np.newaxis]
        return convolve_each(x, weights, how.taps, scale)

    x *= tf.cast(style[:, :, np.newaxis, np.newaxis], x.dtype)
    x = convolve(x, weight, how.taps, scale)
    if demodulate:
        x *= tf.cast(shrink[:, :, np.newaxis, np.newaxis], x.dtype)
    return x


def append_deviation(x, group_size, features):
    """Append maps that say how much the members of a group differ."""
    channels, height, width = [d.value for d in x.shape[1:]]
    members = tf.minimum(group_size, tf.shape(x)[0])
    y = tf.reshape(x, [members, -1, features, channels // features, height, width])
    y = tf.cast(y, tf.float32)
    y -= tf.reduce_mean(y, axis=0, keepdims=True)
    y = tf.sqrt(tf.reduce_mean(tf.square(y), axis=0) + EPSILON)
    y = tf.reduce_mean(y, axis=[2, 3, 4], keepdims=True)[:, :, 0]  # [groups, features, 1, 1]
    y = tf.tile(tf.cast(y, x.dtype), [members, 1, height, width])
    return tf.concat([x, y], axis=1)


# ---------------------------------------------------------------- generator


def G_main(
    latents_in,
    labels_in,
    truncation_psi=0.5,
    truncation_cutoff=None,
    truncation_psi_val=None,
    truncation_cutoff_val=None,
    dlatent_avg_beta=0.995,
    style_mixing_prob=0.9,
    is_training=False,
    is_validation=False,
    return_dlatents=False,
    is_template_graph=False,
    components=dnnlib.EasyDict(),
    mapping_func="G_mapping",
    synthesis_func="G_synthesis_stylegan2",
    **kwargs,
):
    """Latents to pictures, through a mapping and a synthesis network."""
    if is_validation:
        truncation_psi, truncation_cutoff = truncation_psi_val, truncation_cutoff_val

    if "synthesis" not in components:
        components.synthesis = tflib.Network("G_synthesis", func_name=globals()[synthesis_func], **kwargs)
    num_layers, dlatent_size = components.synthesis.input_shape[1:]
    if "mapping" not in components:
        components.mapping = tflib.Network(
            "G_mapping", func_name=globals()[mapping_func], dlatent_broadcast=num_layers, **kwargs
        )

    lod = lod_variable()
    average = tf.get_variable("dlatent_avg", shape=[dlatent_size], initializer=tf.initializers.zeros(), trainable=False)
    state = dict(is_training=is_training, is_validation=is_validation, **kwargs)
    dlatents = components.mapping.get_output_for(latents_in, labels_in, **state)
    dlatents = tf.cast(dlatents, tf.float32)

    if is_training:
        if dlatent_avg_beta is not None and dlatent_avg_beta != 1:
            dlatents = follow_average(dlatents, average, dlatent_avg_beta)
        if style_mixing_prob is not None and style_mixing_prob > 0:
            others = components.mapping.get_output_for(tf.random_normal(tf.shape(latents_in)), labels_in, **state)
            shown = num_layers - 2 * tf.cast(tf.floor(lod), tf.int32)
            dlatents = mix_styles(dlatents, tf.cast(others, tf.float32), shown, style_mixing_prob)
    elif truncation_psi is not None and (tflib.is_tf_expression(truncation_psi) or truncation_psi != 1):
        dlatents = truncate(dlatents, average, truncation_psi, truncation_cutoff)

    before = []
    if "lod" in components.synthesis.vars:
        before.append(tf.assign(components.synthesis.vars["lod"], lod))
    with tf.control_dependencies(before):
        images_out = components.synthesis.get_output_for(dlatents, **state)
    images_out = tf.identity(images_out, name="images_out")
    return (images_out, dlatents) if return_dlatents else images_out


def layer_numbers(dlatents):
    """Number the layers of dlatents, in the shape that goes with them."""
    return np.arange(dlatents.shape[1].value)[np.newaxis, :, np.newaxis]


def follow_average(dlatents, average, beta):
    """Move the stored average towards that of the batch."""
    with tf.variable_scope("DlatentAvg"):
        here = tf.reduce_mean(dlatents[:, 0], axis=0)
        with tf.control_dependencies([tf.assign(average, tflib.lerp(here, average, beta))]):
            return tf.identity(dlatents)


def mix_styles(dlatents, others, shown, probability):
    """Take the layers behind a random place from other dlatents, for a share of all batches."""
    with tf.variable_scope("StyleMix"):
        place = tf.cond(
            tf.random_uniform([], 0.0, 1.0) < probability,
            lambda: tf.random_uniform([], 1, shown, dtype=tf.int32),
            lambda: shown,
        )
        keep = tf.broadcast_to(layer_numbers(dlatents) < place, tf.shape(dlatents))
        return tf.where(keep, dlatents, others)


def truncate(dlatents, average, psi, cutoff):
    """Draw the first layers of dlatents towards the average."""
    with tf.variable_scope("Truncation"):
        numbers = layer_numbers(dlatents)
        factors = np.ones(numbers.shape, dtype=np.float32)
        factors = factors * psi if cutoff is None else tf.where(numbers < cutoff, factors * psi, factors)
        return tflib.lerp(average, dlatents, factors)


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
    normalize_latents=True,
    dtype="float32",
    **_kwargs,
):
    """Latents and labels to dlatents."""
    latents_in.set_shape([None, latent_size])
    labels_in.set_shape([None, label_size])
    x = tf.cast(latents_in, dtype)

    if label_size:
        with tf.variable_scope("LabelConcat"):
            # Words of a language rather than a layer: the only weight without a scale.
            words = tf.get_variable(
                "weight", shape=[label_size, latent_size], initializer=tf.initializers.random_normal()
            )
            x = tf.concat([x, tf.matmul(tf.cast(labels_in, dtype), tf.cast(words, dtype))], axis=1)
    if normalize_latents:
        with tf.variable_scope("Normalize"):
            x = unit_vectors(x)

    for i in range(mapping_layers):
        with tf.variable_scope(f"Dense{i}"):
            fmaps = dlatent_size if i == mapping_layers - 1 else mapping_fmaps
            x = bias_act(dense(x, fmaps, mapping_lrmul), mapping_nonlinearity, mapping_lrmul)

    if dlatent_broadcast is not None:
        with tf.variable_scope("Broadcast"):
            x = tf.tile(x[:, np.newaxis], [1, dlatent_broadcast, 1])
    assert x.dtype == tf.as_dtype(dtype)
    return tf.identity(x, name="dlatents_out")


class Painter:
    """The parts that both synthesis networks are made of."""

    def __init__(self, dlatents, top, how):
        self.top = top
        self.how = how
        dlatents.set_shape([None, 2 * top - 2, how.dlatent_size])
        self.dlatents = tf.cast(dlatents, how.dtype)
        self.noise = []
        for i in range(2 * top - 3):
            side = 2 ** ((i + 5) // 2)  # one map at 4x4, two at every other level
            maker = tf.initializers.random_normal()
            self.noise.append(
                tf.get_variable(f"noise{i}", shape=[1, 1, side, side], initializer=maker, trainable=False)
            )

    def layer(self, x, number, fmaps, scale=1):
        """Modulated convolution, noise, bias and bend."""
        x = modulated_conv(x, self.dlatents[:, number], fmaps, 3, self.how, scale)
        if self.how.randomize_noise:
            noise = tf.random_normal([tf.shape(x)[0], 1, x.shape[2], x.shape[3]], dtype=x.dtype)
        else:
            noise = tf.cast(self.noise[number], x.dtype)
        strength = tf.get_variable("noise_strength", shape=[], initializer=tf.initializers.zeros())
        x += noise * tf.cast(strength, x.dtype)
        return bias_act(x, self.how.act)

    def start(self):
        """Make the 4x4 maps; call inside the scope of that level."""
        fmaps = self.how.nf(1)
        with tf.variable_scope("Const"):
            x = tf.get_variable("const", shape=[1, fmaps, 4, 4], initializer=tf.initializers.random_normal())
            x = tf.tile(tf.cast(x, self.how.dtype), [tf.shape(self.dlatents)[0], 1, 1, 1])
        with tf.variable_scope("Conv"):
            return self.layer(x, 0, fmaps)

    def enlarge(self, x, res):
        """Make the maps of a level from those of the one before; call inside the scope of the level."""
        fmaps = self.how.nf(res - 1)
        with tf.variable_scope("Conv0_up"):
            x = self.layer(x, 2 * res - 5, fmaps, scale=2)
        with tf.variable_scope("Conv1"):
            return self.layer(x, 2 * res - 4, fmaps)

    def to_picture(self, x, res):
        """Make a picture from the maps of a level; call inside the scope of this layer."""
        dlatent = self.dlatents[:, 2 * res - 3]
        return bias_act(modulated_conv(x, dlatent, self.how.num_channels, 1, self.how, demodulate=False))


def G_synthesis_stylegan2(
    dlatents_in,
    dlatent_size=512,
    num_channels=3,
    resolution=1024,
    fmap_base=16 << 10,
    fmap_decay=1.0,
    fmap_min=1,
    fmap_max=512,
    randomize_noise=True,
    architecture="skip",
    nonlinearity="lrelu",
    dtype="float32",
    resample_kernel=[1, 3, 3, 1],  # noqa: B006
    fused_modconv=True,
    **_kwargs,
):
    """Dlatents to pictures, all levels at once."""
    assert architecture in ("orig", "skip", "resnet")
    how = dnnlib.EasyDict(act=nonlinearity, taps=resample_kernel, fused=fused_modconv, dtype=dtype)
    how.update(dlatent_size=dlatent_size, num_channels=num_channels, randomize_noise=randomize_noise)
    how.nf = fmap_counter(fmap_base, fmap_decay, fmap_min, fmap_max)
    top = log2_of(resolution)
    painter = Painter(dlatents_in, top, how)

    picture = None
    for res in range(2, top + 1):
        with level_scope(res):
            if res == 2:
                x = painter.start()
            else:
                coarse = x
                x = painter.enlarge(x, res)
                if architecture == "resnet":
                    with tf.variable_scope("Skip"):
                        x += conv(coarse, how.nf(res - 1), 1, resample_kernel, scale=2)
                        x *= 1 / np.sqrt(2)
                if picture is not None:
                    picture = upsample_2d(picture, data_format="NCHW", k=resample_kernel)
            if architecture == "skip" or res == top:
                with tf.variable_scope("ToRGB"):
                    fresh = painter.to_picture(x, res)
                    picture = fresh if picture is None else picture + fresh

    assert picture.dtype == tf.as_dtype(dtype)
    return tf.identity(picture, name="images_out")


def G_synthesis_stylegan_revised(
    dlatents_in,
    dlatent_size=512,
    num_channels=3,
    resolution=1024,
    fmap_base=16 << 10,
    fmap_decay=1.0,
    fmap_min=1,
    fmap_max=512,
    randomize_noise=True,
    nonlinearity="lrelu",
    structure="auto",
    dtype="float32",
    resample_kernel=[1, 3, 3, 1],  # noqa: B006
    fused_modconv=True,
    is_template_graph=False,
    **_kwargs,
):
    """Dlatents to pictures, as far as the network has grown."""
    how = dnnlib.EasyDict(act=nonlinearity, taps=resample_kernel, fused=fused_modconv, dtype=dtype)
    how.update(dlatent_size=dlatent_size, num_channels=num_channels, randomize_noise=randomize_noise)
    how.nf = fmap_counter(fmap_base, fmap_decay, fmap_min, fmap_max)
    top = log2_of(resolution)
    lod = tf.cast(lod_variable(), dtype)
    painter = Painter(dlatents_in, top, how)

    def to_picture(x, res):
        with tf.variable_scope(f"ToRGB_lod{top - res}"):
            return painter.to_picture(x, res)

    def enlarge(x, res):
        with level_scope(res):
            return painter.enlarge(x, res)

    with level_scope(2):
        x = painter.start()
    structure = choose_structure(structure, is_template_graph)
    if structure == "fixed":
        for res in range(3, top + 1):
            x = enlarge(x, res)
        picture = to_picture(x, top)
    elif structure == "linear" or top == 2:
        picture = paint_all(x, top, lod, enlarge, to_picture)
    else:
        picture = paint_needed(x, 3, top, lod, enlarge, to_picture)

    assert picture.dtype == tf.as_dtype(dtype)
    return tf.identity(picture, name="images_out")


def repeat_pixels(picture, factor):
    """Enlarge without smoothing: the box filter is what no filter means."""
    return upsample_2d(picture, factor=factor, data_format="NCHW") if factor > 1 else picture


def mean_pixels(picture, factor):
    """Reduce to the means of square blocks."""
    return downsample_2d(picture, factor=factor, data_format="NCHW") if factor > 1 else picture


def blend(fine, coarse, share, res):
    """Mix what two neighbouring levels say; only below the coarsest pair the share may go beyond 1."""
    return tflib.lerp(fine, coarse, tf.maximum(share, 0.0)) if res == 3 else tflib.lerp_clip(fine, coarse, share)


def paint_all(x, top, lod, enlarge, to_picture):
    """Make the pictures of all levels and let lod choose."""
    picture = to_picture(x, 2)
    for res in range(3, top + 1):
        x = enlarge(x, res)
        picture = blend(to_picture(x, res), repeat_pixels(picture, 2), lod - (top - res), res)
    return picture


def paint_needed(coarse, res, top, lod, enlarge, to_picture):
    """Go on to the next level only if lod asks for it."""
    level = top - res
    x = enlarge(coarse, res)
    sharp = lambda: repeat_pixels(to_picture(x, res), 2**level)  # noqa: E731
    faded = lambda: repeat_pixels(  # noqa: E731
        tflib.lerp(to_picture(x, res), repeat_pixels(to_picture(coarse, res - 1), 2), lod - level), 2**level
    )
    here = lambda: tf.cond(lod > level, faded, sharp)  # noqa: E731
    if level == 0:
        return here()
    return tf.cond(lod < level, lambda: paint_needed(x, res + 1, top, lod, enlarge, to_picture), here)


# ---------------------------------------------------------------- discriminators


def see_picture(picture, fmaps, act):
    """Make maps from a picture; call inside the scope of this layer."""
    return bias_act(conv(picture, fmaps, 1), act)


def shrink_level(x, res, how):
    """Make the maps of the next coarser level; call inside the scope of the level."""
    with tf.variable_scope("Conv0"):
        x = bias_act(conv(x, how.nf(res - 1), 3), how.act)
    with tf.variable_scope("Conv1_down"):
        return bias_act(conv(x, how.nf(res - 2), 3, how.taps, scale=0.5), how.act)


def last_maps(x, how):
    """Turn the 4x4 maps into features; call inside the scope of that level."""
    if how.group_size > 1:
        with tf.variable_scope("MinibatchStddev"):
            x = append_deviation(x, how.group_size, how.features)
    with tf.variable_scope("Conv"):
        x = bias_act(conv(x, how.nf(1), 3), how.act)
    with tf.variable_scope("Dense0"):
        return bias_act(dense(x, how.nf(0)), how.act)


def judge(x, labels, label_size):
    """Turn features into a score; with labels, everyone has a judge of its own."""
    with tf.variable_scope("Output"):
        x = bias_act(dense(x, max(label_size, 1)))
        if label_size:
            x = tf.reduce_sum(x * tf.cast(labels, x.dtype), axis=1, keepdims=True)
    return tf.identity(x, name="scores_out")


def D_stylegan2(
    images_in,
    labels_in,
    num_channels=3,
    resolution=1024,
    label_size=0,
    fmap_base=16 << 10,
    fmap_decay=1.0,
    fmap_min=1,
    fmap_max=512,
    architecture="resnet",
    nonlinearity="lrelu",
    mbstd_group_size=4,
    mbstd_num_features=1,
    dtype="float32",
    resample_kernel=[1, 3, 3, 1],  # noqa: B006
    **_kwargs,
):
    """Pictures to scores, all levels at once."""
    assert architecture in ("orig", "skip", "resnet")
    how = dnnlib.EasyDict(act=nonlinearity, taps=resample_kernel)
    how.update(group_size=mbstd_group_size, features=mbstd_num_features)
    how.nf = fmap_counter(fmap_base, fmap_decay, fmap_min, fmap_max)
    top = log2_of(resolution)
    images_in.set_shape([None, num_channels, resolution, resolution])
    labels_in.set_shape([None, label_size])

    x, picture = None, tf.cast(images_in, dtype)
    for res in range(top, 1, -1):
        with level_scope(res):
            if architecture == "skip" or res == top:
                with tf.variable_scope("FromRGB"):
                    seen = see_picture(picture, how.nf(res - 1), nonlinearity)
                    x = seen if x is None else x + seen
            if res == 2:
                x = last_maps(x, how)
                break
            fine = x
            x = shrink_level(x, res, how)
            if architecture == "resnet":
                with tf.variable_scope("Skip"):
                    x += conv(fine, how.nf(res - 2), 1, resample_kernel, scale=0.5)
                    x *= 1 / np.sqrt(2)
            if architecture == "skip":
                picture = downsample_2d(picture, data_format="NCHW", k=resample_kernel)

    return judge(x, labels_in, label_size)


def D_stylegan(
    images_in,
    labels_in,
    num_channels=3,
    resolution=1024,
    label_size=0,
    fmap_base=16 << 10,
    fmap_decay=1.0,
    fmap_min=1,
    fmap_max=512,
    nonlinearity="lrelu",
    mbstd_group_size=4,
    mbstd_num_features=1,
    structure="auto",
    dtype="float32",
    resample_kernel=[1, 3, 3, 1],  # noqa: B006
    is_template_graph=False,
    **_kwargs,
):
    """Pictures to scores, as far as the network has grown."""
    how = dnnlib.EasyDict(act=nonlinearity, taps=resample_kernel)
    how.update(group_size=mbstd_group_size, features=mbstd_num_features)
    how.nf = fmap_counter(fmap_base, fmap_decay, fmap_min, fmap_max)
    top = log2_of(resolution)
    lod = tf.cast(lod_variable(), dtype)
    images_in.set_shape([None, num_channels, resolution, resolution])
    labels_in.set_shape([None, label_size])
    images = tf.cast(images_in, dtype)

    def from_picture(picture, res):
        with tf.variable_scope(f"FromRGB_lod{top - res}"):
            return see_picture(picture, how.nf(res - 1), nonlinearity)

    def shrink(x, res):
        with level_scope(res):
            return shrink_level(x, res, how)

    structure = choose_structure(structure, is_template_graph)
    if structure == "fixed":
        x = from_picture(images, top)
        for res in range(top, 2, -1):
            x = shrink(x, res)
    elif structure == "linear" or top == 2:
        x = look_all(images, top, lod, shrink, from_picture)
    else:
        x = look_needed(images, 3, top, lod, shrink, from_picture)

    with level_scope(2):
        x = last_maps(x, how)
    return judge(x, labels_in, label_size)


def look_all(picture, top, lod, shrink, from_picture):
    """Look at the picture in all sizes and let lod choose."""
    x = from_picture(picture, top)
    for res in range(top, 2, -1):
        x = shrink(x, res)
        picture = mean_pixels(picture, 2)
        x = blend(x, from_picture(picture, res - 1), lod - (top - res), res)
    return x


def look_needed(picture, res, top, lod, shrink, from_picture):
    """Look at finer sizes only if lod asks for it."""
    level = top - res
    fresh = lambda: from_picture(mean_pixels(picture, 2**level), res)  # noqa: E731
    if level > 0:
        x = tf.cond(lod < level, lambda: look_needed(picture, res + 1, top, lod, shrink, from_picture), fresh)
    else:
        x = fresh()
    x = shrink(x, res)
    smaller = lambda: from_picture(mean_pixels(picture, 2 ** (level + 1)), res - 1)  # noqa: E731
    return tf.cond(lod > level, lambda: tflib.lerp(x, smaller(), lod - level), lambda: x)
