"""The report of run.py: the machine, the targets, a table for each row. Markdown."""
import datetime
import json
import os
import platform
import re
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
KNOWN = ("torch", "tensorflow_cpu", "keras", "onnx", "onnxruntime", "openvino", "ncnn", "pnnx",
         "numpy", "opencv-python-headless")
ELSEWHERE = re.compile(r"(?<![^\s=])/\S*/(?=\S)")  # paths outside of the tree


# ---- the machine ---------------------------------------------------------------------------------

def cpu_name():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def load():
    return "{:.2f} {:.2f} {:.2f}".format(*os.getloadavg())


def ticks():
    """(all, stolen by other guests) since the machine started."""
    with open("/proc/stat") as file:
        numbers = [int(part) for part in file.readline().split()[1:9]]
    return sum(numbers), numbers[7]


def answer_of(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=HERE).stdout.strip()
    except OSError:
        return ""


class Machine:
    def __init__(self, options):
        self.options, self.cores = options, len(os.sched_getaffinity(0))
        self.start, self.load, self.ticks = datetime.datetime.now(), [load()], ticks()
        self.peaks = [self.measure()]

    def measure(self):
        """{threads: (level, GFLOP/s)} as the program measures them."""
        found = {}
        for threads in sorted({1, self.cores}):
            try:
                done = subprocess.run([self.options.program, "bench", "--json", "--seconds", "0.1",
                                       "--threads", str(threads)], capture_output=True, text=True)
                answer = json.loads(done.stdout)
                found[threads] = (answer["cpu"], answer["peak_gflops"])
            except (OSError, ValueError, KeyError):
                found[threads] = ("?", float("nan"))
        return found

    def finish(self):
        self.load.append(load())
        self.peaks.append(self.measure())
        after = ticks()
        self.stolen = (after[1] - self.ticks[1]) / max(after[0] - self.ticks[0], 1)
        self.minutes = (datetime.datetime.now() - self.start).total_seconds() / 60

    def lines(self):
        def peaks(found):
            return ", ".join(f"{gflops:.0f} GFLOP/s on {threads}" for threads, (_, gflops)
                             in found.items())
        yield "CPU", f"{cpu_name()}, {self.cores} cores, level {self.peaks[0][1][0]}"
        yield "own measured FMA peak before", peaks(self.peaks[0])
        yield "... and after", peaks(self.peaks[1])
        yield "load before; after", "; ".join(self.load)
        yield "stolen by other guests", f"{100 * self.stolen:.1f} %"
        yield "system", f"{platform.system()} {platform.release()}"
        yield "commit", answer_of(["git", "describe", "--always", "--dirty", "--abbrev=12"]) or "?"
        yield "measured", f"{self.start:%Y-%m-%d %H:%M}, {self.minutes:.0f} minutes"


def versions(interpreter):
    listed = answer_of([os.path.abspath(interpreter), "-m", "pip", "list", "--format", "json",
                        "--disable-pip-version-check"])
    return ", ".join(f"{one['name']} {one['version']}" for one in json.loads(listed or "[]")
                     if one["name"].lower() in KNOWN)


def missing(options):
    """What prepare.sh could not install."""
    try:
        with open(os.path.join(options.peers, "missing.txt")) as file:
            return [line.strip() for line in file if line.strip()]
    except OSError:
        return []


# ---- rows ----------------------------------------------------------------------------------------

def shown(milliseconds, work, unit):
    if unit == "images/s":
        return f"{1e3 * work / milliseconds:,.0f}"
    if unit == "GFLOP/s":
        return f"{1e-6 * work / milliseconds:.1f}"
    return f"{milliseconds:.3f}" if milliseconds < 10 else f"{milliseconds:.2f}"


def judged(row):
    """(target, wanted, ours, other, ratio) of each target of a row that could be measured."""
    for target, wanted, judge in row.judges:
        pair = judge(row.results)
        if pair:
            ours, other = pair
            yield target, wanted, ours, other, \
                (ours.work / ours.median) / (other.work / other.median)
        else:
            yield target, wanted, None, None, None


