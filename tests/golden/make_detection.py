#!/usr/bin/env python3
"""Writes detection.inc: what the PriorBox and DetectionOutput layers of OpenCV 4 make of numbers that
are functions of a case's name (philox.py, tests/numbers.h). See test_detection.c.

Needs numpy and opencv-python 4.x (5.0 has no Caffe importer). Run: python3 make_detection.py
"""
import os

import cv2
import numpy as np

from philox import fill, fnv1a

HERE = os.path.dirname(os.path.abspath(__file__))
VARIANCE = [0.1, 0.125, 0.2, 0.25]

# name, (map rows, columns), (picture rows, columns), PriorBox, DetectionOutput, shape of the numbers:
# locations are `spread` times numbers in [-1, 1), confidences have so many `levels` (0: all).
CASES = [
    ("plain", (6, 5), (50, 40), dict(min_size=12, max_size=20, aspect_ratio=[2], flip=True),
     dict(classes=2, overlap=0.45, most_before=60, most=40, least=0.1), dict(spread=1)),
    ("steps_and_clip", (4, 7), (60, 90), dict(min_size=25.5, aspect_ratio=[3, 2, 3], flip=False,
                                            clip=True, step_h=14, step_w=12.5, offset=0.25),
     dict(classes=2, overlap=0.3, most_before=400, most=50, least=0.5), dict(spread=2)),
    ("several_classes", (5, 5), (64, 64), dict(min_size=15, max_size=24, aspect_ratio=[2, 3],
                                             flip=True, step=12),
     dict(classes=5, overlap=0.4, most_before=30, most=25, least=0.2), dict(spread=1)),
    ("other_background", (3, 3), (30, 30), dict(min_size=14), dict(
        classes=3, background=2, overlap=0.5, most_before=-1, most=100, least=0.01), dict(spread=1)),
    ("no_background", (3, 4), (30, 40), dict(min_size=14), dict(
        classes=2, background=-1, overlap=0.25, most_before=-1, most=100, least=0.01),
     dict(spread=1)),
    ("variance_encoded", (4, 4), (40, 40), dict(min_size=14, aspect_ratio=[2]), dict(
        classes=2, overlap=0.45, most_before=20, most=20, least=0.1, encoded=True),
     dict(spread=0.5)),
    ("ties", (5, 6), (50, 60), dict(min_size=14), dict(
        classes=2, overlap=0.3, most_before=25, most=16, least=0.1), dict(spread=1, levels=4)),
    ("nothing", (3, 3), (30, 30), dict(min_size=14), dict(
        classes=2, overlap=0.45, most_before=20, most=20, least=1.0), dict(spread=1)),
    ("all_overlap", (5, 5), (10, 10), dict(min_size=400), dict(
        classes=2, overlap=0.45, most_before=200, most=20, least=0.0), dict(spread=0.1)),
    ("one_kept", (5, 5), (50, 50), dict(min_size=9), dict(
        classes=3, overlap=0.45, most_before=200, most=1, least=0.0), dict(spread=1)),
    ("one_before", (5, 5), (50, 50), dict(min_size=9), dict(
        classes=4, overlap=0.45, most_before=1, most=9, least=0.0), dict(spread=1)),
    ("wild", (5, 5), (50, 50), dict(min_size=9, max_size=30), dict(
        classes=2, overlap=0.7, most_before=100, most=60, least=0.0), dict(spread=30)),
]


def layer(kind, bottoms, top, block, values):
    lines = ['layer { name: "%s" type: "%s"' % (top, kind)]
    lines += ['bottom: "%s"' % name for name in bottoms]
    lines += ['top: "%s"' % top, block + " {"]
    for key, value in values:
        lines.append("%s: %s" % (key, str(value).lower() if isinstance(value, bool) else value))
    return "\n".join(lines) + "} }\n"


def entry(name, shape):
    return 'input: "%s" input_shape { %s }\n' % (name, " ".join("dim: %d" % n for n in shape))


def forward(text, inputs, output):
    net = cv2.dnn.readNetFromCaffe(np.frombuffer(text.encode(), np.uint8))
    for name, value in inputs.items():
        net.setInput(np.ascontiguousarray(value, np.float32), name)
    return net.forward(output).copy()


