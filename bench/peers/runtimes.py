"""Runtimes that take a network as ONNX, with the settings they are tried with.

Each yields (name, start) for contest.py. `model` are the bytes of a network in which an image is
NCHW; `x` is what it sees; `check` makes a number of its list of outputs.
"""
import os
import subprocess
import sys
import tempfile


def counts(threads):
    return sorted({1, threads})


def plural(count):
    return f"{count} thread{'s'[:count > 1]}"


def onnxruntime_variants(model, x, check, threads):
    import onnxruntime

    def make(count, bound, parallel):
        def start():
            settings = onnxruntime.SessionOptions()
            settings.intra_op_num_threads = count
            settings.inter_op_num_threads = 1
            settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
            if parallel:
                settings.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
            session = onnxruntime.InferenceSession(model, settings,
                                                   providers=["CPUExecutionProvider"])
            name = session.get_inputs()[0].name
            value = check(session.run(None, {name: x}))
            if not bound:
                return lambda: session.run(None, {name: x}), value
            binding = session.io_binding()
            binding.bind_cpu_input(name, x)
            for output in session.get_outputs():
                binding.bind_output(output.name, "cpu")
            return lambda: session.run_with_iobinding(binding), value
        return start
    for count in counts(threads):
        for what, bound, parallel in (("", False, False), (", bound", True, False),
                                      (", parallel", False, True)):
            yield f"ONNX Runtime {onnxruntime.__version__}, {plural(count)}{what}", \
                make(count, bound, parallel)


def openvino_variants(model, x, check, threads, precision="f32"):
    import openvino

    def make(count, hint):
        def start():
            core = openvino.Core()
            compiled = core.compile_model(core.read_model(model), "CPU", {
                "INFERENCE_NUM_THREADS": count, "PERFORMANCE_HINT": hint, "NUM_STREAMS": 1,
                "INFERENCE_PRECISION_HINT": precision})
            request = compiled.create_infer_request()
            request.set_input_tensor(openvino.Tensor(x, shared_memory=True))
            request.infer()
            outputs = [request.get_output_tensor(i).data for i in range(len(compiled.outputs))]
            return lambda: request.infer(share_outputs=True), check(outputs)
        return start
    version = openvino.__version__.split("-")[0]
    for count in counts(threads):
        for hint in ("LATENCY", "THROUGHPUT"):
            yield f"OpenVINO {version}, {plural(count)}, {hint.lower()}" \
                f"{'' if precision == 'f32' else ', ' + precision}", make(count, hint)


def ncnn_model(model, x, folder):
    """The paths of what pnnx makes of an ONNX model."""
    path = os.path.join(folder, "model.onnx")
    with open(path, "wb") as file:
        file.write(model)
    subprocess.run([os.path.join(os.path.dirname(sys.executable), "pnnx"), path,
                    f"inputshape=[{','.join(map(str, (1, *x.shape[1:])))}]f32"],
                   cwd=folder, check=True, stdout=sys.stderr)
    return [os.path.join(folder, "model.ncnn." + end) for end in ("param", "bin")]


def ncnn_variants(model, x, check, threads, outputs):
    import ncnn
    import numpy as np

    def make(count, winograd):
        def start():
            net = ncnn.Net()
            net.opt.num_threads = count
            net.opt.use_vulkan_compute = False
            net.opt.use_bf16_storage = net.opt.use_fp16_storage = False
            net.opt.use_fp16_arithmetic = False
            net.opt.use_winograd_convolution = winograd
            with tempfile.TemporaryDirectory() as folder:
                param, weights = ncnn_model(model, x, folder)
                if net.load_param(param) or net.load_model(weights):
                    raise RuntimeError("ncnn does not take what pnnx made")
            images = [ncnn.Mat(image).clone() for image in x]

            def step():  # it knows no batches
                for image in images:
                    run = net.create_extractor()
                    run.input("in0", image)
                    found = [run.extract(f"out{i}")[1] for i in range(outputs)]
                return found
            return step, check([np.array(output)[None] for output in step()])
        return start
    for count in counts(threads):
        for winograd in (True, False):
            yield f"ncnn {ncnn.__version__}, {plural(count)}" \
                f"{'' if winograd else ', no Winograd'}", make(count, winograd)


# ---- for orientation -----------------------------------------------------------------------------

def sgemm(settings):
    """numpy's BLAS; its threads are set by the environment."""
    import numpy as np
    size = settings["size"]

    def start():
        a, b = (np.random.default_rng(i).random((size, size), np.float32) for i in (1, 2))
        c = np.empty((size, size), np.float32)
        return lambda: np.matmul(a, b, out=c), None
    build = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    yield f"{build['name']} {build['version']} in numpy {np.__version__}, SGEMM {size}", start