def plain(text):
    """Commands without what is this machine's alone."""
    return ELSEWHERE.sub(".../", text)


def verdict(row, wanted, ratio):
    if ratio is None:
        return "not built" if any("not built" in text for _, text in row.remarks) else \
            "not measured"
    if wanted is None:
        return f"measured {ratio:.2f}"
    return f"target {wanted:g}, measured {ratio:.2f}: {'met' if ratio >= wanted else '**not met**'}"


def row_text(row):
    return "\n".join(f"    {target}: {verdict(row, wanted, ratio)}"
                     for target, wanted, _, _, ratio in judged(row))


def target_lines(rows):
    yield "| target | work | ours | beside | its figure | ratio | verdict |"
    yield "|---|---|---:|---|---:|---:|---|"
    for row in rows:
        for target, wanted, ours, other, ratio in judged(row):
            figures = ["", "", "", ""] if ratio is None else \
                [f"{shown(ours.median, ours.work, row.unit)} {row.unit}", other.name,
                 f"{shown(other.median, other.work, row.unit)} {row.unit}", f"{ratio:.2f}"]
            yield f"| {target} | {row.title} | {' | '.join(figures)} | " \
                f"{verdict(row, wanted, ratio)} |"


def row_lines(row):
    yield f"\n### {row.title}\n"
    ours = next((one for one in row.results if one.mine), None)
    if row.results:
        yield f"| | {row.unit} | min | max | ours / it |"
        yield "|---|---:|---:|---:|---:|"
    for one in row.results:
        ends = [min(one.times), max(one.times)]
        figures = [shown(spent, one.work, row.unit) for spent in
                   (one.median, *(ends if row.unit == "ms" else ends[::-1]))]
        ratio = f"{(ours.work / ours.median) / (one.work / one.median):.2f}" if ours else ""
        name = f"**{one.name}**" if one.mine else one.name
        yield f"| {name} | {' | '.join(figures)} | {ratio} |"
    checks = [f"{one.check:.3f}" for one in row.results if one.check is not None]
    if checks:
        yield f"\nHighest confidence that the peers see: {', '.join(checks)}."
    if row.note:
        yield f"\n{row.note}"
    if row.lines:
        yield "\n" + "\n".join(f"    {plain(line)}" for line in row.lines)
    if row.remarks:
        yield "\n<details><summary>settings tried</summary>\n"
        yield from (f"- {name}: {plain(text)}" for name, text in row.remarks)
        yield "\n</details>"


# ---- all of it -----------------------------------------------------------------------------------

def text(rows, left_out, machine, limited, options):
    lines = [f"# Beside its peers: {cpu_name()}, {machine.start:%Y-%m-%d}", "",
             f"Medians of {options.repeats} turns of {options.seconds:g} s that the contestants "
             "took one after the other, with the",
             "least and the most. Each peer enters with the best two of its settings.", "",
             f"    {plain(options.command)}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in machine.lines()]
    lines += [f"| peers | {versions(options.python)} |",
              f"| ... OpenCV 4 | {versions(options.opencv) or 'not here'} |"]
    lines += [f"| does not install | {line} |" for line in missing(options)]
    if any("-avx2" in row.name for row in rows):
        lines.append("| peers at AVX2 | by their own switches" + (
            ", and by a CPUID without AVX-512 (cpuid_avx2.c) |" if limited else
            "; CPUID cannot be changed here, so ONNX Runtime and ncnn are not limited |"))
    lines += ["", "## Targets", "", *target_lines(rows)]
    if left_out:
        names = "; ".join(f"{row.name} ({why})" for row, why in left_out)
        lines += ["", f"Left out: {names}."]
    lines += ["", "## Rows"]
    for row in rows:
        lines += row_lines(row)
    return "\n".join(lines) + "\n"
