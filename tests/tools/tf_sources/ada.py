"""StyleGAN2-ADA networks in the TensorFlow 1 style of that release: what a pickle of ours carries as its source.

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
    return lambda stage: int(np.clip(int(fmap_base / (2.0 ** (stage * fmap_decay))), fmap_min, fmap_max))


def precision(top, num_fp16_res, dtype):
    """Return the function that says in which type a level computes: the finest ones in half precision."""
    return lambda res: tf.as_dtype("float16" if res > top - num_fp16_res else dtype)


def log2_of(resolution):
    """Return the number of the finest level."""
    top = int(np.log2(resolution))
    assert resolution == 2**top >= 4
    return top


def level_scope(res):
    """Open the variable scope of a level."""
    return tf.variable_scope(f"{2**res}x{2**res}")


def inverse_norm(x, axis):
    """One over the length of vectors."""
    return tf.rsqrt(tf.reduce_sum(tf.square(x), axis=axis) + EPSILON)


def unit_vectors(x):
    """Divide by the root mean square over the features."""
    return x * tf.rsqrt(tf.reduce_mean(tf.square(x), axis=1, keepdims=True) + EPSILON)


# ---------------------------------------------------------------- layers


def weight_variable(shape, lrmul=1.0, name="weight", trainable=True):
    """Make a weight that is kept at unit variance and scaled where it is used."""
    wide = tf.initializers.random_normal(0, 1.0 / lrmul)
    weight = tf.get_variable(name, shape=shape, initializer=wide, trainable=trainable)
    return weight * (lrmul / np.sqrt(np.prod(shape[:-1])))


def dense(x, fmaps, lrmul=1.0, name="weight", trainable=True):
    """Multiply by a matrix; pictures are flattened first."""
    if x.shape.ndims > 2:
        x = tf.reshape(x, [-1, np.prod([d.value for d in x.shape[1:]])])
    weight = weight_variable([x.shape[1].value, fmaps], lrmul, name, trainable)
    return tf.matmul(x, tf.cast(weight, x.dtype))


def bias_act(x, act="linear", clamp=None, lrmul=1.0, name="bias", trainable=True):
    """Add a bias, bend and limit."""
    zeros = tf.initializers.zeros()
    bias = tf.get_variable(name, shape=[x.shape[1]], initializer=zeros, trainable=trainable) * lrmul
    return fused_bias_act(x, b=tf.cast(bias, x.dtype), act=act, clamp=clamp)


def convolve(x, weight, taps=None, scale=1):
    """Convolve a batch of pictures, on the way to twice or half the size if asked."""
    weight = tf.cast(weight, x.dtype)
    alone = weight.shape[0].value == 1
    if scale == 2 and not alone:
        return upsample_conv_2d(x, weight, data_format="NCHW", k=taps)
    if scale == 0.5 and not alone:
        return conv_downsample_2d(x, weight, data_format="NCHW", k=taps)
    # A weight that sees one pixel may act where the picture is small.
    if scale == 0.5:
        x = downsample_2d(x, data_format="NCHW", k=taps)
    x = tf.nn.conv2d(x, weight, data_format="NCHW", strides=[1, 1, 1, 1], padding="SAME")
    return upsample_2d(x, data_format="NCHW", k=taps) if scale == 2 else x


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

    if x.dtype == tf.float16 and demodulate and not how.fused:
        # Half precision ends at 65504; demodulation takes these factors out again.
        weight *= np.sqrt(1 / np.prod([d.value for d in weight.shape[:-1]])) / tf.reduce_max(
            tf.abs(weight), axis=[0, 1, 2]
        )
        style /= tf.reduce_max(tf.abs(style))

    if demodulate or how.fused:
        weights = weight[np.newaxis] * style[:, np.newaxis, np.newaxis, :, np.newaxis]  # [N, side, side, in, out]
    if demodulate:
        shrink = inverse_norm(weights, axis=[1, 2, 3])  # [N, out]

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
    """Append maps that say how much the members of a group differ; no size means the whole batch."""
    channels, height, width = [d.value for d in x.shape[1:]]
    members = tf.shape(x)[0]
    if group_size is not None:
        members = tf.minimum(group_size, members)
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
    synthesis_func="G_synthesis",
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

    average = tf.get_variable("dlatent_avg", shape=[dlatent_size], initializer=tf.initializers.zeros(), trainable=False)
    state = dict(is_training=is_training, is_validation=is_validation, **kwargs)
    dlatents = tf.cast(components.mapping.get_output_for(latents_in, labels_in, **state), tf.float32)

    if is_training:
        if dlatent_avg_beta is not None:
            dlatents = follow_average(dlatents, average, dlatent_avg_beta)
        if style_mixing_prob is not None:
            others = components.mapping.get_output_for(tf.random_normal(tf.shape(latents_in)), labels_in, **state)
            dlatents = mix_styles(dlatents, tf.cast(others, tf.float32), style_mixing_prob)
    elif truncation_psi is not None and (tflib.is_tf_expression(truncation_psi) or truncation_psi != 1):
        dlatents = truncate(dlatents, average, truncation_psi, truncation_cutoff)

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


def mix_styles(dlatents, others, probability):
    """Take the layers behind a random place from other dlatents, for a share of the samples."""
    with tf.variable_scope("StyleMix"):
        batch, count = tf.shape(dlatents)[0], dlatents.shape[1].value
        mixed = tf.random_uniform([batch, 1, 1]) < probability
        place = tf.random_uniform([batch, 1, 1], 1, count, dtype=tf.int32)
        place = tf.where(mixed, place, tf.fill(tf.shape(place), count))
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
    mapping_fmaps=None,
    mapping_lrmul=0.01,
    mapping_nonlinearity="lrelu",
    normalize_latents=True,
    label_fmaps=None,
    dtype="float32",
    **_kwargs,
):
    """Latents and labels to dlatents."""
    mapping_fmaps = dlatent_size if mapping_fmaps is None else mapping_fmaps
    label_fmaps = latent_size if label_fmaps is None else label_fmaps
    latents_in.set_shape([None, latent_size])
    labels_in.set_shape([None, label_size])
    x = tf.cast(latents_in, dtype)

    if normalize_latents:
        with tf.variable_scope("Normalize"):
            x = unit_vectors(x)
    if label_size > 0:
        with tf.variable_scope("LabelEmbed"):
            y = unit_vectors(bias_act(dense(tf.cast(labels_in, dtype), label_fmaps)))
            x = tf.concat([x, y], axis=1)

    for i in range(mapping_layers):
        with tf.variable_scope(f"Dense{i}"):
            fmaps = dlatent_size if i == mapping_layers - 1 else mapping_fmaps
            x = bias_act(dense(x, fmaps, mapping_lrmul), mapping_nonlinearity, lrmul=mapping_lrmul)

    if dlatent_broadcast is not None:
        with tf.variable_scope("Broadcast"):
            x = tf.tile(x[:, np.newaxis], [1, dlatent_broadcast, 1])
    assert x.dtype == tf.as_dtype(dtype)
    return tf.identity(x, name="dlatents_out")


def noise_maps(top):
    """Make the stored noise: one map at 4x4, two at every other level."""
    maps = []
    for i in range(2 * top - 3):
        side = 2 ** ((i + 5) // 2)
        shape, maker = [1, 1, side, side], tf.initializers.random_normal()
        maps.append(tf.get_variable(f"noise{i}", shape=shape, initializer=maker, trainable=False))
    return maps


def add_noise(x, number, how):
    """Add noise, of which a layer has one strength."""
    if how.randomize_noise:
        noise = tf.random_normal([tf.shape(x)[0], 1, x.shape[2], x.shape[3]], dtype=x.dtype)
    else:
        noise = tf.cast(how.noise[number], x.dtype)
    strength = tf.get_variable("noise_strength", shape=[], initializer=tf.initializers.zeros())
    return x + noise * tf.cast(strength, x.dtype)


def styled_layer(x, dlatents, number, fmaps, how, scale=1):
    """Modulated convolution, noise, bias and bend."""
    x = modulated_conv(x, dlatents[:, number], fmaps, 3, how, scale)
    if how.noise:
        x = add_noise(x, number, how)
    return bias_act(x, how.act, how.clamp)


def to_picture(x, dlatent, num_channels, how):
    """Make a picture from maps, in the type of the pictures."""
    x = bias_act(modulated_conv(x, dlatent, num_channels, 1, how, demodulate=False), clamp=how.clamp)
    return tf.cast(x, how.dtype)


def G_synthesis(
    dlatents_in,
    dlatent_size=512,
    num_channels=3,
    resolution=1024,
    fmap_base=16384,
    fmap_decay=1,
    fmap_min=1,
    fmap_max=512,
    fmap_const=None,
    use_noise=True,
    randomize_noise=True,
    architecture="skip",
    nonlinearity="lrelu",
    dtype="float32",
    num_fp16_res=0,
    conv_clamp=None,
    resample_kernel=[1, 3, 3, 1],  # noqa: B006
    fused_modconv=False,
    **_kwargs,
):
    """Dlatents to pictures."""
    assert architecture in ("orig", "skip", "resnet")
    top, nf = log2_of(resolution), fmap_counter(fmap_base, fmap_decay, fmap_min, fmap_max)
    dtype_of = precision(top, num_fp16_res, dtype)
    dlatents_in.set_shape([None, 2 * top - 2, dlatent_size])
    dlatents = tf.cast(dlatents_in, dtype)
    how = dnnlib.EasyDict(act=nonlinearity, clamp=conv_clamp, taps=resample_kernel, fused=fused_modconv)
    how.update(dtype=dtype, noise=noise_maps(top) if use_noise else [], randomize_noise=randomize_noise)

    picture = None
    for res in range(2, top + 1):
        with level_scope(res):
            if res == 2:
                with tf.variable_scope("Const"):
                    shape = [1, nf(1) if fmap_const is None else fmap_const, 4, 4]
                    x = tf.get_variable("const", shape=shape, initializer=tf.initializers.random_normal())
                    x = tf.tile(tf.cast(x, dtype_of(res)), [tf.shape(dlatents)[0], 1, 1, 1])
                with tf.variable_scope("Conv"):
                    x = styled_layer(x, dlatents, 0, nf(1), how)
            else:
                coarse = x = tf.cast(x, dtype_of(res))
                with tf.variable_scope("Conv0_up"):
                    x = styled_layer(x, dlatents, 2 * res - 5, nf(res - 1), how, scale=2)
                with tf.variable_scope("Conv1"):
                    x = styled_layer(x, dlatents, 2 * res - 4, nf(res - 1), how)
                if architecture == "resnet":
                    with tf.variable_scope("Skip"):
                        weight = weight_variable([1, 1, coarse.shape[1].value, nf(res - 1)])
                        x = (x + convolve(coarse, weight, resample_kernel, scale=2)) * np.sqrt(0.5)
                if picture is not None:
                    picture = upsample_2d(picture, data_format="NCHW", k=resample_kernel)
            if architecture == "skip" or res == top:
                with tf.variable_scope("ToRGB"):
                    fresh = to_picture(x, dlatents[:, 2 * res - 3], num_channels, how)
                    picture = fresh if picture is None else picture + fresh

    assert picture.dtype == tf.as_dtype(dtype)
    return tf.identity(picture, name="images_out")


# ---------------------------------------------------------------- discriminator


def stored_direction(weight):
    """Divide a weight by its largest singular value, which every evaluation estimates a little better."""
    fmaps = weight.shape[-1].value
    matrix = tf.reshape(weight, [-1, fmaps])
    stored = tf.get_variable(
        "weight_sn", shape=[1, fmaps], initializer=tf.initializers.random_normal(), trainable=False
    )
    left = tf.matmul(stored, matrix, transpose_b=True)
    left *= inverse_norm(left, axis=None)
    right = tf.matmul(left, matrix)
    inverse = inverse_norm(right, axis=None)
    with tf.control_dependencies([tf.assign(stored, right * inverse)]):
        return weight * inverse


def draw_bits(batch, count, strength, fade):
    """Draw the bits of PA-GAN: the stronger the augmentation, the more of them may be set."""
    open_share = (strength * count - np.arange(count, dtype=np.float32) - 1) / max(fade, 1e-8) + 1
    chance = tf.clip_by_value(open_share, 0.0, 1.0) * 0.5
    return tf.cast(tf.random_uniform([batch, count]) < chance, tf.float32)


class Critic:
    """The layers of the discriminator, with what all of them share."""

    def __init__(self, how):
        self.how = how
        self.made = 0

    def unfrozen(self):
        """Count a layer; the first ones may be kept as they are."""
        self.made += 1
        return self.made > self.how.freeze_layers

    def shake(self, x):
        """Multiply channels by random numbers (adaptive dropout)."""
        if self.how.dropout == 0:
            return x
        shape = [tf.shape(x)[0], x.shape[1]] + [1] * (x.shape.ndims - 2)
        factors = tf.exp(tf.random_normal(shape) * (self.how.strength * self.how.dropout))
        return x * tf.cast(factors, x.dtype)

    def conv(self, x, fmaps, scale=1):
        """Convolve 3x3, add a bias and bend."""
        trainable = self.unfrozen()
        weight = weight_variable([3, 3, x.shape[1].value, fmaps], trainable=trainable)
        if self.how.use_spectral_norm:
            weight = stored_direction(weight)
        x = self.shake(convolve(x, weight, self.how.taps, scale))
        return bias_act(x, self.how.act, self.how.clamp, trainable=trainable)

    def skip(self, x, fmaps):
        """Carry maps to half the size past a level."""
        weight = weight_variable([1, 1, x.shape[1].value, fmaps], trainable=self.unfrozen())
        return self.shake(convolve(x, weight, self.how.taps, scale=0.5))

    def see(self, picture, fmaps):
        """Make maps from a picture and the bits of PA-GAN."""
        trainable = self.unfrozen()
        x = convolve(picture, weight_variable([1, 1, picture.shape[1].value, fmaps], trainable=trainable))
        if self.how.bits is not None:
            with tf.variable_scope("PAGAN"):
                x += tf.cast(dense(self.how.bits, fmaps)[:, :, np.newaxis, np.newaxis], x.dtype)
        return bias_act(self.shake(x), self.how.act, self.how.clamp, trainable=trainable)

    def shrink(self, x, res, fmaps):
        """Make the maps of the next coarser level; call inside the scope of the level."""
        fine = x
        with tf.variable_scope("Conv0"):
            x = self.conv(x, x.shape[1].value)
        with tf.variable_scope("Conv1_down"):
            x = self.conv(x, fmaps, scale=0.5)
        if self.how.architecture == "resnet":
            with tf.variable_scope("Skip"):
                x = (x + self.skip(fine, fmaps)) * np.sqrt(0.5)
        return x


def embed_labels(labels, fmaps, layers, lrmul, act):
    """Turn labels into the directions in which the features are judged."""
    with tf.variable_scope("LabelEmbed"):
        y = unit_vectors(bias_act(dense(labels, fmaps)))
    for i in range(layers):
        with tf.variable_scope(f"Mapping{i}"):
            y = bias_act(dense(y, fmaps, lrmul), act, lrmul=lrmul)
    return y


def D_main(
    images_in,
    labels_in,
    num_channels=3,
    resolution=1024,
    label_size=0,
    fmap_base=16384,
    fmap_decay=1,
    fmap_min=1,
    fmap_max=512,
    mapping_layers=0,
    mapping_fmaps=None,
    mapping_lrmul=0.1,
    architecture="resnet",
    nonlinearity="lrelu",
    mbstd_group_size=None,
    mbstd_num_features=1,
    dtype="float32",
    num_fp16_res=0,
    conv_clamp=None,
    resample_kernel=[1, 3, 3, 1],  # noqa: B006
    augment_strength=0,
    use_pagan=False,
    pagan_num=16,
    pagan_fade=0.5,
    score_size=1,
    score_max=1,
    use_spectral_norm=False,
    adaptive_dropout=0,
    freeze_layers=0,
    **_kwargs,
):
    """Pictures to scores."""
    assert architecture in ("orig", "skip", "resnet")
    top, nf = log2_of(resolution), fmap_counter(fmap_base, fmap_decay, fmap_min, fmap_max)
    dtype_of = precision(top, num_fp16_res, dtype)
    images_in.set_shape([None, num_channels, resolution, resolution])
    labels_in.set_shape([None, label_size])
    strength = tf.cast(tf.convert_to_tensor(augment_strength), tf.float32)
    bits = draw_bits(tf.shape(images_in)[0], pagan_num, strength, pagan_fade) if use_pagan else None
    critic = Critic(
        dnnlib.EasyDict(
            act=nonlinearity,
            clamp=conv_clamp,
            taps=resample_kernel,
            architecture=architecture,
            strength=strength,
            bits=bits,
            dropout=adaptive_dropout,
            use_spectral_norm=use_spectral_norm,
            freeze_layers=freeze_layers,
        )
    )

    outputs = score_max
    if label_size > 0:
        outputs = nf(0) if mapping_fmaps is None else mapping_fmaps
        directions = embed_labels(tf.cast(labels_in, dtype), outputs, mapping_layers, mapping_lrmul, nonlinearity)

    x, picture = None, tf.cast(images_in, dtype)
    for res in range(top, 1, -1):
        level_dtype = dtype_of(res) if res > 2 else dtype
        with level_scope(res):
            x = None if x is None else tf.cast(x, level_dtype)
            if architecture == "skip" or res == top:
                with tf.variable_scope("FromRGB"):
                    seen = critic.see(tf.cast(picture, level_dtype), nf(res - 1))
                    x = seen if x is None else x + seen
            if res > 2:
                x = critic.shrink(x, res, nf(res - 2))
                if architecture == "skip":
                    picture = downsample_2d(picture, data_format="NCHW", k=resample_kernel)
                continue
            if mbstd_num_features > 0:
                with tf.variable_scope("MinibatchStddev"):
                    x = append_deviation(x, mbstd_group_size, mbstd_num_features)
            with tf.variable_scope("Conv"):
                x = critic.conv(x, nf(1))
            with tf.variable_scope("Dense0"):
                x = bias_act(critic.shake(dense(x, nf(0))), nonlinearity)

    with tf.variable_scope("Output"):
        x = bias_act(dense(x, outputs))
        if label_size > 0:
            x = tf.reduce_sum(x * directions, axis=1, keepdims=True) / np.sqrt(outputs)
        if use_pagan:
            x *= tf.cast(tf.reduce_prod(1 - 2 * bits, axis=1, keepdims=True), x.dtype)
    assert x.dtype == tf.as_dtype(dtype)
    return tf.identity(x[:, :score_size], name="scores_out")
