"""Contestants that take turns: what all comparisons have in common.

A machine whose speed drifts is fair only to those who take turns in one run. A peer is a process of
its own (TensorFlow and PyTorch do not share one; OpenCV 4 wants an environment of its own), is
tried with several settings, and enters with its best two. It sleeps while others have their turn.

    PYTHON contest.py MODULE FUNCTION SETTINGS     is such a process

FUNCTION(settings) yields (name, start); start() gives (step, check): what is measured, and a number
about what it computed on which contestants should agree, or None.
"""
import ctypes
import importlib
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import time

FINALISTS = 2
PATIENCE = 900  # seconds; compilers take their time
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def measure(step, seconds):
    """Milliseconds of a call as `liveness bench` measures it (the median of turns that are long
    enough for the clock), and of the mean call."""
    count, start = 0, time.perf_counter()
    while count < 2 or time.perf_counter() - start < 0.2 * seconds:
        step()
        count += 1
    each = (time.perf_counter() - start) / count
    repeats = 1 + int(max(1e-3, seconds / 4000) / each)
    turns, first = [], time.perf_counter()
    while len(turns) < 3 or time.perf_counter() - first < seconds:
        start = time.perf_counter()
        for _ in range(repeats):
            step()
        turns.append((time.perf_counter() - start) / repeats)
    return 1e3 * statistics.median(turns), 1e3 * statistics.fmean(turns)


# ---- a peer's process ----------------------------------------------------------------------------

class Setting:
    """One of a peer's settings. .error says why it cannot run here."""

    def __init__(self, name, start, seconds):
        self.name, self.error, self.milliseconds = name, None, float("inf")
        try:
            self.step, self.check = start()
            self.measure(seconds)
        except Exception as error:  # of whatever kind: it is a line in the report
            self.error = f"does not run here ({type(error).__name__}: {str(error)[:100]})"

    def measure(self, seconds):
        self.milliseconds = min(self.milliseconds, measure(self.step, seconds)[0])

    def remark(self):
        return [self.name, self.error or f"{self.milliseconds:.3f} ms"]


def finalists(settings, seconds):
    """The best two, unless the second is far off. Those that might be are measured twice, lest a
    disturbance decides."""
    runs = [one for one in settings if not one.error]
    least = min((one.milliseconds for one in runs), default=0)
    for one in runs:
        if one.milliseconds < 2 * least:
            one.measure(seconds)
    best = sorted(runs, key=lambda one: one.milliseconds)[:FINALISTS]
    return [one for one in best if one.milliseconds < 1.25 * best[0].milliseconds]


def serve(module, function, settings):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the peer itself prints is talk
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    remarks, tried, seconds = [], [], settings["seconds"]
    try:
        variants = getattr(importlib.import_module(module), function)(settings)
        tried = [Setting(name, start, seconds) for name, start in variants]
    except (ImportError, OSError) as error:
        remarks.append([function, f"not here: {error}"])
    found = finalists(tried, seconds)
    remarks += [one.remark() for one in tried]
    print(json.dumps({"tried": remarks, "entered": [[one.name, one.check] for one in found]}),
          file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps([measure(one.step, float(line)) for one in found]), file=answers,
              flush=True)


# ---- contestants: .names, .check, .remarks, and run(), the figures of a turn ---------------------

class Peer:
    mine = False

    def __init__(self, interpreter, module, function, settings, environment, log):
        self.remarks, self.names, self.checks = [], [], []
        self.mean, self.work = settings.get("mean", False), settings.get("work", 1)
        try:
            self.process = subprocess.Popen(
                [interpreter, os.path.abspath(__file__), module, function, json.dumps(settings)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, **environment}, start_new_session=True,
                preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
        except OSError as error:
            self.process, self.remarks = None, [[function, f"not here: {error}"]]
            return
        answer = self.answer() or {"tried": [[function, "ended early"]], "entered": []}
        self.remarks = answer["tried"]
        self.names = [name for name, _ in answer["entered"]]
        self.checks = [check for _, check in answer["entered"]]
        self.signal(signal.SIGSTOP)

    def signal(self, number):
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def answer(self):
        if select.select([self.process.stdout], [], [], PATIENCE)[0]:
            line = self.process.stdout.readline()
            return json.loads(line) if line else None
        self.signal(signal.SIGKILL)
        return None

    def run(self, seconds):
        self.signal(signal.SIGCONT)
        try:
            print(seconds, file=self.process.stdin, flush=True)
            answer = self.answer()
        except BrokenPipeError:
            answer = None
        self.signal(signal.SIGSTOP)
        return [one[self.mean] for one in answer] if answer else None

    def close(self):
        if self.process:
            self.signal(signal.SIGKILL)
            self.process.wait()


class Ours:
    """A command of this project that prints JSON; `read` finds the milliseconds in it."""
    mine = True

    def __init__(self, name, command, read, work=1, level=None):
        self.names, self.checks, self.remarks = [name], [None], []
        self.command, self.read, self.work = command, read, work
        self.environment = {**os.environ, **({"NN_CPU": level} if level else {})}
        prefix = f"NN_CPU={level} " if level else ""
        self.line = prefix + " ".join(command)

    def run(self, seconds):
        command = [part.replace("SECONDS", str(seconds)) for part in self.command]
        try:
            done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
            return [self.read(json.loads(done.stdout))]
        except (OSError, ValueError, KeyError) as error:
            talk = "" if isinstance(error, OSError) else done.stderr.strip()
            what = "not built" if "unknown option" in talk else "failed"
            self.remarks = [[self.names[0], f"{what}: {(talk or repr(error)).splitlines()[0]}"]]
            return None

    def close(self):
        pass


# ---- turns ---------------------------------------------------------------------------------------

class Result:
    def __init__(self, name, check, one):
        self.name, self.check, self.mine, self.work, self.times = \
            name, check, one.mine, one.work, []

    @property
    def median(self):
        return statistics.median(self.times)


def take_turns(contestants, repeats, seconds):
    """A Result for each name; those who fall silent are left out."""
    entries = [(one, [Result(name, check, one) for name, check in zip(one.names, one.checks)])
               for one in contestants if one.names]
    for _ in range(repeats):
        for entry in list(entries):
            times = entry[0].run(seconds)
            if times is None:
                entries.remove(entry)
                continue
            for result, spent in zip(entry[1], times):
                result.times.append(spent)
    return [result for _, results in entries for result in results]


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
