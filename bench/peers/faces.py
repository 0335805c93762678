#!/usr/bin/env python3
"""Which faces of boxed photos are found: this project beside OpenCV with the same model files.

    make && python3 bench/peers/faces.py --model DETECTOR --boxes PHOTOS/boxes.csv \\
        --subsets cmu_mit_test dlib_examples_faces --opencv PATH/TO/python

DETECTOR is a folder with deploy.prototxt and a .caffemodel. boxes.csv has a row per face: image
(below the folder of the .csv), width, height, xmin, ymin, xmax, ymax; a subset is a folder in it.
--opencv is an interpreter whose OpenCV reads Caffe (version 4).

Recall and precision are those of what is at least 0.5 sure; average precision is the area under the
curve of precision over recall, precision made monotonic (PASCAL VOC since 2010). Best first, a box
takes the face it overlaps most (intersection over union) of those not yet taken. Boxes of
detectors and of people are not cut alike, so two overlaps are asked for.
"""
import argparse
import csv
import glob
import json
import os
import subprocess
import sys

LEAST = 0.01
OVERLAPS = (0.5, 0.3)


# ---- answers: {image: [(confidence, (x1, y1, x2, y2)), ...]} --------------------------------------------

def read_answers(lines, photos):
    answers = {}
    for line in lines:
        answer = json.loads(line)
        image = os.path.relpath(answer["file"], photos)
        answers[image] = [(face["confidence"], tuple(face["box"])) for face in answer["faces"]]
    return answers


def ours(options, subset):
    command = [options.program, "detect", "--json", "-d", options.model, "-c", str(LEAST),
               os.path.join(options.photos, subset)]
    done = subprocess.run(command, capture_output=True, text=True)
    if not done.stdout:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
    return read_answers(done.stdout.splitlines(), options.photos)


def opencv(options, subset):
    done = subprocess.run([options.opencv, __file__, "--serve", "--model", options.model, "--boxes",
                           options.boxes, "--subsets", subset], capture_output=True, text=True)
    if done.returncode:
        print(f"OpenCV: not here ({(done.stderr.strip().splitlines() or ['?'])[-1]})",
              file=sys.stderr)
        return None
    return read_answers(done.stdout.splitlines(), options.photos)


def serve(options):
    """OpenCV's answers, in the words of `liveness detect --json`."""
    import cv2
    model = glob.glob(os.path.join(options.model, "*.caffemodel"))
    net = cv2.dnn.readNetFromCaffe(os.path.join(options.model, "deploy.prototxt"), model[0])
    for image in read_boxes(options, options.subsets[0]):
        path = os.path.join(options.photos, image)
        picture = cv2.imread(path)
        height, width = picture.shape[:2]
        net.setInput(cv2.dnn.blobFromImage(cv2.resize(picture, (300, 300)), 1.0, (300, 300),
                                           (104.0, 177.0, 123.0)))
        faces = []
        for _, _, confidence, x1, y1, x2, y2 in net.forward()[0, 0].tolist():
            x1, x2 = (min(max(x * width, 0), width) for x in (x1, x2))
            y1, y2 = (min(max(y * height, 0), height) for y in (y1, y2))
            if confidence >= LEAST and x2 > x1 and y2 > y1:
                faces.append({"confidence": confidence, "box": [x1, y1, x2, y2]})
        print(json.dumps({"file": path, "faces": faces}))


# ---- truth -----------------------------------------------------------------------------------------------

def read_boxes(options, subset):
    boxes = {}
    with open(options.boxes, newline="") as file:
        for row in csv.DictReader(file):
            if row["image"].split("/")[0] == subset:
                box = tuple(float(row[key]) for key in ("xmin", "ymin", "xmax", "ymax"))
                boxes.setdefault(row["image"], []).append(box)
    if not boxes:
        raise SystemExit(f"{options.boxes}: no boxes of {subset}")
    return boxes


# ---- figures ----------------------------------------------------------------------------------------------

def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = width * height
    return area / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - area)


def match(answers, boxes, least):
    """(confidence, is it a face?) of every box, best first."""
    found = sorted(((confidence, image, box) for image in boxes
                    for confidence, box in answers.get(image, [])), reverse=True)
    taken, verdicts = set(), []
    for confidence, image, box in found:
        near = [(overlap(box, face), i) for i, face in enumerate(boxes[image])
                if (image, i) not in taken]
        share, i = max(near, default=(0.0, -1))
        if share >= least:
            taken.add((image, i))
        verdicts.append((confidence, share >= least))
    return verdicts


def average_precision(verdicts, faces):
    curve, right = [], 0
    for count, (_, good) in enumerate(verdicts, 1):
        right += good
        curve.append((right / faces, right / count))
    area, best, above = 0.0, 0.0, None
    for recall, precision in reversed(curve):
        if above is not None:
            area += (above - recall) * best
        best, above = max(best, precision), recall
    return area + (above or 0.0) * best


def figures(answers, boxes, least, confidence):
    faces = sum(map(len, boxes.values()))
    verdicts = match(answers, boxes, least)
    sure = [good for at, good in verdicts if at >= confidence]
    return (sum(sure) / faces, sum(sure) / len(sure) if sure else float("nan"),
            average_precision(verdicts, faces), len(sure))


def agreement(a, b, boxes, confidence):
    """How far two programs answer alike, box by box."""
    same, most, least = 0, 0.0, 1.0
    for image in boxes:
        ours_, theirs = ([face for face in answers.get(image, []) if face[0] >= confidence]
                         for answers in (a, b))
        same += len(ours_) == len(theirs)
        for sure, box in ours_:
            share, other = max(((overlap(box, face[1]), face[0]) for face in theirs),
                               default=(0.0, 0.0))
            if share > 0.5:
                most, least = max(most, abs(sure - other)), min(least, share)
    return (f"{same} of {len(boxes)} pictures with as many faces; of a pair of boxes the "
            f"confidences differ by {most:.4f} at most, the overlap is {least:.3f} at least")


def compare(options, subset):
    boxes = read_boxes(options, subset)
    contestants = {"this project": ours(options, subset)}
    theirs = opencv(options, subset)
    if theirs:
        contestants["OpenCV"] = theirs
    faces = sum(map(len, boxes.values()))
    missing = [image for image in boxes if image not in contestants["this project"]]
    print(f"\n{subset}: {faces} faces in {len(boxes)} pictures"
          f"{f', {len(missing)} of them not answered' if missing else ''}")
    print(f"{'':14}{'overlap':>9}{'found':>8}{'recall':>9}{'precision':>11}{'AP':>8}")
    for least in OVERLAPS:
        for name, answers in contestants.items():
            recall, precision, area, found = figures(answers, boxes, least, options.confidence)
            print(f"{name:14}{least:9.1f}{found:8}{recall:9.3f}{precision:11.3f}{area:8.3f}")
    if theirs:
        print(agreement(*contestants.values(), boxes, options.confidence))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder with deploy.prototxt, .caffemodel")
    parser.add_argument("--boxes", required=True, help="boxes.csv in the folder of the photos")
    parser.add_argument("--subsets", nargs="+", required=True, help="folders with photos")
    parser.add_argument("--confidence", type=float, default=0.5)
    parser.add_argument("--program", default="build/liveness")
    parser.add_argument("--opencv", default=sys.executable, help="interpreter that has OpenCV 4")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.photos = os.path.dirname(options.boxes) or "."
    if options.serve:
        serve(options)
        return
    print(f"found, recall, precision: of what is at least {options.confidence} sure")
    for subset in options.subsets:
        compare(options, subset)


if __name__ == "__main__":
    main()
