#!/usr/bin/env python3
"""Writes caffe/: small Caffe networks of our own, and what OpenCV 4 answers to them.

    python3 tests/golden/make_caffe.py        (OpenCV 4.11 made the committed files; 5 has no Caffe)

NAME.prototxt, NAME.caffemodel   a network; weights are a formula of the layer's name
expected.txt                     "NAME images: LAYER ..." per network, then one line per layer:
                                 "LAYER layout axes shape" of OpenCV's answer, in Caffe's order;
                                 layout: how the engine's node has it, nhwc or plain (as Caffe);
                                 last: the node is the graph's last one, plain
expected.f32                     the answers, float32, in the order of expected.txt

The input is a formula too (value()), in NHWC order, as tests/test_caffe.c makes it. What OpenCV
answers otherwise than Caffe, and where it cannot read a network that Caffe reads, is computed here
from Caffe's formulas (the functions below that say so).
"""
import os
import struct
import zlib

import cv2
import numpy as np

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "caffe")


def value(count):
    i = np.arange(count, dtype=np.int64)
    return (((i * 7919 + 13) % 2003) / 1001.5 - 1).astype(np.float32)


def weights(name, index, shape, low=-1.0, high=1.0):
    count = int(np.prod(shape))
    i = np.arange(count, dtype=np.int64) + zlib.crc32(f"{name}/{index}".encode()) % 9973
    unit = ((i * 5987 + 7) % 1999) / 1999
    return (low + (high - low) * unit).astype(np.float32).reshape(shape)


# ---- protobuf's wire format ----------------------------------------------------------------------

def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, kind, payload):
    head = varint(number << 3 | kind)
    return head + (varint(len(payload)) + payload if kind == 2 else payload)


def blob_v2(array):
    dims = b"".join(varint(d) for d in array.shape)
    shape = field(7, 2, field(1, 2, dims) if dims else b"")
    return shape + field(5, 2, array.astype("<f4").tobytes())


def blob_double(array):
    dims = b"".join(field(1, 0, varint(d)) for d in array.shape)
    return field(7, 2, dims) + field(8, 2, array.astype("<f8").tobytes())


def blob_old(array):
    """num, channels, height, width; data not packed."""
    dims = (1,) * (4 - array.ndim) + array.shape
    out = b"".join(field(i + 1, 0, varint(d)) for i, d in enumerate(dims))
    return out + b"".join(field(5, 5, struct.pack("<f", x)) for x in array.ravel())


V1 = {"Convolution": 4, "ReLU": 18, "Pooling": 17, "InnerProduct": 14, "Softmax": 20,
      "Concat": 3, "Eltwise": 25, "Flatten": 8, "Dropout": 6}


def caffemodel(layers, v1=False, blob=blob_v2):
    out = field(1, 2, b"made by make_caffe.py")
    for name, (kind, arrays) in layers.items():
        blobs = [blob(np.asarray(a, np.float32)) for a in arrays]
        if v1:
            body = field(4, 2, name.encode()) + field(5, 0, varint(V1[kind]))
            body += b"".join(field(6, 2, b) for b in blobs)
        else:
            body = field(1, 2, name.encode()) + field(2, 2, kind.encode())
            body += b"".join(field(7, 2, b) for b in blobs)
        out += field(2 if v1 else 100, 2, body)
    return out


# ---- networks ------------------------------------------------------------------------------------

class Net:
    def __init__(self, name, shape, outputs, header="", v1=False, blob=blob_v2):
        self.name, self.shape, self.outputs = name, shape, outputs
        self.v1, self.blob, self.answers = v1, blob, {}
        dims = " ".join(f"dim: {d}" for d in (1, *shape[1:]))
        self.text = header or f'name: "{name}"\ninput: "data"\ninput_shape {{ {dims} }}\n'
        self.layers = {}

    def absent(self, text):
        self.text += text + "  # absent\n"

    def add(self, name, kind, bottoms, body="", blobs=(), top=None, low=-1.0, high=1.0):
        """blobs: shapes, or arrays."""
        bottoms = " ".join(f'bottom: "{b}"' for b in bottoms.split())
        tops = " ".join(f'top: "{t}"' for t in (top or name).split())
        self.text += f'layer {{\n  name: "{name}" type: "{kind}"\n  {bottoms} {tops}\n'
        self.text += f"  {body}\n}}\n" if body else "}\n"
        self.layers[name] = (kind, [weights(name, i, b, low, high) if isinstance(b, tuple) else b
                                    for i, b in enumerate(blobs)])
        return self


