#!/usr/bin/env python3
"""This project beside its peers, in one run: ratios, and whether they meet the targets.

    make && make build/bench/training && bench/peers/prepare.sh
    python3 bench/peers/run.py --model DETECTOR --picture FACE.jpg --dataset DIR

DETECTOR is a folder with deploy.prototxt and a .caffemodel, DIR one with a folder of pictures per
class; rows that need what is not given are left out, and the report says so. It is written whole,
as bench/results/DATE-CPU.md, and never over another one. --quick is for trying the tools;
--only ROW... takes rows by the beginning of their names, --list prints them.
"""
import argparse
import datetime
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

import contest
import report

HERE = os.path.dirname(os.path.abspath(__file__))
CORES = len(os.sched_getaffinity(0))

# What keeps the peers to AVX2. Runtimes without such a switch do not see more of the CPU either,
# where cpuid_avx2.c works.
SWITCHES = {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2",
            "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
            "XLA_FLAGS": "--xla_cpu_max_isa=AVX2", "OPENCV_CPU_DISABLE": "AVX512-SKX",
            "OPENBLAS_CORETYPE": "Haswell"}
WITHOUT_SWITCH = ("onnxruntime", "ncnn")


class Row:
    """One comparison. `judges`: (target, wanted ratio, results -> (ours, other) or None)."""

    def __init__(self, name, title, contestants, judges, unit="ms", note=None):
        self.name, self.title, self.contestants, self.judges = name, title, contestants, judges
        self.unit, self.note, self.results, self.remarks, self.lines = unit, note, [], [], []


# ---- judges: which two results a target compares -------------------------------------------------

def best(results):
    return max(results, key=lambda one: one.work / one.median, default=None)


def against(prefix=""):
    """The first of ours, and the best peer whose name begins so."""
    def judge(results):
        ours = next((one for one in results if one.mine), None)
        other = best([one for one in results if not one.mine and one.name.startswith(prefix)])
        return (ours, other) if ours and other else None
    return judge


def between(first, second):
    def judge(results):
        named = {one.name: one for one in results}
        return (named[first], named[second]) if first in named and second in named else None
    return judge


def slowest_against_best(names):
    def judge(results):
        slow = [one for one in results if one.name in names]
        return (min(slow, key=lambda one: one.work / one.median), best(results)) if slow else None
    return judge


# ---- contestants ---------------------------------------------------------------------------------

def threads_text(count):
    return f"{count} thread{'s'[:count > 1]}"


