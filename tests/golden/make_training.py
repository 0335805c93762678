#!/usr/bin/env python3
"""Writes training.txt: the losses of fifty training steps of LivenessNet by PyTorch in float64.

Needs torch and numpy. Weights and pictures are functions of names and positions (philox.py; the same
ones in tests/test_train.c), so only the losses are stored. No dropout; Adam in Keras' form, in which
epsilon is added before the bias is corrected.
"""
import os

import numpy as np
import torch
import torch.nn.functional as F

from philox import fnv1a, unit

BATCH, SIDE, BATCHES, STEPS = 8, 32, 10, 50
RATE, EPSILON = 1e-4, 1e-3
KERNELS = {
    "conv2d/kernel": ((3, 3, 3, 16), 0.125),
    "conv2d_1/kernel": ((3, 3, 16, 16), 0.125),
    "conv2d_2/kernel": ((3, 3, 16, 32), 0.125),
    "conv2d_3/kernel": ((3, 3, 32, 32), 0.125),
    "dense/kernel": ((8 * 8 * 32, 64), 0.0625),
    "dense_1/kernel": ((64, 2), 0.25),
}
f32 = np.float32


def weights():
    values = {}
    for name, (shape, scale) in KERNELS.items():
        u = unit(fnv1a(name), 0, int(np.prod(shape))).astype(f32)
        values[name] = ((f32(2) * u - f32(1)) * f32(scale)).reshape(shape)
        layer = name.split("/")[0]
        values[layer + "/bias"] = np.zeros(shape[-1], f32)
        norm = layer.replace("conv2d", "bn").replace("dense", "bn_dense")
        if layer != "dense_1":
            values[norm + "/gamma"] = np.ones(shape[-1], f32)
            values[norm + "/beta"] = np.zeros(shape[-1], f32)
    return {k: torch.tensor(v.astype(np.float64), requires_grad=True) for k, v in values.items()}


def batch(index):
    """Noise, and a checkerboard whose phase is the label."""
    u = unit(fnv1a("pictures"), index, BATCH * SIDE * SIDE * 3).astype(f32)
    n, i, j = np.meshgrid(np.arange(BATCH), np.arange(SIDE), np.arange(SIDE), indexing="ij")
    board = ((i + j + n) % 2).astype(f32)[..., None]
    x = f32(0.75) * u.reshape(BATCH, SIDE, SIDE, 3) + f32(0.25) * board
    return torch.tensor(x.astype(np.float64)), torch.tensor(np.arange(BATCH) % 2)


def norm(x, w, layer):
    rows = x.reshape(-1, x.shape[-1])
    return F.batch_norm(rows, None, None, w[layer + "/gamma"], w[layer + "/beta"], True, 0.0,
                        float(f32(EPSILON))).reshape(x.shape)


def network(w, x):
    for i, suffix in enumerate(("", "_1", "_2", "_3")):
        kernel, bias = w["conv2d%s/kernel" % suffix], w["conv2d%s/bias" % suffix]
        y = F.conv2d(x.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), bias, padding=1)
        x = norm(F.relu(y).permute(0, 2, 3, 1), w, "bn" + suffix)
        if i % 2:
            x = F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    x = x.flatten(1)
    x = norm(F.relu(x @ w["dense/kernel"] + w["dense/bias"]), w, "bn_dense")
    return x @ w["dense_1/kernel"] + w["dense_1/bias"]


def main():
    w = weights()
    m = {k: torch.zeros_like(v) for k, v in w.items()}
    v = {k: torch.zeros_like(t) for k, t in w.items()}
    rate, b1, b2 = (float(f32(x)) for x in (RATE, 0.9, 0.999))
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "training.txt"), "w") as file:
        for step in range(1, STEPS + 1):
            x, labels = batch((step - 1) % BATCHES)
            loss = F.cross_entropy(network(w, x), labels)
            for tensor in w.values():
                tensor.grad = None
            loss.backward()
            file.write("%.9f\n" % loss.item())
            scaled = rate * (1 - b2 ** step) ** 0.5 / (1 - b1 ** step)
            with torch.no_grad():
                for k, tensor in w.items():
                    m[k].mul_(b1).add_(tensor.grad, alpha=1 - b1)
                    v[k].mul_(b2).addcmul_(tensor.grad, tensor.grad, value=1 - b2)
                    tensor -= scaled * m[k] / (v[k].sqrt() + float(f32(1e-7)))


if __name__ == "__main__":
    main()
