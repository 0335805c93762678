#!/usr/bin/env python3
"""The demo beside the same thing in Python: OpenCV, dlib and Keras, as the tutorials write it.

    make && bench/peers/prepare.sh
    python3 bench/peers/demo.py --video CLIP.avi --detector DETECTOR --shape SHAPE.dat \\
        --model MODEL.safetensors --python build/peers/demo/bin/python

Both read the clip (Motion-JPEG), find faces in every frame with the same SSD, and for each face 68
landmarks with the same file, the eye aspect ratio, and LivenessNet's answer with the same weights;
both draw boxes and write a Motion-JPEG .avi. They take turns; medians are told. Latency is from the
frame's bytes to its verdicts; in Python reading and decoding are one call, so that it begins with
that.

The Python side is measured twice: with model.predict(), as tutorials have it, and with the network
as a compiled function, which is as fast as Keras gets for one picture.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

WAYS = ("predict", "compiled")
WANTED = {"fps": 60, "p50": 25, "p99": 45, "ratio": 5}


# ---- the Python side, in a process of its own ----------------------------------------------------

def read_weights(path):
    """Tensors of a .safetensors, by name: a length, a JSON header, floats."""
    import numpy
    with open(path, "rb") as file:
        data = file.read()
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8:8 + size]), data[8 + size:]
    metadata = header.pop("__metadata__", {})
    return metadata, {name: numpy.frombuffer(body[slice(*tensor["data_offsets"])], "<f4")
                      .reshape(tensor["shape"]) for name, tensor in header.items()}


def keras_model(path):
    """LivenessNet with the file's weights, and the place of the label of live faces."""
    from keras import layers, models
    metadata, weights = read_weights(path)
    labels, contract = json.loads(metadata["labels"]), json.loads(metadata["preprocessing"])
    size = (contract["height"], contract["width"], 3)
    order = [layers.Input(size)]
    for filters in (16, 32):
        for _ in range(2):
            order += [layers.Conv2D(filters, 3, padding="same", activation="relu"),
                      layers.BatchNormalization()]
        order += [layers.MaxPooling2D(), layers.Dropout(0.25)]
    order += [layers.Flatten(), layers.Dense(64, activation="relu"), layers.BatchNormalization(),
              layers.Dropout(0.5), layers.Dense(len(labels), activation="softmax")]
    counts = {}
    model = models.Sequential(order)
    for layer in model.layers:
        kind = {"Conv2D": "conv2d", "BatchNormalization": "batch_normalization",
                "Dense": "dense"}.get(type(layer).__name__)
        if not kind:
            continue
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        name = kind + (f"_{number}" if number else "")
        parts = ("gamma", "beta", "moving_mean", "moving_variance") \
            if "norm" in kind else ("kernel", "bias")
        layer.set_weights([weights[f"{name}/{part}"] for part in parts])
    real = next(i for i, label in enumerate(labels) if label in ("real", "live", "genuine"))
    return model, size[:2], real


def answerer(model, way):
    if way == "predict":
        return lambda picture: model.predict(picture[None], verbose=0)[0]
    import tensorflow
    compiled = tensorflow.function(lambda x: model(x, training=False))
    return lambda picture: compiled(tensorflow.constant(picture[None])).numpy()[0]


def eye_ratio(eye):
    import numpy
    a, b, c = (numpy.linalg.norm(eye[i] - eye[j]) for i, j in ((1, 5), (2, 4), (0, 3)))
    return (a + b) / (2 * c)


def shape_box(box):
    """dlib's square, from the eyebrows to the chin, in a box from the forehead on."""
    x1, y1, x2, y2 = box
    side = min(x2 - x1, y2 - y1)
    return (x1 + x2 - side) // 2, y2 - side, (x1 + x2 + side) // 2, y2


