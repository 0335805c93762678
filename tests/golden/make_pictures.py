#!/usr/bin/env python3
"""Writes pictures/: small files of many kinds, and beside each (name.ppm) what OpenCV reads.

Needs numpy, opencv-python and pillow. Run: python3 make_pictures.py
"""
import os
import struct
import zlib

import cv2
import numpy as np
from PIL import Image, ImageOps

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pictures")
WIDTH, HEIGHT = 21, 18


def drawing():
    """A disc on a two-way gradient, 16 bits per sample, RGB."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    disc = np.clip(6.5 - np.hypot(x - 9, y - 8), 0, 1)
    red = x / (WIDTH - 1) * (1 - disc) + 0.9 * disc
    green = y / (HEIGHT - 1) * (1 - disc) + 0.6 * disc
    blue = (1 - x / (WIDTH - 1)) * (1 - disc) + 0.3 * disc
    return np.rint(np.stack([red, green, blue], axis=2) * 65535).astype(np.uint16)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(bits, kind, rows, extra=b"", interlace=0):
    """`rows`: packed bytes of each row (of each pass); filter 0."""
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, kind, 0, 0, interlace)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    half = len(data) // 2
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data[:half]) +
            chunk(b"IDAT", data[half:]) + chunk(b"IEND", b""))


def adam7(pixels):
    for y0, x0, dy, dx in ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2),
                           (0, 1, 2, 2), (1, 0, 2, 1)):
        part = pixels[y0::dy, x0::dx]
        if part.size:
            yield from (row.tobytes() for row in part)


def packed(indices, bits):
    for row in indices:
        text = "".join(format(int(v), f"0{bits}b") for v in row)
        text += "0" * (-len(text) % 8)
        yield int(text, 2).to_bytes(len(text) // 8, "big")


def save(name, data):
    with open(os.path.join(FOLDER, name), "wb") as out:
        out.write(data)


def main():
    os.makedirs(FOLDER, exist_ok=True)
    deep = drawing()
    rgb = (deep >> 8).astype(np.uint8)
    gray = rgb[..., 1]
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[:4] = 0
    big = deep.astype(">u2")
    save("rgb.png", png(8, 2, [r.tobytes() for r in rgb]))
    save("interlaced.png", png(8, 2, list(adam7(rgb)), interlace=1))
    save("rgb16.png", png(16, 2, [r.tobytes() for r in big]))
    save("gray16.png", png(16, 0, [r.tobytes() for r in big[..., 1]]))
    save("gray8.png", png(8, 0, [r.tobytes() for r in gray]))
    save("gray4.png", png(4, 0, packed(gray >> 4, 4)))
    save("gray1.png", png(1, 0, packed(gray >> 7, 1)))
    save("rgba.png", png(8, 6, [r.tobytes() for r in np.concatenate([rgb, alpha], axis=2)]))
    save("graya.png", png(8, 4, [r.tobytes() for r in np.dstack([gray, alpha])]))
    colors = b"".join(bytes((40 * i, 255 - 30 * i, 17 * i)) for i in range(6))
    index = (gray // 43).astype(np.uint8)
    save("palette8.png", png(8, 3, [r.tobytes() for r in index], chunk(b"PLTE", colors)))
    save("palette4.png", png(4, 3, packed(index, 4), chunk(b"PLTE", colors)))
    save("palette_alpha.png", png(8, 3, [r.tobytes() for r in index],
                                  chunk(b"PLTE", colors) + chunk(b"tRNS", b"\0\x80")))

    picture = Image.fromarray(rgb)

    def jpeg(name, image, **options):
        image.save(os.path.join(FOLDER, name), quality=92, **options)

    jpeg("444.jpg", picture, subsampling=0)
    jpeg("420.jpg", picture, subsampling=2)
    jpeg("422.jpg", picture, subsampling=1)
    jpeg("progressive.jpg", picture, subsampling=2, progressive=True)
    jpeg("restart.jpg", picture, subsampling=2, restart_marker_blocks=1)
    jpeg("gray.jpg", picture.convert("L"))
    jpeg("cmyk.jpg", picture.convert("CMYK"))
    # The same four planes, called YCCK: odd colours, but the same odd colours for everybody.
    data = open(os.path.join(FOLDER, "cmyk.jpg"), "rb").read()
    at = data.index(b"Adobe") + 11
    save("ycck.jpg", data[:at] + b"\2" + data[at + 1:])

    # The eight ways to hold a camera; every second one in the other order of bytes.
    def exif(orientation):
        data = Image.Exif()
        data.endian = "<>"[orientation % 2]
        data[0x010f] = "nobody"
        data[0x0112] = orientation
        data.get_ifd(0x8769)[0x9003] = "2000:01:01 00:00:00"
        return data.tobytes()

    for orientation in range(1, 9):
        jpeg(f"exif{orientation}.jpg", picture, subsampling=0, exif=exif(orientation))
    tiff = exif(6)[len(b"Exif\0\0"):]
    save("exif6.png", png(8, 2, [r.tobytes() for r in rgb], chunk(b"eXIf", tiff)))

    for name in sorted(os.listdir(FOLDER)):
        if name.endswith(".ppm"):
            continue
        path = os.path.join(FOLDER, name)
        read = cv2.imread(path, cv2.IMREAD_COLOR)
        with open(path + ".ppm", "wb") as out:
            out.write(b"P6 %d %d 255\n" % read.shape[1::-1] + read[..., ::-1].tobytes())
        other = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        other = np.asarray(other).astype(int)
        print(name, os.path.getsize(path), "Pillow differs by",
              np.abs(other - read[..., ::-1]).max())


if __name__ == "__main__":
    main()
