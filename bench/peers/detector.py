"""The SSD face detector in other runtimes: the forward pass of one picture.

OpenCV reads the Caffe files itself, up to version 4. The others get what caffe_onnx.py makes of
them, without the last step, which turns confidences into boxes.
"""
import glob
import os

import runtimes

MEANS = (104.0, 177.0, 123.0)


def files(folder):
    prototxt = os.path.join(folder, "deploy.prototxt")
    models = glob.glob(os.path.join(folder, "*.caffemodel"))
    if not os.path.exists(prototxt) or len(models) != 1:
        raise OSError(f"{folder}: expected deploy.prototxt and one .caffemodel in it")
    return prototxt, models[0]


def blob_of(path):
    """What blobFromImage(image, 1.0, (300, 300), (104, 177, 123)) makes of a picture."""
    import cv2
    import numpy as np
    image = cv2.imread(path)
    if image is None:
        raise OSError(f"{path}: cannot be read")
    small = cv2.resize(image, (300, 300), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    return np.ascontiguousarray((small - np.float32(MEANS)).transpose(2, 0, 1)[None])


def opencv(settings):
    import cv2
    prototxt, caffemodel = files(settings["model"])
    blob = blob_of(settings["picture"])

    def make(count, winograd):
        def start():
            cv2.setNumThreads(count)
            net = cv2.dnn.readNetFromCaffe(prototxt, caffemodel)
            net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
            net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
            if hasattr(net, "enableWinograd"):
                net.enableWinograd(winograd)

            def step():
                cv2.setNumThreads(count)
                net.setInput(blob)
                return net.forward()
            return step, float(step()[0, 0, :, 2].max())
        return start
    for winograd in (True, False):
        count = settings["threads"]
        yield f"OpenCV {cv2.__version__} DNN, {runtimes.plural(count)}" \
            f"{', Winograd' if winograd else ''}", make(count, winograd)


def confidence(outputs):
    return float(outputs[1].reshape(-1, 2)[:, 1].max())


def as_onnx(settings):
    import caffe_onnx
    return caffe_onnx.convert(*files(settings["model"])), blob_of(settings["picture"]), confidence


def onnxruntime(settings):
    return runtimes.onnxruntime_variants(*as_onnx(settings), settings["threads"])


def openvino(settings):
    return runtimes.openvino_variants(*as_onnx(settings), settings["threads"])


def openvino_bf16(settings):
    return runtimes.openvino_variants(*as_onnx(settings), settings["threads"], "bf16")


def ncnn(settings):
    """pnnx does not know LpNormalization."""
    import onnx
    bytes_, blob, check = as_onnx(settings)
    model = onnx.load_from_string(bytes_)
    nodes = []
    for node in model.graph.node:
        if node.op_type != "LpNormalization":
            nodes.append(node)
            continue
        length = node.output[0] + "/length"
        nodes.append(onnx.helper.make_node("ReduceL2", node.input, [length], axes=[1], keepdims=1))
        nodes.append(onnx.helper.make_node("Div", [node.input[0], length], node.output))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return runtimes.ncnn_variants(model.SerializeToString(), blob, check, settings["threads"], 2)
