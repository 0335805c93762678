#!/usr/bin/env python3
"""Forward pass of the SSD face detector: this project beside OpenCV and ONNX Runtime, in one run.

    python3 -m venv venv && venv/bin/pip install -r bench/peers/requirements.txt
    make && venv/bin/python bench/peers/detection.py --model DETECTOR --picture FACE.jpg

DETECTOR is a folder with deploy.prototxt and a .caffemodel. OpenCV reads Caffe up to version 4:
where that lives in another environment, --opencv PATH/TO/python names its interpreter. ONNX Runtime
gets the network from caffe_onnx.py, without the last step, which turns confidences into boxes.

Each peer is a process of its own, is tried with several settings, and enters with its best. The
contestants then take turns, so that a machine whose speed drifts is fair to all; the table shows
the median of their turns. All see the same picture, and what they see in it is compared.
"""
import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import time

MEANS = (104.0, 177.0, 123.0)


def files(folder):
    prototxt = os.path.join(folder, "deploy.prototxt")
    models = glob.glob(os.path.join(folder, "*.caffemodel"))
    if not os.path.exists(prototxt) or len(models) != 1:
        raise SystemExit(f"{folder}: expected deploy.prototxt and one .caffemodel in it")
    return prototxt, models[0]


def blob_of(path):
    """What blobFromImage(image, 1.0, (300, 300), (104, 177, 123)) makes of a picture."""
    import cv2
    import numpy as np
    image = cv2.imread(path)
    if image is None:
        raise SystemExit(f"{path}: cannot be read")
    small = cv2.resize(image, (300, 300), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    return np.ascontiguousarray((small - np.float32(MEANS)).transpose(2, 0, 1)[None])


def measure(step, seconds):
    """Median milliseconds of a call."""
    for _ in range(2):
        step()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


# ---- contestants: each yields (name, start); start() gives (step, best confidence) ------------------

def opencv_variants(options):
    import cv2
    prototxt, caffemodel = files(options.model)
    blob = blob_of(options.picture)

    def make(winograd):
        def start():
            cv2.setNumThreads(options.threads)
            net = cv2.dnn.readNetFromCaffe(prototxt, caffemodel)
            net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
            net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
            if hasattr(net, "enableWinograd"):
                net.enableWinograd(winograd)

            def step():
                net.setInput(blob)
                return net.forward()
            return step, float(step()[0, 0, :, 2].max())
        return start
    for winograd in (True, False):
        yield f"OpenCV {cv2.__version__}{', Winograd' if winograd else ''}", make(winograd)


def onnxruntime_variants(options):
    import onnxruntime
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import caffe_onnx
    model = caffe_onnx.convert(*files(options.model))
    blob = blob_of(options.picture)

    def make(parallel):
        def start():
            settings = onnxruntime.SessionOptions()
            settings.intra_op_num_threads = options.threads
            settings.inter_op_num_threads = 1
            settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
            if parallel:
                settings.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
            session = onnxruntime.InferenceSession(model, settings,
                                                   providers=["CPUExecutionProvider"])
            name = session.get_inputs()[0].name

            def step():
                return session.run(None, {name: blob})
            return step, float(step()[1].reshape(-1, 2)[:, 1].max())
        return start
    for parallel in (False, True):
        yield f"ONNX Runtime {onnxruntime.__version__}{', parallel' if parallel else ''}", \
            make(parallel)


def openvino_variants(options):
    import openvino
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import caffe_onnx
    model = caffe_onnx.convert(*files(options.model))
    blob = blob_of(options.picture)

    def start():
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(model), "CPU", {
            "INFERENCE_NUM_THREADS": options.threads, "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32"})
        request = compiled.create_infer_request()

        def step():
            return request.infer([blob])
        return step, float(step()[1].reshape(-1, 2)[:, 1].max())
    yield f"OpenVINO {openvino.__version__.split('-')[0]}", start


FAMILIES = {"OpenCV": opencv_variants, "ONNX Runtime": onnxruntime_variants,
            "OpenVINO": openvino_variants}


# ---- a peer in a process of its own -------------------------------------------------------------------

