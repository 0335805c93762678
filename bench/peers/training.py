#!/usr/bin/env python3
"""Training step of LivenessNet: this project beside PyTorch and Keras, in one run.

    python3 -m venv venv && venv/bin/pip install -r bench/peers/requirements.txt
    make && make build/bench/training && venv/bin/python bench/peers/training.py

Each peer is tried with several settings (layout, threads, compiler) and enters with its best.
The contestants then take turns, so that a machine whose speed drifts is fair to all; the table
shows the median of their turns and the ratio to the best peer.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def measure(step, seconds, batch):
    for _ in range(3):
        step()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        step()
        count += 1
    return count * batch / (time.perf_counter() - start)


def ours(batch, threads, program):
    def run(seconds):
        line = subprocess.run(
            [program, "--batch", str(batch), "--threads", str(threads), "--seconds", str(seconds)],
            check=True, capture_output=True, text=True).stdout
        return json.loads(line)["images_per_second"]
    return run


def torch_variants(batch, threads):
    import torch
    from torch import nn

    def model():
        def block(c, k):
            return [nn.Conv2d(c, k, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(k, eps=1e-3, momentum=0.01),
                    nn.Conv2d(k, k, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(k, eps=1e-3, momentum=0.01),
                    nn.MaxPool2d(2), nn.Dropout(0.25)]
        return nn.Sequential(*block(3, 16), *block(16, 32), nn.Flatten(), nn.Linear(2048, 64),
                             nn.ReLU(), nn.BatchNorm1d(64, eps=1e-3, momentum=0.01),
                             nn.Dropout(0.5), nn.Linear(64, 2))

    def make(count, channels_last, compiled):
        def start():
            torch.set_num_threads(count)
            torch.manual_seed(1)
            net = model().train()
            x = torch.rand(batch, 3, 32, 32)
            y = torch.arange(batch) % 2
            if channels_last:
                net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
            optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, eps=1e-7, fused=True)
            loss = nn.CrossEntropyLoss()
            forward = torch.compile(lambda a, b: loss(net(a), b)) if compiled else \
                (lambda a, b: loss(net(a), b))

            def step():
                torch.set_num_threads(count)
                optimizer.zero_grad(set_to_none=True)
                forward(x, y).backward()
                optimizer.step()
            return lambda seconds: measure(step, seconds, batch)
        return start
    for count in sorted({1, threads}):
        for channels_last in (True, False):
            for compiled in (False, True):
                name = f"PyTorch {torch.__version__.split('+')[0]}, {count} thread{'s'[:count > 1]}, " \
                       f"{'channels last' if channels_last else 'channels first'}" \
                       f"{', compiled' if compiled else ''}"
                yield name, make(count, channels_last, compiled)


def keras_variants(batch, threads):
    import numpy as np
    import tensorflow as tf
    import keras
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    layers = keras.layers

    def model():
        net = keras.Sequential([keras.Input((32, 32, 3))])
        for k in (16, 32):
            for _ in range(2):
                net.add(layers.Conv2D(k, 3, padding="same"))
                net.add(layers.Activation("relu"))
                net.add(layers.BatchNormalization())
            net.add(layers.MaxPooling2D())
            net.add(layers.Dropout(0.25))
        for layer in (layers.Flatten(), layers.Dense(64), layers.Activation("relu"),
                      layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(2),
                      layers.Activation("softmax")):
            net.add(layer)
        return net

    def make(jit):
        def start():
            net = model()
            x = tf.constant(np.random.rand(batch, 32, 32, 3).astype("float32"))
            y = tf.constant(np.eye(2, dtype="float32")[np.arange(batch) % 2])
            optimizer = keras.optimizers.Adam(1e-4)
            optimizer.build(net.trainable_variables)
            loss = keras.losses.CategoricalCrossentropy()

            @tf.function(jit_compile=jit)
            def step():
                with tf.GradientTape() as tape:
                    value = loss(y, net(x, training=True))
                gradients = tape.gradient(value, net.trainable_variables)
                optimizer.apply_gradients(zip(gradients, net.trainable_variables))
                return value

            return lambda seconds: measure(lambda: step().numpy(), seconds, batch)
        return start
    for jit in (False, True):
        yield f"Keras {keras.__version__} / TensorFlow {tf.__version__}{', XLA' if jit else ''}", make(jit)


FAMILIES = {"PyTorch": torch_variants, "Keras": keras_variants}


def serve(family, batch, options):
    """A peer in a process of its own: finds its best setting, then measures whenever it is asked."""
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the peer itself prints is talk
    found = None
    for name, start in FAMILIES[family](batch, options.threads):
        try:
            run = start()
            rate = run(options.seconds)
        except Exception as error:  # a setting that cannot run here is a line in the report
            print(f"  {name}: does not run here ({type(error).__name__}: {str(error)[:100]})",
                  file=sys.stderr)
            continue
        print(f"  {name}: {rate:.0f} images/s", file=sys.stderr)
        if not found or rate > found[1]:
            found = (name, rate, run)
    print(json.dumps(found[0] if found else None), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(found[2](float(line))), file=answers, flush=True)


class Peer:
    """TensorFlow and PyTorch do not share a process well, so each has its own."""

    def __init__(self, family, batch, options):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", family, "--batch", str(batch), "--threads",
             str(options.threads), "--seconds", str(options.seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.name = json.loads(line) if line else None

    def run(self, seconds):
        print(seconds, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


def compare(batch, options):
    print(f"\nbatch {batch}: each peer's settings", file=sys.stderr)
    contestants = {"this project": ours(batch, options.threads, options.program)}
    for family in FAMILIES:
        peer = Peer(family, batch, options)
        if peer.name:
            contestants[peer.name] = peer.run
        else:
            print(f"  {family}: not here", file=sys.stderr)
    turns = {name: [] for name in contestants}
    for _ in range(options.repeats):
        for name, run in contestants.items():
            turns[name].append(run(options.seconds))
    median = {name: statistics.median(rates) for name, rates in turns.items()}
    peers = [median[name] for name in median if name != "this project"]
    print(f"\ntraining step, batch {batch}, {options.threads} threads, "
          f"median of {options.repeats} turns")
    print(f"{'':58}{'images/s':>10}{'min':>9}{'max':>9}{'ours / it':>11}")
    for name, rate in median.items():
        print(f"{name:58}{rate:10.0f}{min(turns[name]):9.0f}{max(turns[name]):9.0f}"
              f"{median['this project'] / rate:11.2f}")
    if peers:
        print(f"ratio to the best peer: {median['this project'] / max(peers):.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--program", default="build/bench/training")
    parser.add_argument("--serve", choices=FAMILIES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    for batch in options.batch:
        if options.serve:
            serve(options.serve, batch, options)
        else:
            compare(batch, options)


if __name__ == "__main__":
    main()