class Python:
    def __init__(self, options):
        import cv2
        import dlib
        prototxt = os.path.join(options.detector, "deploy.prototxt")
        weights = [name for name in os.listdir(options.detector) if name.endswith(".caffemodel")]
        self.net = cv2.dnn.readNetFromCaffe(prototxt, os.path.join(options.detector, weights[0]))
        self.shape = dlib.shape_predictor(options.shape)
        self.model, self.size, self.real = keras_model(options.model)
        self.answer = answerer(self.model, options.serve)
        self.faces, self.sum = 0, 0.0

    def boxes(self, frame):
        import cv2
        height, width = frame.shape[:2]
        self.net.setInput(cv2.dnn.blobFromImage(cv2.resize(frame, (300, 300)), 1.0, (300, 300),
                                                (104.0, 177.0, 123.0)))
        for row in self.net.forward()[0, 0]:
            if row[2] > 0.5:
                x1, y1, x2, y2 = (row[3:7] * [width, height, width, height]).astype("int")
                yield max(0, int(x1)), max(0, int(y1)), min(width, int(x2)), min(height, int(y2))

    def look(self, frame):
        import cv2
        import dlib
        import numpy
        gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        for box in self.boxes(frame):
            x1, y1, x2, y2 = box
            if x2 <= x1 or y2 <= y1:
                continue
            found = self.shape(gray, dlib.rectangle(*shape_box(box)))
            points = numpy.array([(p.x, p.y) for p in found.parts()])
            ear = (eye_ratio(points[36:42]) + eye_ratio(points[42:48])) / 2
            face = cv2.resize(frame[y1:y2, x1:x2], self.size[::-1]).astype("float32") / 255.0
            real = float(self.answer(face)[self.real])
            self.faces, self.sum = self.faces + 1, self.sum + real
            yield box, points, ear, real

    def draw(self, frame, found):
        import cv2
        for (x1, y1, x2, y2), points, ear, real in found:
            color = (0, 255, 0) if real > 0.5 else (0, 0, 255)
            cv2.rectangle(frame, (x1, y1), (x2, y2), color, 2)
            cv2.putText(frame, f"{'live' if real > 0.5 else 'spoof'}: {real:.2f} {ear:.2f}",
                        (x1, y1 - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.5, color, 2)
            for x, y in points:
                cv2.circle(frame, (int(x), int(y)), 1, (255, 255, 0), -1)


def serve(options):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import cv2
    python, capture, writer = Python(options), cv2.VideoCapture(options.video), None
    latencies, first = [], time.perf_counter()
    while len(latencies) < options.frames:
        start = time.perf_counter()
        good, frame = capture.read()
        if not good:
            capture.release()
            capture = cv2.VideoCapture(options.video)
            if not latencies:
                raise SystemExit(f"OpenCV reads no frame of {options.video}")
            continue
        found = list(python.look(frame))
        latencies.append(time.perf_counter() - start)
        python.draw(frame, found)
        if writer is None:
            writer = cv2.VideoWriter(options.output, cv2.VideoWriter_fourcc(*"MJPG"), 30,
                                     frame.shape[1::-1])
            first = time.perf_counter()  # what is made ready in the first frame is not counted
        writer.write(frame)
    seconds = time.perf_counter() - first
    writer.release()
    latencies = sorted(latencies[1:])
    print(json.dumps({"fps": (options.frames - 1) / seconds,
                      "p50": 1e3 * latencies[len(latencies) // 2],
                      "p99": 1e3 * latencies[int(len(latencies) * 0.99)],
                      "faces": python.faces, "real": python.sum / max(python.faces, 1)}))


# ---- turns ---------------------------------------------------------------------------------------

def peer(options, way, output):
    command = [options.python, os.path.abspath(__file__), "--serve", way, "--output", output]
    for name in ("video", "detector", "shape", "model"):
        command += [f"--{name}", getattr(options, name)]
    done = subprocess.run(command + ["--frames", str(options.frames // 4)], capture_output=True,
                          text=True)
    if done.returncode:
        raise SystemExit(f"Python: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def ours(options, output):
    command = [options.program, "demo", "-m", options.model, "-d", options.detector, "-p",
               options.shape, "-v", options.video, "--loop", "--max-frames", str(options.frames),
               "-o", output, "--display", "none", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    summary = lines.pop()["summary"]
    reals = [face["real"] for line in lines[:options.frames // 4] for face in line["faces"]]
    return {"fps": summary["fps"], "p50": summary["latency"]["p50"],
            "p99": summary["latency"]["p99"], "faces": len(reals),
            "real": statistics.fmean(reals) if reals else 0.0,
            "first": summary["first_verdict"], "stages": summary["milliseconds"]}


def medians(turns, *keys):
    return {key: statistics.median(turn[key] for turn in turns) for key in keys}


def table(stages):
    print(f"\n{'stage, ms':12}{'mean':>8}{'p50':>8}{'p99':>8}")
    for name, stage in stages.items():
        if stage["count"]:
            print(f"{name:12}{stage['mean']:8.2f}{stage['p50']:8.2f}{stage['p99']:8.2f}")


def verdict(name, value, wanted, good):
    print(f"{name}: {value:.1f}, wanted {wanted}: {'met' if good else 'NOT met'}")
    return good


def compare(options):
    turns = {name: [] for name in ("this project",) + WAYS}
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "out.avi")
        for _ in range(options.repeats):
            turns["this project"].append(ours(options, output))
            for way in WAYS:
                turns[way].append(peer(options, way, output))
    print(f"{'':26}{'frames/s':>9}{'p50 ms':>8}{'p99 ms':>8}{'faces':>7}{'mean real':>11}")
    results = {}
    for name, one in turns.items():
        result = results[name] = medians(one, "fps", "p50", "p99", "faces", "real")
        title = name if name == "this project" else f"OpenCV, dlib, Keras {name}"
        print(f"{title:26}{result['fps']:9.1f}{result['p50']:8.1f}{result['p99']:8.1f}"
              f"{result['faces']:7.0f}{result['real']:11.4f}")
    table(turns["this project"][-1]["stages"])
    mine, best = results["this project"], max(results[way]["fps"] for way in WAYS)
    print(f"\nfirst verdict after {medians(turns['this project'], 'first')['first']:.0f} ms")
    good = [verdict("frames/s", mine["fps"], WANTED["fps"], mine["fps"] >= WANTED["fps"]),
            verdict("latency p50", mine["p50"], WANTED["p50"], mine["p50"] <= WANTED["p50"]),
            verdict("latency p99", mine["p99"], WANTED["p99"], mine["p99"] <= WANTED["p99"]),
            verdict("times the tutorials' way", mine["fps"] / results["predict"]["fps"],
                    WANTED["ratio"], mine["fps"] >= WANTED["ratio"] * results["predict"]["fps"])]
    print(f"times the best of Python: {mine['fps'] / best:.1f}")
    return 0 if all(good) else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", required=True, help="Motion-JPEG: .avi or .mjpg")
    parser.add_argument("--detector", required=True, help="folder with deploy.prototxt, .caffemodel")
    parser.add_argument("--shape", required=True, help="dlib's 68 landmarks, .dat")
    parser.add_argument("--model", required=True, help="LivenessNet, as `liveness train` wrote it")
    parser.add_argument("--program", default="build/liveness")
    parser.add_argument("--python", default=sys.executable,
                        help="interpreter that has OpenCV 4, dlib and Keras")
    parser.add_argument("--frames", type=int, default=1200, help="per turn; Python a quarter")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", help=argparse.SUPPRESS)
    parser.add_argument("--serve", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options)
        return 0
    return compare(options)


if __name__ == "__main__":
    sys.exit(main())
