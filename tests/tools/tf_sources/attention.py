"""Self-attention in the TensorFlow 1 style of skyflynil's fork, to go before the source of StyleGAN2 networks.

Written for this project from its own notes on the file format.
"""

import numpy as np
import tensorflow as tf


def attend(x, name):
    """Add to every position a mixture of the others."""
    fmaps = x.shape[1].value
    with tf.variable_scope(name):
        keys = shrink(spectral_conv(x, fmaps // 8, "f_conv"))
        queries = spectral_conv(x, fmaps // 8, "g_conv")
        values = shrink(spectral_conv(x, fmaps // 2, "h_conv"))
        likeness = tf.matmul(positions(queries), positions(keys), transpose_b=True)
        mixed = tf.matmul(tf.nn.softmax(likeness), positions(values))
        mixed = tf.reshape(tf.transpose(mixed, [0, 2, 1]), [-1, fmaps / 2, x.shape[2], x.shape[3]])
        gamma = tf.get_variable("gamma", [1], initializer=tf.initializers.zeros())
        return gamma * spectral_conv(mixed, fmaps, "attn_conv") + x


def shrink(x):
    """Take the largest of two by two."""
    return tf.layers.max_pooling2d(x, pool_size=2, strides=2, padding="SAME", data_format="channels_first")


def positions(x):
    """Return the positions as rows of their features."""
    return tf.transpose(tf.reshape(x, [-1, x.shape[1], np.prod(x.shape[2:])]), [0, 2, 1])


def spectral_conv(x, fmaps, name):
    """Convolve by a kernel divided by its largest singular value, which every evaluation estimates better."""
    with tf.variable_scope(name):
        kernel = tf.get_variable("kernel", [1, 1, x.shape[1], fmaps], initializer=tf.initializers.random_normal())
        matrix = tf.reshape(kernel, [-1, fmaps])
        u = tf.get_variable("u", [1, fmaps], initializer=tf.initializers.random_normal(), trainable=False)
        v = tf.nn.l2_normalize(tf.matmul(u, matrix, transpose_b=True))
        better = tf.nn.l2_normalize(tf.matmul(v, matrix))
        sigma = tf.matmul(tf.matmul(v, matrix), better, transpose_b=True)
        with tf.control_dependencies([tf.assign(u, better)]):
            kernel = kernel / tf.reshape(sigma, [])
        bias = tf.get_variable("bias", [fmaps], initializer=tf.initializers.zeros())
        x = tf.nn.conv2d(x, kernel, strides=[1, 1, 1, 1], padding="SAME", data_format="NCHW")
        return tf.nn.bias_add(x, bias, data_format="NCHW")