PLAIN, LAST = ("mid", "det"), ("p3",)  # of four axes, but not NHWC
NETS = []


def net(*args, **kwargs):
    NETS.append(Net(*args, **kwargs))
    return NETS[-1]


def build():
    n = net("conv", (2, 3, 9, 11), ["relu1", "conv2", "conv3", "conv4"])
    n.add("conv1", "Convolution", "data", "convolution_param { num_output: 8 kernel_size: 3 "
          'stride: 2 pad: 1 weight_filler { type: "xavier" } bias_filler { value: 0.5 } }',
          [(8, 3, 3, 3), (8,)])
    n.add("relu1", "ReLU", "conv1", top="conv1")
    n.add("conv2", "Convolution", "conv1", "param { lr_mult: 1 } convolution_param { "
          "num_output: 6 bias_term: false kernel_h: 3 kernel_w: 1 stride_h: 1 stride_w: 2 "
          "pad_h: 2 pad_w: 0 group: 2 engine: CAFFE }", [(6, 4, 3, 1)])
    n.add("conv3", "Convolution", "conv1", "convolution_param { num_output: 5 kernel_size: 3 "
          "dilation: 2 pad: 2 axis: 1 }", [(5, 8, 3, 3), (5,)])
    n.add("conv4", "Convolution", "conv3", "convolution_param { num_output: 5 group: 5 "
          "kernel_size: 1 kernel_size: 3 pad: 0 pad: 1 stride: [2, 1] }", [(5, 1, 1, 3), (5,)])

    n = net("norms", (2, 4, 5, 6), ["bn0", "relu", "bn_zero", "prelu", "prelu1", "leaky", "sig"])
    stats = [weights("bn0", 0, (4,)), weights("bn0", 1, (4,), 0.1, 2.0), np.float32([2.5])]
    n.add("bn0", "BatchNorm", "data", "batch_norm_param { use_global_stats: true }", stats)
    n.add("scale0", "Scale", "bn0", "scale_param { bias_term: true }", [(4,), (4,)], top="scale0")
    n.add("conv", "Convolution", "scale0", "convolution_param { num_output: 6 kernel_size: 3 "
          "bias_term: false }", [(6, 4, 3, 3)])
    stats = [weights("bn1", 0, (6,)), weights("bn1", 1, (6,), 0.5, 9.0), np.float32([0.75])]
    n.add("bn1", "BatchNorm", "conv", "batch_norm_param { eps: 0.002 } param { lr_mult: 0 } "
          "param { lr_mult: 0 decay_mult: 0 } param { lr_mult: 0 }", stats, top="conv")
    n.add("scale1", "Scale", "conv", "scale_param { filler { value: 1 } }", [(6,)], top="conv")
    n.add("relu", "ReLU", "conv", "relu_param { engine: CUDNN }", top="relu")
    stats = [weights("bn2", 0, (6,)), weights("bn2", 1, (6,), 0.1, 2.0), np.float32([0])]
    n.add("bn_zero", "BatchNorm", "relu", "batch_norm_param { eps: 0.5 }", stats)
    n.add("prelu", "PReLU", "conv", blobs=[(6,)])
    n.add("prelu1", "PReLU", "conv", "prelu_param { channel_shared: true }",
          [np.float32([0.25]).reshape(())])
    n.add("leaky", "ReLU", "conv", "relu_param { negative_slope: 0.125 }")
    n.add("sig", "Sigmoid", "conv")
    n.add("drop", "Dropout", "sig", "dropout_param { dropout_ratio: 0.4 }", top="sig")

    pools = {"max32": "kernel_size: 3 stride: 2", "max32p": "kernel_size: 3 stride: 2 pad: 1",
             "max22": "pool: MAX kernel_size: 2 stride: 2",
             "ave32p": "pool: AVE kernel_size: 3 stride: 2 pad: 1",
             "ave33": "pool: AVE kernel_size: 3 stride: 3",
             "avehw": "pool: AVE kernel_h: 2 kernel_w: 4 stride_h: 3 stride_w: 2 pad_h: 1 pad_w: 2",
             "max1": "pool: MAX kernel_size: 2", "gave": "pool: AVE global_pooling: true",
             "gmax": "pool: MAX global_pooling: true engine: CAFFE"}
    for h, w in ((8, 7), (6, 10)):
        n = net(f"pool{h}{w}", (2, 3, h, w), list(pools))
        for name, body in pools.items():
            n.add(name, "Pooling", "data", f"pooling_param {{ {body} }}")

    n = net("inner", (2, 3, 4, 5), ["ip1", "ip2", "ip4", "prob"])
    n.add("conv", "Convolution", "data", "convolution_param { num_output: 4 kernel_size: 3 }",
          [(4, 3, 3, 3), (4,)])
    n.add("ip1", "InnerProduct", "conv", 'inner_product_param { num_output: 7 weight_filler { '
          'type: "gaussian" std: 0.1 } }', [(7, 24), (7,)])
    n.add("relu", "ReLU", "ip1", top="ip1")
    n.add("drop", "Dropout", "ip1", "dropout_param { dropout_ratio: 0.5 }", top="ip1d")
    n.add("ip2", "InnerProduct", "ip1d", "inner_product_param { num_output: 5 bias_term: false }",
          [(5, 7)])
    n.add("perm", "Permute", "conv", "permute_param { order: 0 order: 3 order: 1 order: 2 }")
    n.add("ip4", "InnerProduct", "perm", "inner_product_param { num_output: 3 }", [(3, 24), (3,)])
    n.add("prob", "Softmax", "ip2")

    n = net("transposed", (2, 3, 4, 5), ["ip3", "ip5"])
    n.add("conv", "Convolution", "data", "convolution_param { num_output: 4 kernel_size: 3 }",
          [(4, 3, 3, 3), (4,)])
    n.add("ip3", "InnerProduct", "conv", "inner_product_param { num_output: 6 transpose: true "
          "axis: 1 }", [(24, 6), (6,)])
    n.add("ip5", "InnerProduct", "ip3", "inner_product_param { num_output: 2 transpose: true }",
          [(6, 2), (2,)])
    inner_by_caffe(n)

    n = net("eltwise", (2, 4, 5, 3), ["sum", "coeff", "prod", "max", "self", "flat"])
    for name in "abc":
        n.add(name, "Convolution", "data", "convolution_param { num_output: 4 kernel_size: 1 }",
              [(4, 4, 1, 1), (4,)])
    n.add("sum", "Eltwise", "a b c")
    n.add("coeff", "Eltwise", "a b c", "eltwise_param { operation: SUM coeff: 1 coeff: -0.5 "
          "coeff: 2 }")
    n.add("prod", "Eltwise", "a b c", "eltwise_param { operation: PROD stable_prod_grad: false }")
    n.add("max", "Eltwise", "a b c", "eltwise_param { operation: MAX }")
    n.add("self", "Eltwise", "a a")
    n.add("fa", "Flatten", "a")
    n.add("fb", "Flatten", "b")
    n.add("flat", "Eltwise", "fa fb", "eltwise_param { operation: MAX }")

    n = net("concat", (2, 2, 3, 4), ["channels", "dim", "rows", "many", "flat"])
    for i in range(18):
        n.add(f"c{i}", "Convolution", "data", "convolution_param { num_output: "
              f"{1 + i % 3} kernel_size: 1 }}", [(1 + i % 3, 2, 1, 1), (1 + i % 3,)])
    n.add("channels", "Concat", "c0 c1 data")
    n.add("dim", "Concat", "c1 c2", "concat_param { concat_dim: 1 }")
    n.add("rows", "Concat", "c0 c3 c6", "concat_param { axis: 2 }")
    n.add("many", "Concat", " ".join(f"c{i}" for i in range(18)), "concat_param { axis: -3 }")
    n.add("f2", "Flatten", "c2")
    n.add("f4", "Flatten", "c4", "flatten_param { axis: 1 }")
    n.add("flat", "Concat", "f2 f4", "concat_param { axis: 1 }")

    n = net("head", (2, 6, 4, 3), ["loc", "conf", "flat", "chw", "conv_r", "mid", "one"])
    for i, (kind, filters) in enumerate((("loc", 8), ("conf", 4))):
        for part in "ab":
            name = f"{kind}_{part}"
            n.add(name, "Convolution", "data", f"convolution_param {{ num_output: {filters} "
                  "kernel_size: 3 pad: 1 }", [(filters, 6, 3, 3), (filters,)])
            n.add(name + "_perm", "Permute", name,
                  "permute_param { order: 0 order: 2 order: 3 order: 1 }")
            n.add(name + "_flat", "Flatten", name + "_perm", "flatten_param { axis: 1 }")
        n.add(kind, "Concat", f"{kind}_a_flat {kind}_b_flat", "concat_param { axis: 1 }")
    n.add("reshape", "Reshape", "conf", "reshape_param { shape { dim: 0 dim: -1 dim: 2 } }")
    n.add("softmax", "Softmax", "reshape", "softmax_param { axis: 2 }")
    n.add("flat", "Flatten", "softmax", "flatten_param { axis: 1 }")
    n.add("chw", "Flatten", "loc_a")
    n.add("r4", "Reshape", "loc_a", "reshape_param { shape { dim: 0 dim: 4 dim: 0 dim: -1 } }")
    n.add("conv_r", "Convolution", "r4", "convolution_param { num_output: 3 kernel_size: 2 }",
          [(3, 4, 2, 2), (3,)])
    n.add("mid", "Reshape", "conf_b", "reshape_param { shape { dim: 2 dim: -1 } axis: 1 "
          "num_axes: 2 }")
    n.add("pool", "Pooling", "conf_a", "pooling_param { pool: AVE global_pooling: true }")
    n.add("one", "Flatten", "pool")

    n = net("axes", (2, 3, 4, 5), ["s1", "fs2", "fs3", "fsneg", "p1", "p2", "f23", "f12", "p3"])
    n.add("conv", "Convolution", "data", "convolution_param { num_output: 3 kernel_size: 1 }",
          [(3, 3, 1, 1), (3,)])
    n.add("s1", "Softmax", "conv")
    n.add("s2", "Softmax", "conv", "softmax_param { axis: 2 }")
    n.add("s3", "Softmax", "conv", "softmax_param { axis: 3 engine: CAFFE }")
    n.add("sneg", "Softmax", "conv", "softmax_param { axis: -2 }")
    for name in ("s2", "s3", "sneg"):
        n.add("f" + name, "Flatten", name)
    n.add("perm1", "Permute", "conv", "permute_param { order: 0 order: 3 order: 1 order: 2 }")
    n.add("p1", "Flatten", "perm1")
    n.add("perm2", "Permute", "perm1", "permute_param { order: 0 order: 2 order: 1 order: 3 }")
    n.add("p2", "Convolution", "perm2", "convolution_param { num_output: 2 kernel_size: 2 }",
          [(2, 3, 2, 2), (2,)])
    n.add("f23", "Flatten", "conv", "flatten_param { axis: 2 end_axis: 3 }")
    n.add("f12", "Flatten", "conv", "flatten_param { axis: 1 end_axis: -2 }")
    n.add("perm3", "Permute", "perm2", "permute_param { order: [0, 3, 2, 1] }")
    n.add("p3", "Eltwise", "perm3 perm3", "eltwise_param { operation: SUM }")

    n = net("normalize", (2, 4, 3, 5), ["n00", "n01", "n10", "n11", "n20"])
    n.add("n20", "Normalize", "data", "norm_param { across_spatial: false eps: 0.5 "
          "channel_shared: false }", [(4,)])
    for name, shape in (("00", (4,)), ("01", ()), ("10", (4,)), ("11", ())):
        across, shared = (("false", "true")[int(c)] for c in name)
        n.add("n" + name, "Normalize", "data", f"norm_param {{ across_spatial: {across} "
              f"channel_shared: {shared} scale_filler {{ type: \"constant\" value: 20 }} }}",
              [weights("n" + name, 0, shape, 2, 20)])
    normalize_by_caffe(n)

    n = net("deconv", (2, 4, 3, 5), ["d1", "d2", "d3", "d4"])
    n.add("d1", "Deconvolution", "data", "convolution_param { num_output: 3 kernel_size: 4 "
          "stride: 2 pad: 1 }", [(4, 3, 4, 4), (3,)])
    n.add("d2", "Deconvolution", "data", "convolution_param { num_output: 4 kernel_size: 2 "
          "stride: 2 bias_term: false group: 4 }", [(4, 1, 2, 2)])
    n.add("d3", "Deconvolution", "data", "convolution_param { num_output: 6 kernel_h: 3 "
          "kernel_w: 2 stride_h: 1 stride_w: 3 group: 2 pad_h: 1 pad_w: 0 }",
          [(4, 3, 3, 2), (6,)])
    n.add("d4", "Deconvolution", "data", "convolution_param { num_output: 2 kernel_size: 3 "
          "dilation: 2 pad: 1 }", [(4, 2, 3, 3), (2,)])
    deconv_by_caffe(n)

    n = net("crop", (2, 3, 7, 8), ["c1", "c2", "c3"])
    n.add("ref", "Pooling", "data", "pooling_param { kernel_size: 2 stride: 2 }")
    n.add("one", "Convolution", "ref", "convolution_param { num_output: 2 kernel_size: 1 }",
          [(2, 3, 1, 1), (2,)])
    n.add("c1", "Crop", "data ref", "crop_param { axis: 2 offset: 2 }")
    n.add("c2", "Crop", "data ref", "crop_param { axis: 2 offset: 1 offset: 3 }")
    n.add("c3", "Crop", "data one", "crop_param { axis: 1 offset: [1, 0, 4] }")

    n = net("ssd", (1, 3, 24, 32), ["priors", "prior_c", "loc", "conf", "det"])
    n.add("body", "Convolution", "data", "convolution_param { num_output: 6 kernel_size: 4 "
          "stride: 4 }", [(6, 3, 4, 4), (6,)])
    n.add("relu", "ReLU", "body", top="body")
    n.add("small", "Convolution", "body", "convolution_param { num_output: 6 kernel_size: 3 "
          "stride: 2 pad: 1 }", [(6, 6, 3, 3), (6,)])
    heads = (("body", 4), ("small", 6))
    for source, boxes in heads:
        for kind, width in (("loc", 4), ("conf", 3)):
            name = f"{source}_{kind}"
            filters = boxes * width
            n.add(name, "Convolution", source, f"convolution_param {{ num_output: {filters} "
                  "kernel_size: 3 pad: 1 }", [(filters, 6, 3, 3), (filters,)], low=-0.2, high=0.2)
            n.add(name + "_perm", "Permute", name,
                  "permute_param { order: 0 order: 2 order: 3 order: 1 }")
            n.add(name + "_flat", "Flatten", name + "_perm", "flatten_param { axis: 1 }")
    variances = "variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2"
    n.add("prior_a", "PriorBox", "body data", "prior_box_param { min_size: 6 max_size: 10 "
          f"aspect_ratio: 2 flip: true clip: true {variances} step: 4 offset: 0.5 }}")
    n.add("prior_b", "PriorBox", "small data", "prior_box_param { min_size: 11 max_size: 17 "
          f"aspect_ratio: 2 aspect_ratio: 3 flip: true clip: false {variances} }}")
    n.add("prior_c", "PriorBox", "small data", "prior_box_param { min_size: 5 "
          "aspect_ratio: 1.5 flip: false clip: false variance: 0.3 step_h: 7 step_w: 9 "
          "offset: 0.25 }")
    n.add("loc", "Concat", "body_loc_flat small_loc_flat", "concat_param { axis: 1 }")
    n.add("confs", "Concat", "body_conf_flat small_conf_flat", "concat_param { axis: 1 }")
    n.add("priors", "Concat", "prior_a prior_b", "concat_param { axis: 2 }")
    n.add("conf_r", "Reshape", "confs", "reshape_param { shape { dim: 0 dim: -1 dim: 3 } }")
    n.add("conf_s", "Softmax", "conf_r", "softmax_param { axis: 2 }")
    n.add("conf", "Flatten", "conf_s", "flatten_param { axis: 1 }")
    n.add("det", "DetectionOutput", "loc conf priors", "detection_output_param { "
          "num_classes: 3 share_location: true background_label_id: 0 nms_param { "
          "nms_threshold: 0.45 top_k: 60 } code_type: CENTER_SIZE keep_top_k: 30 "
          "confidence_threshold: 0.3 }")

    n = net("phases", (2, 3, 5, 5), ["out"], header="""# a network as it is trained
name: "phases"
layer { name: 'data' type: 'Input' top: 'data' input_param { shape: { dim: 1 dim: 3 dim: 5 dim: 5 } } }
layer { name: "label" type: "Data" top: "label" include { phase: TRAIN } unknown: 1 }  # absent
""")
    n.add("c1", "Convolution", "data", "include { phase: TEST } include { phase: TRAIN } "
          "convolution_param { num_output: 4 kernel_size: 3 }", [(4, 3, 3, 3), (4,)])
    for rule in ("include { phase: TRAIN }", "exclude { phase: TEST }", "include { min_level: 1 }",
                 "include { stage: 'deploy' }", "include { not_stage: 'a' max_level: -1 }",
                 "exclude { stage: 'x' } exclude { not_stage: 'a' }"):
        n.absent(f'layer {{ name: "no" type: "Sigmoid" bottom: "c1" top: "c1" {rule} }}')
    n.add("split", "Split", "c1", top="c1_a c1_b")
    n.add("r", "ReLU", "c1_a", 'exclude { stage: "deploy" } exclude { phase: TRAIN }')
    n.add("out", "Eltwise", "r c1_b", "loss_weight: 0 propagate_down: true propagate_down: false "
          "eltwise_param { operation: PROD }")
    n.absent('layer { name: "loss" type: "SoftmaxWithLoss" bottom: "out" include { phase: TRAIN } }')

    n = net("old", (2, 3, 8, 8), ["prob"], v1=True, blob=blob_old, header="""\
name: "old"
force_backward: true
input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv" blobs_lr: 1 blobs_lr: 2
  weight_decay: 1 weight_decay: 0 convolution_param { num_output: 4 kernel_size: 3 stride: 1 } }
layers { name: "relu" type: RELU bottom: "conv" top: "conv" }
layers { name: "pool" type: POOLING bottom: "conv" top: "pool"
  pooling_param < pool: MAX; kernel_size: 3; stride: 2 > }
layers { name: "cat" type: CONCAT bottom: "pool" bottom: "pool" top: "cat"
  concat_param { concat_dim: 1 } }
layers { name: "ip" type: INNER_PRODUCT bottom: "cat" top: "ip"
  inner_product_param { num_output: 5 } }
layers { name: "loss" type: SOFTMAX_LOSS bottom: "ip" include: { phase: TRAIN } }  # absent
layers { name: "prob" type: SOFTMAX bottom: "ip" top: "prob" }
""")
    n.layers = {"conv": ("Convolution", [weights("conv", 0, (4, 3, 3, 3)),
                                         weights("conv", 1, (4,))]),
                "loss": ("Softmax", []),
                "ip": ("InnerProduct", [weights("ip", 0, (5, 72), -0.1, 0.1),
                                        weights("ip", 1, (5,))])}

    n = net("double", (1, 2, 4, 4), ["conv"], blob=blob_double)
    n.add("conv", "Convolution", "data", "convolution_param { num_output: 3 kernel_size: 3 }",
          [(3, 2, 3, 3), (3,)])


