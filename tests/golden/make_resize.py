#!/usr/bin/env python3
"""Writes resize.inc: checksums of pictures that cv2.resize made of noise (see test_resize.c).

Needs numpy and opencv-python. Run: python3 make_resize.py
"""
import os

import cv2
import numpy as np


def noise(width, height, channels):
    state = (width * 7919 + height * 104729 + channels) & 0xffffffff
    values = np.empty(width * height * channels, np.uint8)
    for i in range(values.size):
        state = (state * 1664525 + 1013904223) & 0xffffffff
        values[i] = state >> 24
    return values.reshape(height, width, channels)


def fnv(data):
    hashed = 2166136261
    for byte in data:
        hashed = ((hashed ^ byte) * 16777619) & 0xffffffff
    return hashed


def main():
    rng = np.random.default_rng(1)
    sizes = [(1, 1, 5, 7), (9, 1, 4, 1), (1, 9, 1, 4), (64, 48, 32, 24), (64, 48, 32, 48),
             (63, 48, 31, 24), (32, 32, 32, 32), (16, 16, 32, 32), (2, 2, 1, 1), (150, 113, 32, 32)]
    sizes += [tuple(int(v) for v in rng.integers(1, 70, 4)) for _ in range(90)]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "resize.inc")
    with open(path, "w", encoding="ascii") as out:
        out.write(f"/* make_resize.py, OpenCV {cv2.__version__} */\n")
        for i, (w, h, width, height) in enumerate(sizes):
            channels = (3, 1, 4)[i % 3]
            made = cv2.resize(noise(w, h, channels), (width, height))
            out.write(f"{{{w}, {h}, {width}, {height}, {channels}, {fnv(made.tobytes())}u}},\n")


if __name__ == "__main__":
    main()