def prior_box(chart, picture, options):
    values = [("variance", v) for v in VARIANCE]
    for key, value in options.items():
        values += [(key, v) for v in (value if isinstance(value, list) else [value])]
    values += [(key, False) for key in ("flip", "clip") if key not in options]
    shapes = {"map": (1, 1) + chart, "picture": (1, 3) + picture}
    text = "".join(entry(name, shape) for name, shape in shapes.items())
    text += layer("PriorBox", shapes, "priors", "prior_box_param", values)
    return forward(text, {k: np.zeros(v) for k, v in shapes.items()}, "priors")


def detect(locations, confidences, priors, options):
    encoded = options.get("encoded", False)
    background = options.get("background", 0)
    if background < 0:
        background = options["classes"]  # OpenCV stumbles over -1 when the locations are shared
    inputs = {"locations": locations, "confidences": confidences,
              "priors": priors[:, :1] if encoded else priors}
    text = "".join(entry(name, value.shape) for name, value in inputs.items())
    text += layer("DetectionOutput", inputs, "out", "detection_output_param", [
        ("num_classes", options["classes"]), ("share_location", True),
        ("background_label_id", background),
        ("nms_param { nms_threshold", "%r top_k: %d }" % (options["overlap"],
                                                        options["most_before"])),
        ("code_type", "CENTER_SIZE"), ("keep_top_k", options["most"]),
        ("confidence_threshold", options["least"]), ("variance_encoded_in_target", encoded)])
    rows = forward(text, inputs, "out").reshape(-1, 7)
    return rows[rows[:, 2] > 0]


def numbers(values):
    return ", ".join("%.9g" % value for value in np.ravel(values))


def c_options(prior, detection, count):
    """The designated initialisers of a case's options."""
    ratios = prior.get("aspect_ratio", [])
    most = [prior["max_size"]] if "max_size" in prior else []
    step = prior.get("step", 0)
    yield ".prior = {.min_size = {%s}, .min_sizes = 1, .max_size = {%s}, .max_sizes = %d," % (
        numbers([prior["min_size"]]), numbers(most or [0]), len(most))
    yield " .aspect_ratio = {%s}, .aspect_ratios = %d, .flip = %d, .clip = %d," % (
        numbers(ratios or [0]), len(ratios), prior.get("flip", False), prior.get("clip", False))
    yield " .variance = {%s}, .step_h = %g, .step_w = %g, .offset = %g}," % (
        numbers(np.float32(VARIANCE)), prior.get("step_h", step), prior.get("step_w", step),
        prior.get("offset", 0.5))
    yield ".detection = {.classes = %d, .background = %d, .shared = true," % (
        detection["classes"], detection.get("background", 0))
    yield " .variance_encoded = %d, .least_confidence = %s, .overlap = %s," % (
        detection.get("encoded", False), numbers(np.float32([detection["least"]])),
        numbers(np.float32([detection["overlap"]])))
    yield " .most_before = %d, .most = %d}, .count = %d," % (
        detection["most_before"], detection["most"], count)


def write(out, case):
    name, chart, picture, prior, detection, shape = case
    priors = prior_box(chart, picture, prior)
    count = priors.shape[2] // 4
    seed = fnv1a(name)
    locations = fill("i", seed, 0, (1, count * 4)) * shape["spread"]
    confidences = fill("u", seed, 1, (1, count * detection["classes"]))
    levels = shape.get("levels", 0)
    if levels:
        confidences = np.floor(confidences * levels) / levels
    rows = detect(locations, confidences, priors, detection)
    out.write('{.name = "%s", .map = {%d, %d}, .picture = {%d, %d}, .spread = %g, .levels = %d,\n'
              % ((name,) + chart + picture + (shape["spread"], levels)))
    for line in c_options(prior, detection, len(rows)):
        out.write(line + "\n")
    out.write(".priors = %d, .last_prior = {%s},\n" % (count, numbers(priors[0, 0, -4:])))
    # A weighted sum stands for all of them: each number times its place, counted from 1.
    places = np.arange(1, count * 4 + 1)
    out.write(".prior_sum = %.12g,\n" % (priors[0, 0].astype(np.float64) * places).sum())
    out.write(".rows = (const float[][6]){")
    for row in rows:
        out.write("{%s},\n" % numbers(row[1:]))
    out.write("{0}}},\n")
    return len(rows)


def main():
    with open(os.path.join(HERE, "detection.inc"), "w", encoding="ascii") as out:
        out.write("/* make_detection.py, OpenCV %s */\n" % cv2.__version__)
        for case in CASES:
            print(case[0], write(out, case))


if __name__ == "__main__":
    main()