# ---- answers by Caffe's formulas, where OpenCV has others ----------------------------------------

def input_of(n):
    batch, c, h, w = n.shape
    return value(batch * c * h * w).reshape(batch, h, w, c).transpose(0, 3, 1, 2)


def inner_by_caffe(n):
    """OpenCV reads `transpose` for two-dimensional inputs alone."""
    x = input_of(n).astype(np.float64)
    w, b = n.layers["conv"][1]
    y = np.zeros((2, 4, 2, 3))
    for r in range(3):
        for s in range(3):
            y += np.einsum("nchw,kc->nkhw", x[:, :, r:r + 2, s:s + 3], w[:, :, r, s])
    y += b[:, None, None]
    w, b = n.layers["ip3"][1]
    n.answers["ip3"] = y.reshape(2, 24) @ w + b
    w, b = n.layers["ip5"][1]
    n.answers["ip5"] = n.answers["ip3"] @ w + b


def normalize_by_caffe(n):
    """OpenCV does only what the SSD detectors need, so the others come after that."""
    x = input_of(n).astype(np.float64)
    for name, axes in (("n01", 1), ("n10", (1, 2, 3)), ("n11", (1, 2, 3))):
        y = x / np.sqrt((x * x).sum(axis=axes, keepdims=True) + 1e-10)
        n.answers[name] = y * n.layers[name][1][0].reshape(-1, 1, 1)


