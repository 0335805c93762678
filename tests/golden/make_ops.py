#!/usr/bin/env python3
"""Writes ops.safetensors: values and gradients of tests/op_cases.inc from PyTorch in float64.

Needs torch and numpy. Inputs are functions of the case's name (philox.py, tests/numbers.h), so only
the results are stored: y, d<i> = the gradient of sum(y * r) with respect to tensor i for a
random r, and s<i> = states after the step.
"""
import json
import os
import re
import struct

import numpy as np
import torch
import torch.nn.functional as F

from philox import fill, fnv1a

HERE = os.path.dirname(os.path.abspath(__file__))
GRADIENT_STREAM = 100


def same(size, kernel, stride, dilation=1):
    """TensorFlow's padding: before, after."""
    out = -(-size // stride)
    needed = max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return needed // 2, needed - needed // 2


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def conv(x, w, b=None, pad="same", stride=(1, 1), dilation=(1, 1), groups=1):
    if pad == "same":
        (top, bottom), (left, right) = (
            same(x.shape[1 + i], w.shape[i], stride[i], dilation[i]) for i in (0, 1))
    else:
        top, left, bottom, right = pad or (0, 0, 0, 0)
    padded = F.pad(nchw(x), (left, right, top, bottom))
    return nhwc(F.conv2d(padded, w.permute(3, 2, 0, 1), b, stride, 0, dilation, groups))


def conv_transpose(pad=(0, 0, 0, 0), stride=1, dilation=1, groups=1):
    """Pads are cut off the full result: top, left, bottom, right."""
    def run(x, w, b=None):
        full = nhwc(F.conv_transpose2d(nchw(x), w.permute(2, 3, 0, 1), b, stride, 0, 0, groups,
                                       dilation))
        top, left, bottom, right = pad
        return full[:, top:full.shape[1] - bottom, left:full.shape[2] - right]
    return run


def same_max(x, size, stride):
    (top, bottom), (left, right) = (same(x.shape[1 + i], size[i], stride[i]) for i in (0, 1))
    padded = F.pad(nchw(x), (left, right, top, bottom), value=-1e30)
    return nhwc(F.max_pool2d(padded, size, stride))


def same_avg(x, size, stride, counted):
    (top, bottom), (left, right) = (same(x.shape[1 + i], size[i], stride[i]) for i in (0, 1))
    edges = (left, right, top, bottom)
    mean = F.avg_pool2d(F.pad(nchw(x), edges), size, stride)
    inside = F.avg_pool2d(F.pad(torch.ones_like(nchw(x)), edges), size, stride)
    return nhwc(mean if counted else mean / inside)


def max_pool(x, size, stride=None, pad=0, ceil=False):
    return nhwc(F.max_pool2d(nchw(x), size, stride, pad, ceil_mode=ceil))


def avg_pool(x, size, stride=None, pad=0, ceil=False, counted=False):
    return nhwc(F.avg_pool2d(nchw(x), size, stride, pad, ceil, counted))


def batch_norm(momentum, epsilon, training=True):
    def run(x, gamma, beta, mean, variance):
        if not training:
            return F.batch_norm(x.reshape(-1, x.shape[-1]), mean, variance, gamma, beta, False,
                                0.0, epsilon).reshape(x.shape)
        rows = x.reshape(-1, x.shape[-1])
        y = F.batch_norm(rows, None, None, gamma, beta, True, 0.0, epsilon).reshape(x.shape)
        # Keras: the running variance takes the biased one.
        with torch.no_grad():
            mean.mul_(momentum).add_((1 - momentum) * rows.mean(0))
            variance.mul_(momentum).add_((1 - momentum) * rows.var(0, unbiased=False))
        return y
    return run


def softmax_cross_entropy(x, t, smoothing=0.0, weights=None):
    k = x.shape[1]
    log_p = F.log_softmax(x, 1)
    entropy = -((t * (1 - smoothing) + smoothing / k) * log_p).sum(1)
    w = torch.ones(k, dtype=x.dtype) if weights is None else torch.tensor(weights, dtype=x.dtype)
    return ((t @ w) * entropy).sum().reshape(1) / x.shape[0]


def binary_cross_entropy(x, t, smoothing=0.0, weights=(1.0, 1.0)):
    smoothed = t * (1 - smoothing) + smoothing / 2
    entropy = F.binary_cross_entropy_with_logits(x, smoothed, reduction="none")
    return (((1 - t) * weights[0] + t * weights[1]) * entropy).mean().reshape(1)


def prior_box(min_size, max_size=(), ratios=(), flip=False, clip=False, step=None):
    """Caffe-SSD's PriorBox: numpy, since PyTorch has none."""
    def run(chart, picture):
        kept = []
        for a in ratios:
            if all(abs(a - b) > 1e-6 for b in [1.0] + kept):
                kept += [a, 1 / a] if flip else [a]
        sizes = []
        for i, m in enumerate(min_size):
            sizes += [(m, m)] + [(np.sqrt(m * s),) * 2 for s in max_size[i:i + 1]]
            sizes += [(m * np.sqrt(a), m / np.sqrt(a)) for a in kept]
        whole = np.array(picture.shape[1:3])
        grid = np.array(chart.shape[1:3])
        y, x = np.indices(grid)[..., None] + 0.5
        down, right = whole / grid if step is None else step
        w, h = np.array(sizes).T
        boxes = np.stack([(x * right - w / 2) / whole[1], (y * down - h / 2) / whole[0],
                          (x * right + w / 2) / whole[1], (y * down + h / 2) / whole[0]], -1)
        if clip:
            boxes = boxes.clip(0, 1)
        variance = np.broadcast_to([f32(0.1), 0.125, f32(0.2), 0.25], boxes.shape)
        return torch.tensor(np.stack([boxes.ravel(), variance.ravel()])[None])
    return run


def detection_output(classes, background=0, encoded=False, least=0.0, overlap=0.5, before=None,
                     most=1):
    """Caffe-SSD's DetectionOutput, in numpy."""
    def area(b):
        return np.prod(np.maximum(b[..., 2:] - b[..., :2], 0), -1)

    def suppress(boxes, order):
        kept = []
        for i in order:
            both = np.concatenate([np.maximum(boxes[i, :2], boxes[kept, :2]),
                                   np.minimum(boxes[i, 2:], boxes[kept, 2:])], -1)
            shared = area(both)
            if np.all(shared <= overlap * (area(boxes[i]) + area(boxes[kept]) - shared)):
                kept.append(i)
        return kept

    def run(locations, confidences, chart, picture):
        priors = prior_box([9], (), [2], flip=True)(chart, picture)[0]
        boxes, variances = priors.numpy().reshape(2, -1, 4)
        size, centre = boxes[:, 2:] - boxes[:, :2], (boxes[:, 2:] + boxes[:, :2]) / 2
        y = np.zeros((len(locations), 1, most, 7))
        y[..., 1] = -1
        for n, (moves, scores) in enumerate(zip(locations.detach().numpy(),
                                                confidences.detach().numpy())):
            moves = moves.reshape(-1, 4) * (1 if encoded else variances)
            scores = scores.reshape(-1, classes)
            middle, half = centre + moves[:, :2] * size, size * np.exp(moves[:, 2:]) / 2
            found = np.concatenate([middle - half, middle + half], -1)
            rows = []
            for label in range(classes):
                if label == background:
                    continue
                order = np.argsort(-scores[:, label], kind="stable")
                order = [i for i in order if scores[i, label] > least][:before]
                rows += [(n, label, scores[i, label], *found[i]) for i in suppress(found, order)]
            rows = sorted(rows, key=lambda row: -row[2])[:most]
            y[n, 0, :len(rows)] = rows
        return torch.tensor(y)
    return run


def f32(value):
    """A constant as C's float holds it."""
    return float(np.float32(value))


RULES = {
    "relu.*": F.relu,
    "leaky_relu.plain": lambda x: F.leaky_relu(x, 0.25),
    "leaky_relu.zero": F.relu,
    "prelu.*": lambda x, slope: torch.where(x > 0, x, slope * x),
    "sigmoid.*": torch.sigmoid,
    "softmax.*": lambda x: F.softmax(x, -1),
    "conv2d.same_*": conv,
    "conv2d.valid*": lambda x, w, b: conv(x, w, b, None),
    "conv2d.pointwise": conv,
    "conv2d.pointwise_stride": lambda x, w, b: conv(x, w, b, stride=(2, 2)),
    "conv2d.stride_same": lambda x, w, b: conv(x, w, b, stride=(2, 2)),
    "conv2d.stride_valid": lambda x, w, b: conv(x, w, b, None, (3, 2)),
    "conv2d.stride_over_kernel": lambda x, w, b: conv(x, w, b, stride=(3, 4)),
    "conv2d.explicit": lambda x, w, b: conv(x, w, b, (2, 1, 0, 3)),
    "conv2d.explicit_stride": lambda x, w, b: conv(x, w, b, (3, 3, 3, 3), (2, 2)),
    "conv2d.explicit_far": lambda x, w, b: conv(x, w, b, (4, 0, 1, 5)),
    "conv2d.dilated": lambda x, w, b: conv(x, w, b, dilation=(2, 2)),
    "conv2d.dilated_valid": lambda x, w, b: conv(x, w, b, None, dilation=(3, 4)),
    "conv2d.dilated_stride": lambda x, w, b: conv(x, w, b, (6, 6, 6, 6), (2, 1), (6, 6)),
    "conv2d.groups": lambda x, w, b: conv(x, w, b, groups=2),
    "conv2d.groups_stride": lambda x, w, b: conv(x, w, b, stride=(2, 2), groups=3),
    "conv2d.depthwise": lambda x, w, b: conv(x, w, b, groups=16),
    "conv2d.depthwise_stride": lambda x, w, b: conv(x, w, b, stride=(2, 2), groups=5),
    "conv2d.depth_multiplier": lambda x, w, b: conv(x, w, b, dilation=(2, 1), groups=3),
    "conv2d.*": conv,
    "conv2d_transpose.plain": conv_transpose(),
    "conv2d_transpose.default_options": conv_transpose(),
    "conv2d_transpose.twice": conv_transpose((1, 1, 1, 1), 2),
    "conv2d_transpose.uneven": conv_transpose((2, 1, 0, 3), (3, 2)),
    "conv2d_transpose.dilated": conv_transpose((3, 0, 1, 2), (1, 2), (2, 3)),
    "conv2d_transpose.stride_over_kernel": conv_transpose(stride=(4, 3)),
    "conv2d_transpose.cut_away": conv_transpose((3, 0, 2, 4), 2),
    "conv2d_transpose.groups": conv_transpose((1, 1, 1, 1), 2, groups=2),
    "conv2d_transpose.depthwise": conv_transpose((1, 1, 1, 1), 2, groups=5),
    "conv2d_transpose.depth_multiplier": conv_transpose(stride=(2, 1), groups=3),
    "conv2d_transpose.narrowing_groups": conv_transpose((1, 1, 1, 1), groups=2),
    "conv2d_transpose.inference": conv_transpose((1, 1, 1, 1), 2),
    "dense.no_bias": lambda x, w: x @ w,
    "dense.*": lambda x, w, b: x @ w + b,
    "batch_norm.map": batch_norm(f32(0.9), f32(1e-3)),
    "batch_norm.odd": batch_norm(f32(0.99), f32(1e-5)),
    "batch_norm.rows": batch_norm(f32(0.99), f32(1e-3)),
    "batch_norm.many_rows": batch_norm(0.5, f32(1e-3)),
    "batch_norm.inference": batch_norm(f32(0.99), f32(1e-3), training=False),
    "max_pool.two*": lambda x: max_pool(x, 2),
    "max_pool.same": lambda x: same_max(x, (3, 3), (2, 2)),
    "max_pool.overlap": lambda x: max_pool(x, (3, 2), 1),
    "max_pool.ceil": lambda x: max_pool(x, 3, 2, ceil=True),
    "max_pool.ceil_padded": lambda x: max_pool(x, 3, 2, 1, True),
    "max_pool.explicit": lambda x: max_pool(x, 3, 2, 1),
    "max_pool.one": lambda x: max_pool(x, 1, (2, 1)),
    "avg_pool.two": lambda x: avg_pool(x, 2),
    "avg_pool.same": lambda x: same_avg(x, (3, 3), (2, 2), False),
    "avg_pool.same_counted": lambda x: same_avg(x, (3, 3), (2, 2), True),
    "avg_pool.overlap": lambda x: avg_pool(x, (3, 2), 1),
    "avg_pool.ceil": lambda x: avg_pool(x, 3, 2, ceil=True),
    "avg_pool.ceil_counted": lambda x: avg_pool(x, 3, 2, 1, True, True),
    "avg_pool.explicit": lambda x: avg_pool(x, 3, 2, 1),
    "avg_pool.explicit_counted": lambda x: avg_pool(x, 3, 2, 1, counted=True),
    "global_avg_pool.*": lambda x: x.mean((1, 2)),
    "reshape.rest": lambda x: x.reshape(x.shape[0], 2, -1, 3),
    "flatten.*": lambda x: x.flatten(1),
    "permute.to_nchw": lambda x: x.permute(0, 3, 1, 2),
    "permute.to_nhwc": lambda x: x.permute(0, 2, 3, 1),
    "permute.columns_first": lambda x: x.permute(0, 3, 2, 1),
    "permute.channels_stay": lambda x: x.permute(0, 2, 1, 3),
    "permute.rows_stay": lambda x: x.permute(0, 1, 3, 2),
    "permute.three_axes": lambda x: x.permute(0, 2, 1),
    "permute.*": lambda x: x.clone(),
    "crop.middle": lambda x: x[:, 2:4, 3:6, 1:3],
    "crop.end": lambda x: x[:, 3:, 4:, 2:],
    "crop.whole": lambda x: x.clone(),
    "crop.vectors": lambda x: x[:, 2:7],
    "concat.channels": lambda *x: torch.cat(x, 3),
    "concat.rows": lambda *x: torch.cat(x, 1),
    "add.plain": lambda a, b: a + b,
    "add.twice": lambda a: a + a,
    "mul.plain": lambda a, b: a * b,
    "mul.square": lambda a: a * a,
    "maximum.plain": torch.maximum,
    "maximum.twice": lambda a: a.clone(),
    "scale_shift.plain": lambda x, scale, shift: x * scale + shift,
    "scale_shift.no_shift": lambda x, scale: x * scale,
    "l2_normalize.plain":
        lambda x, scale: scale * x / torch.sqrt((x * x).sum(-1, True) + f32(1e-3)),
    "l2_normalize.wide":
        lambda x, scale: scale * x / torch.sqrt((x * x).sum(-1, True) + f32(1e-10)),
    "prior_box.plain": prior_box([8], [18], [2, 3], flip=True, step=(10, 9)),
    "prior_box.bare": prior_box([7.5]),
    "prior_box.several_clipped":
        prior_box([5, 20.5], [11, 30], [1, 0.5, 0.5, 3], clip=True),
    "prior_box.inverse_given": prior_box([5, 6, 7], (), [2, 0.5, 1.0000001, 4], flip=True),
    "detection_output.one_class":
        detection_output(2, least=0.25, overlap=0.45, before=40, most=30),
    "detection_output.three_classes":
        detection_output(4, 1, least=0.1, overlap=0.3, before=25, most=20),
    "detection_output.no_background":
        detection_output(2, -1, encoded=True, overlap=0.2, most=150),
    "softmax_cross_entropy.smooth_weighted":
        lambda x, t: softmax_cross_entropy(x, t, 0.125, [0.5, 2.0, 1.25]),
    "softmax_cross_entropy.*": softmax_cross_entropy,
    "binary_cross_entropy.smooth_weighted":
        lambda x, t: binary_cross_entropy(x, t, 0.125, (0.5, 2.0)),
    "binary_cross_entropy.*": binary_cross_entropy,
}


def rule(name):
    for pattern, function in RULES.items():
        if pattern == name or (pattern[-1] == "*" and name.startswith(pattern[:-1])):
            return function
    raise SystemExit("no rule for " + name)


def run(name, mode, roles, shapes):
    seed = fnv1a(name)
    x = [torch.tensor(fill(role, seed, i, shape)) for i, (role, shape) in
         enumerate(zip(roles, shapes))]
    for role, tensor in zip(roles, x):
        tensor.requires_grad_(role not in "sv")
    y = rule(name)(*x)
    result = {"y": y}
    if mode == "TRAINING":
        r = torch.tensor(fill("i", seed, GRADIENT_STREAM, tuple(y.shape)))
        (y * r).sum().backward()
        for i, role in enumerate(roles):
            result["s%d" % i if role in "sv" else "d%d" % i] = x[i] if role in "sv" else x[i].grad
    return {"%s.%s" % (name, key): value.detach().numpy() for key, value in result.items()}


def write(path, tensors):
    header, place = {}, 0
    for name, value in tensors.items():
        size = value.size * 4
        header[name] = {"dtype": "F32", "shape": list(value.shape),
                        "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for value in tensors.values():
            file.write(np.ascontiguousarray(value, np.float32).tobytes())


def main():
    with open(os.path.join(HERE, "..", "op_cases.inc")) as file:
        rows = re.findall(r'OP_CASE\((\w+), (\w+), (\w+), "(\w+)", "([\dx ]+)"', file.read())
    tensors = {}
    for op, case, mode, roles, shapes in rows:
        shapes = [tuple(map(int, shape.split("x"))) for shape in shapes.split()]
        if mode != "RANDOM":
            tensors.update(run(op + "." + case, mode, roles, shapes))
    write(os.path.join(HERE, "ops.safetensors"), tensors)


if __name__ == "__main__":
    main()