def serve(family, options):
    """Finds its best setting, then measures whenever it is asked."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the peer itself prints is talk
    found = None
    try:
        variants = list(FAMILIES[family](options))
    except ImportError as error:
        print(f"  {error}", file=sys.stderr)
        variants = []
    for name, start in variants:
        try:
            step, confidence = start()
            spent = measure(step, options.seconds)
        except Exception as error:  # a setting that cannot run here is a line in the report
            print(f"  {name}: does not run here ({type(error).__name__}: {str(error)[:100]})",
                  file=sys.stderr)
            continue
        print(f"  {name}: {spent:.2f} ms", file=sys.stderr)
        if not found or spent < found[1]:
            found = (name, spent, step, confidence)
    print(json.dumps(found and [found[0], found[3]]), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(found[2], float(line))), file=answers, flush=True)


class Peer:
    def __init__(self, family, interpreter, options):
        self.process = subprocess.Popen(
            [interpreter, __file__, "--serve", family, "--model", options.model, "--picture",
             options.picture, "--threads", str(options.threads), "--seconds", str(options.seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = json.loads(line) if line else None
        self.name, self.confidence = found or (None, None)
        if not found:
            print(f"  {family}: not here", file=sys.stderr)

    def run(self, seconds):
        print(seconds, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# ---- this project ----------------------------------------------------------------------------------------

class Ours:
    def __init__(self, options):
        self.options, self.name = options, "this project"
        line = subprocess.run([options.program, "detect", "--json", "-d", options.model, "-c",
                               "0.01", options.picture], capture_output=True, text=True).stdout
        faces = json.loads(line)["faces"] if line else []
        self.confidence = max((face["confidence"] for face in faces), default=None)
        self.multiply_adds = 0

    def run(self, seconds):
        line = subprocess.run(
            [self.options.program, "bench", "--json", "--model", self.options.model, "--picture",
             self.options.picture, "--threads", str(self.options.threads), "--seconds",
             str(seconds)], check=True, capture_output=True, text=True).stdout
        answer = json.loads(line)
        self.multiply_adds = answer["multiply_adds"]
        self.name = f"this project, {answer['cpu']}"
        return answer["milliseconds"]

    def close(self):
        pass


# ---- the comparison ----------------------------------------------------------------------------------------

def take_turns(options):
    interpreters = {"OpenCV": options.opencv}
    print("each peer's settings:", file=sys.stderr)
    contestants = [Ours(options)]
    contestants += [Peer(family, interpreters.get(family, sys.executable), options)
                    for family in FAMILIES]
    contestants = [one for one in contestants if one.name]
    turns = [[] for _ in contestants]
    for turn in range(options.repeats):
        for one, times in zip(contestants, turns):
            times.append(one.run(options.seconds))
        print(f"  turn {turn + 1} of {options.repeats}", file=sys.stderr)
    for one in contestants:
        one.close()
    return contestants, turns


def report(contestants, turns, options):
    ours = statistics.median(turns[0])
    flop = 2 * contestants[0].multiply_adds
    print(f"SSD forward pass of one picture, {options.threads} thread{'s'[:options.threads > 1]}, "
          f"median of {options.repeats} turns")
    print(f"{'':36}{'ms':>9}{'min':>9}{'max':>9}{'GFLOP/s':>10}{'ours is':>10}{'sees':>8}")
    for one, times in zip(contestants, turns):
        spent = statistics.median(times)
        sees = "?" if one.confidence is None else f"{one.confidence:.3f}"
        print(f"{one.name:36}{spent:9.2f}{min(times):9.2f}{max(times):9.2f}"
              f"{flop / spent * 1e-6:10.1f}{spent / ours:9.2f}x{sees:>8}")
    known = [one.confidence for one in contestants if one.confidence is not None]
    if max(known, default=0) - min(known, default=0) > 0.02:
        print("warning: they do not see the same face; was it the same picture and network?")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder with deploy.prototxt, .caffemodel")
    parser.add_argument("--picture", required=True, help="what all of them get to see: .png, .jpg")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, os.cpu_count()])
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--program", default="build/liveness")
    parser.add_argument("--opencv", default=sys.executable, help="interpreter that has OpenCV 4")
    parser.add_argument("--serve", choices=FAMILIES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    for options.threads in sorted(set(options.threads)):
        if options.serve:
            serve(options.serve, options)
        else:
            report(*take_turns(options), options)


if __name__ == "__main__":
    main()
