#!/usr/bin/env python3
"""Writes keras.txt: what Keras' own LivenessNet answers, in float64, to eight pictures.

Needs keras with any backend. Weights and pictures are functions of names and positions (philox.py;
the same ones in tests/test_keras.c), so only the answers are stored.
"""
import os

os.environ.setdefault("KERAS_BACKEND", "torch")
import sys

sys.modules["tensorflow"] = None  # where it is installed it collides with PyTorch
import keras
import numpy as np

from philox import fnv1a, unit

SCALES = {"kernel": 0.25, "bias": 0.25, "beta": 0.5, "moving_mean": 0.5}
layers = keras.layers


def livenessnet():
    net = keras.Sequential([keras.Input((32, 32, 3))])
    for filters in (16, 32):
        for _ in range(2):
            net.add(layers.Conv2D(filters, (3, 3), padding="same"))
            net.add(layers.Activation("relu"))
            net.add(layers.BatchNormalization(axis=-1))
        net.add(layers.MaxPooling2D(pool_size=(2, 2)))
        net.add(layers.Dropout(0.25))
    net.add(layers.Flatten())
    net.add(layers.Dense(64))
    net.add(layers.Activation("relu"))
    net.add(layers.BatchNormalization())
    net.add(layers.Dropout(0.5))
    net.add(layers.Dense(2))
    net.add(layers.Activation("softmax"))
    return net


def main():
    keras.config.set_floatx("float64")
    net = livenessnet()
    for variable in net.variables:
        layer, kind = variable.path.split("/")[-2:]
        if kind not in (*SCALES, "gamma", "moving_variance"):
            continue
        u = unit(fnv1a(f"{layer}/{kind}"), 0, int(np.prod(variable.shape)))
        values = (2 * u - 1) * SCALES[kind] if kind in SCALES else u + 0.5
        if layer == "dense" and kind == "kernel":
            values /= 8
        variable.assign(np.asarray(values, np.float32).astype(np.float64).reshape(variable.shape))
    pictures = unit(fnv1a("pictures"), 0, 8 * 32 * 32 * 3).reshape(8, 32, 32, 3)
    answers = net.predict(pictures, verbose=0)
    here = os.path.dirname(os.path.abspath(__file__))
    np.savetxt(os.path.join(here, "keras.txt"), answers, fmt="%.17g")


if __name__ == "__main__":
    main()
