#!/usr/bin/env python3
"""A Caffe SSD as ONNX, for runtimes that do not read Caffe.

    python3 bench/peers/caffe_onnx.py deploy.prototxt weights.caffemodel detector.onnx

Ends in the network's locations and confidences: PriorBox, which depends on shapes alone, and
DetectionOutput, which ONNX has not got, are left out. Batch norm and the scale behind it become one
node. Knows the layers of the res10 face detector, and says so of any other.
"""
import re
import sys

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper


# ---- prototxt: protobuf's text format ------------------------------------------------------------

def parse_text(text):
    """{'layer': [{...}, ...]}: every field is a list."""
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[{}:]|[^\s{}:#"\']+|#[^\n]*', text)
    tokens = [token for token in tokens if not token.startswith("#")]
    place = 0

    def value(token):
        if token[0] in "\"'":
            return token[1:-1]
        try:
            return int(token)
        except ValueError:
            pass
        try:
            return float(token)
        except ValueError:
            return {"true": True, "false": False}.get(token, token)

    def message():
        nonlocal place
        fields = {}
        while place < len(tokens) and tokens[place] != "}":
            name = tokens[place]
            place += 1
            if tokens[place] == ":":
                place += 1
            if tokens[place] == "{":
                place += 1
                fields.setdefault(name, []).append(message())
            else:
                fields.setdefault(name, []).append(value(tokens[place]))
            place += 1
        return fields

    return message()


# ---- caffemodel: protobuf's wire format -----------------------------------------------------------

def varint(data, place):
    number = shift = 0
    while True:
        byte = data[place]
        number |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return number, place


def fields_of(data):
    """(number, value) pairs: an int, or bytes."""
    place = 0
    while place < len(data):
        key, place = varint(data, place)
        kind = key & 7
        if kind == 0:
            number, place = varint(data, place)
            yield key >> 3, number
            continue
        size = {1: 8, 5: 4}.get(kind)
        if size is None:
            size, place = varint(data, place)
        yield key >> 3, data[place:place + size]
        place += size


def read_dims(data):
    dims = []
    for _, part in fields_of(data):
        place = 0
        while not isinstance(part, int) and place < len(part):  # packed
            dim, place = varint(part, place)
            dims.append(dim)
        if isinstance(part, int):
            dims.append(part)
    return dims


def read_blob(data):
    values, shape, legacy = [], None, {}
    for field, content in fields_of(data):
        if field in (5, 8):  # data, double_data; packed or one by one
            values.append(np.frombuffer(content, "<f4" if field == 5 else "<f8"))
        elif field == 7:
            shape = read_dims(content)
        elif field in (1, 2, 3, 4):
            legacy[field] = content
    if shape is None:
        shape = [legacy.get(i, 1) for i in (1, 2, 3, 4)]
    return np.concatenate(values).astype(np.float32).reshape(shape)


def read_weights(path):
    """{layer's name: [blob, ...]}"""
    weights = {}
    for field, content in fields_of(memoryview(open(path, "rb").read())):
        if field not in (100, 2):  # LayerParameter, V1LayerParameter
            continue
        name_field, blob_field = (1, 7) if field == 100 else (4, 6)
        name, blobs = "", []
        for number, part in fields_of(content):
            if number == name_field:
                name = bytes(part).decode()
            elif number == blob_field:
                blobs.append(read_blob(part))
        if blobs:
            weights[name] = blobs
    return weights


# ---- layers -----------------------------------------------------------------------------------------

class Converter:
    def __init__(self, network, weights):
        self.network, self.weights = network, weights
        self.nodes, self.initializers = [], []
        self.now = {}      # a blob's tensor: layers in place give it a new one
        self.pending = {}  # blobs that wait for the Scale behind their BatchNorm
        self.left_out = set()

    def constant(self, name, array):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op, layer, inputs, blob, **attributes):
        name = layer["name"][0]
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        self.now[blob] = name

    def read(self, blob):
        if blob in self.pending:
            layer, arrays = self.pending.pop(blob)
            self.batch_norm(layer, layer, arrays, np.ones_like(arrays[0]), np.zeros_like(arrays[0]))
        return self.now[blob]

    def batch_norm(self, norm, last, arrays, scale, shift):
        name = norm["name"][0]
        constants = [self.constant(f"{name}/{what}", array) for what, array in
                     zip(("scale", "shift", "mean", "variance"), (scale, shift, *arrays[:2]))]
        self.node("BatchNormalization", last, [arrays[2], *constants], last["top"][0],
                  epsilon=arrays[3])

    def convert(self, layer):
        kind, name, top = layer["type"][0], layer["name"][0], layer["top"][0]
        bottoms = layer.get("bottom", [])
        if kind in ("PriorBox", "DetectionOutput") or any(b in self.left_out for b in bottoms):
            self.left_out.add(top)
            return
        blobs = self.weights.get(name, [])
        options = next((v[0] for k, v in layer.items() if k.endswith("_param")), {})

        def option(key, fallback):
            return options.get(key, [fallback])[0]

        if kind == "Scale" and bottoms[0] in self.pending:
            norm, arrays = self.pending.pop(bottoms[0])
            shift = blobs[1] if len(blobs) > 1 else np.zeros_like(blobs[0])
            self.batch_norm(norm, layer, arrays, blobs[0].ravel(), shift.ravel())
            return
        x = [self.read(blob) for blob in bottoms]
        if kind == "Convolution":
            pad, size = option("pad", 0), option("kernel_size", 0)
            stride, dilation = option("stride", 1), option("dilation", 1)
            inputs = x + [self.constant(f"{name}/weights", blobs[0])]
            if len(blobs) > 1:
                inputs.append(self.constant(f"{name}/bias", blobs[1].ravel()))
            self.node("Conv", layer, inputs, top, kernel_shape=[size] * 2, strides=[stride] * 2,
                      pads=[pad] * 4, dilations=[dilation] * 2, group=option("group", 1))
        elif kind == "BatchNorm":
            factor = float(blobs[2].ravel()[0])
            factor = 1 / factor if factor else 0.0
            self.pending[top] = (layer, [blobs[0].ravel() * np.float32(factor),
                                         blobs[1].ravel() * np.float32(factor), x[0],
                                         option("eps", 1e-5)])
        elif kind == "ReLU":
            self.node("Relu", layer, x, top)
        elif kind == "Eltwise" and option("operation", "SUM") == "SUM" and "coeff" not in options:
            self.node("Add", layer, x, top)
        elif kind == "Pooling" and option("pool", "MAX") == "MAX":
            size = option("kernel_size", 0)
            self.node("MaxPool", layer, x, top, kernel_shape=[size] * 2, ceil_mode=1,
                      strides=[option("stride", 1)] * 2, pads=[option("pad", 0)] * 4)
        elif kind == "Normalize" and not option("across_spatial", True):
            self.nodes.append(helper.make_node("LpNormalization", x, [name + "/unit"], axis=1, p=2))
            scale = self.constant(f"{name}/scale", blobs[0].reshape(1, -1, 1, 1))
            self.node("Mul", layer, [name + "/unit", scale], top)
        elif kind == "Permute":
            self.node("Transpose", layer, x, top, perm=options["order"])
        elif kind == "Flatten":
            self.node("Flatten", layer, x, top, axis=option("axis", 1))
        elif kind == "Concat":
            self.node("Concat", layer, x, top, axis=option("axis", 1))
        elif kind == "Softmax":
            self.node("Softmax", layer, x, top, axis=option("axis", 1))
        elif kind == "Reshape":
            shape = self.constant(f"{name}/shape", np.array(options["shape"][0]["dim"], np.int64))
            self.node("Reshape", layer, [*x, shape], top)
        else:
            raise SystemExit(f"{name}: the layer {kind} with these parameters is not known here")

    def model(self):
        shape = [int(d) for d in self.network["input_shape"][0]["dim"]]
        source = self.network["input"][0]
        self.now[source] = source
        outputs = None
        for layer in self.network["layer"]:
            if layer["type"][0] == "DetectionOutput":
                outputs = [self.read(blob) for blob in layer["bottom"][:2]]
            self.convert(layer)
        if not outputs:
            raise SystemExit("this network has no DetectionOutput")

        def value(name, dims):
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)

        graph = helper.make_graph(self.nodes, "detector", [value(source, shape)],
                                  [value(name, [1, None]) for name in outputs], self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        checker.check_model(model)
        return model


def convert(prototxt, caffemodel):
    """The bytes of an ONNX model with one input and the outputs [locations, confidences]."""
    network = parse_text(open(prototxt).read())
    return Converter(network, read_weights(caffemodel)).model().SerializeToString()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__.strip().splitlines()[2].strip())
    with open(sys.argv[3], "wb") as file:
        file.write(convert(sys.argv[1], sys.argv[2]))
