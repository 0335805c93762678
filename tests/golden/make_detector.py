#!/usr/bin/env python3
"""Writes detector.txt: the faces OpenCV's DNN finds in JPEG photos (see test_detector.c).

Needs numpy and OpenCV 4 (OpenCV 5 has no Caffe importer), the detector and the photos, of which
nothing but these numbers is kept. Run: python3 make_detector.py SHARED
"""
import os
import sys

import cv2
import numpy as np

PHOTOS = 5  # of each folder, evenly chosen
FOLDERS = ("dlib_examples_faces", "cmu_mit_test")


def main():
    data = os.path.join(sys.argv[1], "data")
    net = cv2.dnn.readNetFromCaffe(os.path.join(data, "detector", "deploy.prototxt"),
                                   os.path.join(data, "detector", "res10_hybrid.caffemodel"))
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "detector.txt")
    with open(path, "w", encoding="ascii") as out:
        out.write(f"# make_detector.py, OpenCV {cv2.__version__}: photo, then confidence and box\n"
                  "# (shares of the picture, not clipped) of everything above 0.3\n")
        for folder in FOLDERS:
            names = sorted(os.listdir(os.path.join(data, "scenes", folder)))
            for i in range(PHOTOS):
                name = f"{folder}/{names[i * len(names) // PHOTOS]}"
                image = cv2.imread(os.path.join(data, "scenes", name))
                blob = cv2.dnn.blobFromImage(cv2.resize(image, (300, 300)), 1.0, (300, 300),
                                             (104.0, 177.0, 123.0))
                net.setInput(blob)
                out.write(f"{name}\n")
                for row in net.forward()[0, 0]:
                    if row[2] > 0.3:
                        out.write(" ".join(f"{v:.6f}" for v in row[2:]) + "\n")


if __name__ == "__main__":
    main()