def deconv_by_caffe(n):
    """OpenCV has no dilation and, in some versions, no groups here."""
    x = input_of(n).astype(np.float64)
    batch, channels, height, width = x.shape
    for name, group, stride, pad, dilation in (("d1", 1, (2, 2), (1, 1), 1),
                                               ("d2", 4, (2, 2), (0, 0), 1),
                                               ("d3", 2, (1, 3), (1, 0), 1),
                                               ("d4", 1, (1, 1), (1, 1), 2)):
        w, *b = n.layers[name][1]
        filters = w.shape[1] * group
        full = np.zeros((batch, filters, (height - 1) * stride[0] + (w.shape[2] - 1) * dilation + 1,
                         (width - 1) * stride[1] + (w.shape[3] - 1) * dilation + 1))
        for c in range(channels):
            first = c // (channels // group) * w.shape[1]
            for k in range(w.shape[1]):
                for i in range(height):
                    for j in range(width):
                        for r in range(w.shape[2]):
                            for s in range(w.shape[3]):
                                full[:, first + k, i * stride[0] + r * dilation,
                                     j * stride[1] + s * dilation] += x[:, c, i, j] * w[c, k, r, s]
        h, v = full.shape[2:]
        y = full[:, :, pad[0]:h - pad[0], pad[1]:v - pad[1]]
        n.answers[name] = y + (b[0][:, None, None] if b else 0)


