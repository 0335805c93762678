"""LivenessNet in other frameworks: the training step, and the forward pass.

A training step is forward, backward and Adam on one batch that is in memory, as in
bench/training.c; the layers are those of nn/model/livenessnet.c.
"""
import os

import runtimes

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


# ---- PyTorch -------------------------------------------------------------------------------------

def torch_model():
    from torch import nn

    def norm(layer, k):
        return layer(k, eps=1e-3, momentum=0.01)

    def block(c, k):
        return [nn.Conv2d(c, k, 3, padding=1), nn.ReLU(), norm(nn.BatchNorm2d, k),
                nn.Conv2d(k, k, 3, padding=1), nn.ReLU(), norm(nn.BatchNorm2d, k),
                nn.MaxPool2d(2), nn.Dropout(0.25)]
    return nn.Sequential(*block(3, 16), *block(16, 32), nn.Flatten(), nn.Linear(2048, 64),
                         nn.ReLU(), norm(nn.BatchNorm1d, 64), nn.Dropout(0.5), nn.Linear(64, 2))


def torch_names(threads):
    """(name, threads, channels last, compiled) of all settings."""
    import torch
    for count in runtimes.counts(threads):
        for last in (True, False):
            for compiled in (False, True):
                yield f"PyTorch {torch.__version__.split('+')[0]}, {runtimes.plural(count)}, " \
                    f"channels {'last' if last else 'first'}{', compiled' if compiled else ''}", \
                    count, last, compiled


def torch_start(count, last, batch):
    import torch
    torch.set_num_threads(count)
    torch.manual_seed(1)
    layout = torch.channels_last if last else torch.contiguous_format
    return (torch_model().to(memory_format=layout),
            torch.rand(batch, 3, 32, 32).to(memory_format=layout))


def torch_step(settings):
    import torch
    batch = settings["batch"]

    def make(count, last, compiled):
        def start():
            net, x = torch_start(count, last, batch)
            y = torch.arange(batch) % 2
            optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, eps=1e-7, fused=True)
            criterion = torch.nn.CrossEntropyLoss()

            def loss(x, y):
                return criterion(net(x), y)
            forward = torch.compile(loss) if compiled else loss

            def step():
                torch.set_num_threads(count)
                optimizer.zero_grad(set_to_none=True)
                forward(x, y).backward()
                optimizer.step()
            return step, None
        return start
    for name, *how in torch_names(settings["threads"]):
        yield name, make(*how)


def torch_forward(settings):
    import torch
    import torch._inductor.config
    torch._inductor.config.freezing = True  # weights are constants, and are packed

    def make(count, last, compiled):
        def start():
            net, x = torch_start(count, last, settings["batch"])
            net = torch.nn.Sequential(net, torch.nn.Softmax(1)).eval()
            run = torch.compile(net) if compiled else net

            def step():
                torch.set_num_threads(count)
                with torch.inference_mode():
                    return run(x)
            return step, check([step().numpy()])
        return start
    for name, *how in torch_names(settings["threads"]):
        yield name, make(*how)


# ---- Keras ---------------------------------------------------------------------------------------

def keras_model():
    import keras
    layers = keras.layers
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


def keras_step(settings):
    """TensorFlow's threads are set once in a process: run.py starts one for each number."""
    import numpy as np
    import tensorflow as tf
    import keras
    batch, threads = settings["batch"], settings["threads"]
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    def make(jit):
        def start():
            net = keras_model()
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
            return lambda: step().numpy(), None
        return start
    for jit in (False, True):
        yield f"Keras {keras.__version__} / TensorFlow {tf.__version__}, " \
            f"{runtimes.plural(threads)}{', XLA' if jit else ''}", make(jit)


# ---- as ONNX, for the forward pass ---------------------------------------------------------------

def onnx_model(batch):
    """Random weights: what is computed costs the same."""
    import numpy as np
    from onnx import TensorProto, checker, helper, numpy_helper
    rng = np.random.default_rng(1)
    nodes, constants = [], []

    def constant(array):
        name = f"constant{len(constants)}"
        constants.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def node(op, x, *arrays, **attributes):
        name = f"{op}{len(nodes)}"
        nodes.append(helper.make_node(op, [x, *map(constant, arrays)], [name], **attributes))
        return name

    def norm(x, k):
        return node("BatchNormalization", node("Relu", x), rng.uniform(0.5, 1.5, k),
                    rng.normal(size=k), rng.normal(size=k), rng.uniform(0.5, 1.5, k), epsilon=1e-3)

    def dense(x, c, k):
        return node("Gemm", x, rng.normal(size=(k, c)) / c ** 0.5, np.zeros(k), transB=1)
    x, c = "input", 3
    for k in (16, 32):
        for _ in range(2):
            x = node("Conv", x, rng.normal(size=(k, c, 3, 3)) / (9 * c) ** 0.5, np.zeros(k),
                     kernel_shape=[3, 3], pads=[1, 1, 1, 1])
            x, c = norm(x, k), k
        x = node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = dense(norm(dense(node("Flatten", x, axis=1), 2048, 64), 64), 64, 2)
    x = node("Softmax", x, axis=1)
    graph = helper.make_graph(
        nodes, "livenessnet",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, 32, 32])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [batch, 2])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    checker.check_model(model)
    return model.SerializeToString()


def check(outputs):
    """The last image's probabilities sum to one."""
    total = float(outputs[0].reshape(-1, 2)[-1].sum())
    if not abs(total - 1) < 1e-3:
        raise ValueError(f"the probabilities sum to {total}")
    return None


def picture(batch):
    import numpy as np
    return np.random.default_rng(2).random((batch, 3, 32, 32), np.float32)


def onnxruntime_forward(settings):
    batch = settings["batch"]
    return runtimes.onnxruntime_variants(onnx_model(batch), picture(batch), check,
                                         settings["threads"])


def openvino_forward(settings):
    batch = settings["batch"]
    return runtimes.openvino_variants(onnx_model(batch), picture(batch), check,
                                      settings["threads"])


def ncnn_forward(settings):
    return runtimes.ncnn_variants(onnx_model(1), picture(settings["batch"]), check,
                                  settings["threads"], 1)