class Arena:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.log = open(options.log, "w")
        self.shim = self.build_shim()

    def build_shim(self):
        """The path of what hides AVX-512 from programs, or None where that does not work."""
        path = os.path.join(self.folder, "cpuid_avx2.so")
        flags = "from numpy._core._multiarray_umath import __cpu_features__ as f;" \
            "raise SystemExit(f['AVX512F'] or not f['AVX2'])"
        try:
            subprocess.run(["cc", "-O2", "-fPIC", "-shared", "-o", path,
                            os.path.join(HERE, "cpuid_avx2.c"), "-ldl"], check=True,
                           stderr=self.log)
            subprocess.run([self.options.python, "-c", flags], check=True, stderr=self.log,
                           env={**os.environ, "LD_PRELOAD": path})
        except (OSError, subprocess.CalledProcessError):
            return None
        return path

    def peer(self, module, function, level=None, environment=(), **settings):
        limit = dict(environment)
        if level:
            limit.update(SWITCHES)
            if self.shim:
                limit["LD_PRELOAD"] = self.shim
        limit["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(self.folder, f"inductor-{level}")
        settings = {"seconds": self.options.seconds, "model": self.options.model,
                    "picture": self.options.picture, **settings}
        python = self.options.opencv if function == "opencv" else self.options.python
        one = contest.Peer(python, module, function, settings, limit, self.log)
        if level and not self.shim and function.startswith(WITHOUT_SWITCH):
            one.names = [name + " (not limited)" for name in one.names]
        return one

    def step(self, name, batch, threads, level=None):
        return contest.Ours(
            name, [self.options.training, "--batch", str(batch), "--threads", str(threads),
                   "--seconds", "SECONDS"],
            lambda answer: 1e3 * batch / answer["images_per_second"], batch, level)

    def bench(self, name, threads, level=None, more=(), batch=1, work=1):
        return contest.Ours(
            name, [self.options.program, "bench", "--json", "--batch", str(batch), "--threads",
                   str(threads), "--seconds", "SECONDS", *more],
            lambda answer: answer["milliseconds"], work, level)

    def ssd(self, name, threads, level=None, more=(), work=1):
        return self.bench(name, threads, level, ("--model", self.options.model, "--picture",
                                                 self.options.picture, *more), work=work)

    def train(self, name, threads):
        return contest.Ours(
            name, [self.options.program, "train", "-d", self.options.dataset, "--json", "--quiet",
                   "--epochs", str(self.options.epochs), "--threads", str(threads)],
            lambda answer: 8e3 / answer["images_per_second"], 8)


# ---- rows ----------------------------------------------------------------------------------------

def training_rows(arena, level, wanted):
    at, suffix = (f"-{level}", f", {level.upper()}") if level else ("", "")
    target = "4, training" if level else "1, training"

    def row(batch, ratio):
        def contestants():
            common = {"level": level, "batch": batch, "work": batch, "mean": True}
            yield arena.step(f"this project{suffix}", batch, 2, level)
            yield arena.peer("livenessnet", "torch_step", threads=2, **common)
            for threads in (2, 1):
                yield arena.peer("livenessnet", "keras_step", threads=threads, **common)
        return Row(f"train-{batch}{at}", f"Training step of LivenessNet, batch {batch}, 2 threads"
                   f"{suffix}", contestants, [(target, ratio, against())], "images/s")
    return [row(batch, ratio) for batch, ratio in zip((8, 32, 128), wanted)]


def forward_rows(arena, level, wanted):
    at, suffix = (f"-{level}", f", {level.upper()}") if level else ("", "")
    target = "4, forward" if level else "2, forward"

    def row(batch, threads, ratio):
        def contestants():
            yield arena.bench(f"this project{suffix}", threads, level, batch=batch)
            for family in ("onnxruntime", "openvino", "ncnn", "torch"):
                yield arena.peer("livenessnet", family + "_forward", level, batch=batch,
                                 threads=threads)
        return Row(f"forward-{batch}{at}", f"LivenessNet forward, batch {batch}, "
                   f"{threads_text(threads)}{suffix}", contestants,
                   [(f"{target}, ONNX Runtime", ratio, against("ONNX Runtime")),
                    (f"{target}, best peer", None, against())])
    return [row(*case) for case in zip((1, 8, 64), (1, 2, 2), wanted)]


def ssd_rows(arena, level, ratio):
    at, suffix = (f"-{level}", f", {level.upper()}") if level else ("", "")
    target = "4, SSD" if level else "3, SSD"

    def row(threads):
        def contestants():
            yield arena.ssd(f"this project{suffix}", threads, level)
            for family in ("onnxruntime", "openvino", "ncnn", "opencv"):
                yield arena.peer("detector", family, level, threads=threads)
        return Row(f"ssd-{threads}{at}", f"SSD 300x300, one picture, {threads_text(threads)}"
                   f"{suffix}", contestants,
                   [(f"{target}, ONNX Runtime", ratio, against("ONNX Runtime")),
                    (f"{target}, best peer", None, against())],
                   note="This project and OpenCV make boxes of the confidences, too.")
    return [row(threads) for threads in (1, 2)]


def level_rows(arena):
    def row(name, title, make, unit="ms"):
        return Row(name, title, lambda: [make("SSE", "sse"), make("AVX2", "avx2"),
                                         make("the best of this CPU", None)],
                   [("4, SSE of AVX2", 0.5, between("SSE", "AVX2"))], unit)
    return [row("levels-train", "Levels: training step, batch 8, 2 threads",
                lambda name, level: arena.step(name, 8, 2, level), "images/s"),
            row("levels-forward", "Levels: LivenessNet forward, batch 8, 2 threads",
                lambda name, level: arena.bench(name, 2, level, batch=8)),
            row("levels-ssd", "Levels: SSD 300x300, 1 thread",
                lambda name, level: arena.ssd(name, 1, level))]


def thread_rows(arena):
    counts = [1, CORES, CORES + 1, 2 * CORES, 4 * CORES]
    names = [threads_text(count) for count in counts]
    judges = [("7, all cores against one thread", 1.85 if CORES == 2 else None,
               between(names[1], names[0])),
              ("7, more threads than cores against the best", 0.95,
               slowest_against_best(names[2:]))]

    def row(name, title, make, unit="ms"):
        return Row(name, title, lambda: [make(*one) for one in zip(names, counts)], judges, unit)
    return [row("threads-train", "Threads: training step, batch 8",
                lambda name, count: arena.step(name, 8, count), "images/s"),
            row("threads-ssd", "Threads: SSD 300x300", arena.ssd)]


def bf16_rows(arena):
    def row(threads):
        def contestants():
            yield arena.ssd("this project, bf16", threads, None, ("--precision", "bf16"))
            yield arena.ssd("this project, fp32", threads)
            yield arena.peer("detector", "onnxruntime", threads=threads)
            yield arena.peer("detector", "openvino_bf16", threads=threads)

        def judge(results):
            named = [one for one in results if one.name == "this project, bf16"]
            return against("ONNX Runtime")(named + [one for one in results if not one.mine])
        return Row(f"bf16-{threads}", f"SSD 300x300 in bf16, {threads_text(threads)}", contestants,
                   [("6, bf16 against ONNX Runtime in fp32", 3.0, judge)],
                   note="ONNX Runtime runs in fp32, OpenVINO in bf16.")
    return [row(threads) for threads in (1, 2)]


def other_rows(arena):
    def sgemm():
        yield arena.peer("runtimes", "sgemm", size=1024, work=2 * 1024 ** 3,
                         environment={"OPENBLAS_NUM_THREADS": "1"})
        if arena.options.model:
            yield arena.ssd("this project, SSD", 1, work=2.358e9)

    def end_to_end():
        yield arena.train("liveness train", 2)
        yield arena.step("bare steps", 8, 2)
    return [Row("sgemm", "For orientation: arithmetic of one thread", sgemm, [], "GFLOP/s",
                "The SSD is counted as 2.358 GFLOP, whatever way it is done."),
            Row("end-to-end", "`liveness train` against its bare steps, batch 8, 2 threads",
                end_to_end, [("1, end to end", 0.9, between("liveness train", "bare steps"))],
                "images/s")]


def rows_of(arena):
    return [*training_rows(arena, None, (3.0, 2.7, 2.7)),
            *forward_rows(arena, None, (1.6, 1.5, 1.5)), *ssd_rows(arena, None, 1.5),
            *training_rows(arena, "avx2", (2.0, 2.0, 2.0)),
            *forward_rows(arena, "avx2", (1.0, 1.0, 1.0)), *ssd_rows(arena, "avx2", 1.0),
            *level_rows(arena), *thread_rows(arena), *bf16_rows(arena), *other_rows(arena)]


def lacks(row, options):
    """What a row needs and has not been given, or None."""
    if ("ssd" in row.name or "bf16" in row.name) and not options.model:
        return "needs --model and --picture"
    if row.name == "end-to-end" and not options.dataset:
        return "needs --dataset"
    return None


# ---- the run -------------------------------------------------------------------------------------

def run_row(row, options):
    contestants = []
    try:
        for one in row.contestants():
            contestants.append(one)
        row.results = contest.take_turns(contestants, options.repeats, options.seconds)
    finally:
        for one in contestants:
            one.close()
    for one in contestants:
        row.remarks += one.remarks
        if one.mine:
            row.lines.append(one.line.replace("SECONDS", f"{options.seconds:g}"))
    checks = [one.check for one in row.results if one.check is not None]
    if checks and max(checks) - min(checks) > 0.02:
        row.remarks.append(["warning", "they do not see the same in the picture"])


def run(options, folder):
    arena = Arena(options, folder)
    rows = [row for row in rows_of(arena)
            if not options.only or row.name.startswith(tuple(options.only))]
    if options.list:
        print("\n".join(f"{row.name:20} {row.title}" for row in rows))
        return None
    if not rows:
        print(f"--only {' '.join(options.only)}: no such row; --list prints them", file=sys.stderr)
        raise SystemExit(2)
    machine = report.Machine(options)
    done, left_out = [], []
    try:
        for place, row in enumerate(rows, 1):
            why = lacks(row, options)
            print(f"[{place}/{len(rows)}] {row.title}{': ' + why if why else ''}", file=sys.stderr)
            if why:
                left_out.append((row, why))
                continue
            run_row(row, options)
            done.append(row)
            print(report.row_text(row), file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        left_out += [(row, "the run was ended early") for row in rows[len(done) + len(left_out):]]
    machine.finish()
    return report.text(done, left_out, machine, arena.shim is not None, options)


def output_path(options):
    if options.output:
        return options.output
    name = re.sub(r"\((r|tm)\)", "", report.cpu_name().lower())
    slug = re.sub(r"[^a-z0-9]+", "-", name).strip("-")
    base = os.path.join(os.path.dirname(HERE), "results", f"{datetime.date.today()}-{slug}")
    path, count = base + ".md", 1
    while os.path.exists(path):
        count += 1
        path = f"{base}-{count}.md"
    return path


def write_whole(path, text):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=os.path.dirname(path) or ".", delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    os.rename(file.name, path)


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default="build/peers", help="what prepare.sh made")
    parser.add_argument("--python", help="interpreter of the peers [PEERS/main/bin/python]")
    parser.add_argument("--opencv", help="that of OpenCV 4 [PEERS/opencv4/bin/python]")
    parser.add_argument("--model", help="folder with deploy.prototxt and a .caffemodel")
    parser.add_argument("--picture", help="what the detectors get to see: .png, .jpg")
    parser.add_argument("--dataset", help="pictures for the end-to-end row")
    parser.add_argument("--epochs", type=int, default=20, help="of the end-to-end row")
    parser.add_argument("--only", nargs="+", metavar="ROW", help="rows whose names begin so")
    parser.add_argument("--list", action="store_true", help="print the rows")
    parser.add_argument("--quick", action="store_true", help="2 turns of 0.2 s: tries the tools")
    parser.add_argument("--repeats", type=int, help="turns [7]")
    parser.add_argument("--seconds", type=float, help="of a turn [1]")
    parser.add_argument("--output", help="the report [bench/results/DATE-CPU.md]")
    parser.add_argument("--log", default="build/peers.log", help="what the peers themselves print")
    parser.add_argument("--program", default="build/liveness")
    parser.add_argument("--training", default="build/bench/training")
    options = parser.parse_args()
    options.command = "python3 " + shlex.join(sys.argv)
    options.repeats = options.repeats or (2 if options.quick else 7)
    options.seconds = options.seconds or (0.2 if options.quick else 1.0)
    options.python = options.python or os.path.join(options.peers, "main/bin/python")
    options.opencv = options.opencv or os.path.join(options.peers, "opencv4/bin/python")
    if bool(options.model) != bool(options.picture):
        parser.error("--model and --picture belong together")
    if options.repeats < 1 or not options.seconds > 0:
        parser.error("--repeats and --seconds must be above 0")
    for program in (options.program, options.training):
        if not os.path.exists(program):
            parser.error(f"{program} is not there: make && make build/bench/training")
    if not shutil.which(options.python):
        parser.error(f"{options.python} is not there: bench/peers/prepare.sh makes it")
    return options


def main():
    options = read_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        text = run(options, folder)
    if text:
        path = output_path(options)
        write_whole(path, text)
        print(path)


if __name__ == "__main__":
    main()
