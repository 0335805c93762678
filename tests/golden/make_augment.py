#!/usr/bin/env python3
"""Writes augment.txt: what Keras' apply_affine_transform makes of a small picture.

Needs keras (3.x, the legacy preprocessing module) and scipy. Run: python3 make_augment.py

The picture is a formula that tests/test_augment.c repeats:
    value(y, x, c) = ((31 y + 17 x + 7 c + x y) mod 64) / 63
The height differs from the width, so that exchanged axes are noticed.
"""
import os

import numpy as np
import scipy
from keras.src.legacy.preprocessing.image import apply_affine_transform

HEIGHT, WIDTH, CHANNELS = 12, 15, 3
#        theta,   tx,    ty,  shear, zoom_x, zoom_y, flip
DRAWS = [(0,      0,      0,     0,    1,      1,      0),
         (0,      0,      0,     0,    1,      1,      1),
         (0,      2.25,   0,     0,    1,      1,      0),
         (0,      0,     -1.5,   0,    1,      1,      0),
         (20,     0,      0,     0,    1,      1,      0),
         (0,      0,      0,    30,    1,      1,      0),
         (0,      0,      0,     0,    0.75,   1.25,   1),
         (-17.5,  1.75,  -2.5,   0.15, 1.125,  0.875,  0),
         (13.25, -3.5,    1.25, -9.5,  0.9375, 1.0625, 1)]


def picture():
    y, x, c = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), np.arange(CHANNELS), indexing="ij")
    return ((31 * y + 17 * x + 7 * c + x * y) % 64) / np.float64(63)


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "augment.txt")
    with open(path, "w", encoding="ascii") as out:
        out.write(f"# make_augment.py, scipy {scipy.__version__}: draw, then pixels x 100000\n")
        out.write(f"{len(DRAWS)} {HEIGHT} {WIDTH} {CHANNELS}\n")
        for draw in DRAWS:
            theta, tx, ty, shear, zx, zy, flip = draw
            result = apply_affine_transform(
                picture(), theta=theta, tx=tx, ty=ty, shear=shear, zx=zx, zy=zy,
                row_axis=0, col_axis=1, channel_axis=2, fill_mode="nearest", order=1)
            if flip:
                result = result[:, ::-1]
            out.write(" ".join(f"{v:g}" for v in draw) + "\n")
            for row in np.rint(result * 100000).astype(int).reshape(HEIGHT, -1):
                out.write(" ".join(map(str, row)) + "\n")


if __name__ == "__main__":
    main()