# ---- answers by OpenCV ---------------------------------------------------------------------------

def test_phase(text):
    """Without the lines marked as not of the TEST phase: OpenCV knows no phases."""
    return "\n".join(line for line in text.split("\n") if not line.endswith("# absent"))


def answers(n):
    # OpenCV cannot read doubles, nor blobs without an axis (Caffe's for one shared number).
    layers = {name: (kind, [np.atleast_1d(a) for a in arrays])
              for name, (kind, arrays) in n.layers.items()}
    model = caffemodel(layers, n.v1, blob_old if n.v1 else blob_v2)
    read = cv2.dnn.readNetFromCaffe(bytearray(test_phase(n.text).encode()), bytearray(model))
    read.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    read.enableFusion(False)
    read.enableWinograd(False)
    read.setInput(np.ascontiguousarray(input_of(n)))
    for name in n.outputs:
        if name not in n.answers:
            n.answers[name] = np.array(read.forward(name), np.float32)


def main():
    os.makedirs(HERE, exist_ok=True)
    build()
    index, data = [], []
    for n in NETS:
        model = caffemodel(n.layers, n.v1, n.blob)
        with open(os.path.join(HERE, n.name + ".prototxt"), "w", encoding="ascii") as out:
            out.write(n.text)
        with open(os.path.join(HERE, n.name + ".caffemodel"), "wb") as out:
            out.write(model)
        if len(n.answers) < len(n.outputs):
            answers(n)
        index.append(f"net {n.name} {n.shape[0]} {len(n.outputs)}")
        for name in n.outputs:
            answer = np.asarray(n.answers[name], np.float32)
            assert np.isfinite(answer).all(), (n.name, name)
            layout = "last" if name in LAST else "plain" if name in PLAIN else "nhwc"
            index.append(" ".join([name, layout, str(answer.ndim), *map(str, answer.shape)]))
            data.append(answer.ravel())
    with open(os.path.join(HERE, "expected.txt"), "w", encoding="ascii") as out:
        out.write("\n".join(index) + "\n")
    np.concatenate(data).astype("<f4").tofile(os.path.join(HERE, "expected.f32"))


if __name__ == "__main__":
    main()
