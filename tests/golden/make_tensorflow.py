#!/usr/bin/env python3
"""What other programs make of TensorFlow networks (see test_tensorflow.c).

With an argument, the folder of the detector: writes tensorflow.txt, what OpenCV 4's DNN finds with
opencv_face_detector_uint8.pb and its .pbtxt in pictures of 300x300; of these files nothing but the
numbers is kept. Run: python3 make_tensorflow.py SHARED

Without one: writes tensorflow/*.pb, *.pbtxt and *.txt, small networks of random weights and what
TensorFlow computes with them for x[i] = (37 i mod 64 - 32) / 16, for two images.
"""
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))


def detect(shared):
    import cv2
    detector = os.path.join(shared, "data", "detector", "opencv_face_detector")
    pictures = os.path.join(shared, "golden", "ssd")
    net = cv2.dnn.readNetFromTensorflow(detector + "_uint8.pb", detector + ".pbtxt")
    net.enableFusion(False)
    with open(os.path.join(HERE, "tensorflow.txt"), "w", encoding="ascii") as out:
        out.write(f"# make_tensorflow.py, OpenCV {cv2.__version__}: picture, then confidence and\n"
                  "# box (shares of the picture, not clipped) of everything above 0.1\n")
        for name in sorted(os.listdir(pictures)):
            if not name.endswith(".ppm"):
                continue
            image = cv2.imread(os.path.join(pictures, name))
            net.setInput(cv2.dnn.blobFromImage(image, 1.0, (300, 300), (104.0, 177.0, 123.0)))
            out.write(f"{name}\n")
            for row in net.forward()[0, 0]:
                if row[2] > 0.1:
                    out.write(" ".join(f"{v:.7f}" for v in row[2:]) + "\n")


class Weights:
    """Constants of a random generator, as floats or as 8-bit codes."""

    def __init__(self, tf, seed):
        self.tf, self.random = tf, np.random.default_rng(seed)

    def plain(self, name, *shape, low=-1.0, high=1.0):
        values = self.random.uniform(low, high, shape).astype(np.float32)
        return self.tf.constant(values, name=name)

    def coded(self, name, *shape, low=-0.7, high=0.9):
        codes = self.random.integers(0, 256, shape).astype(np.uint8)
        codes = self.tf.constant(codes.astype(np.int32), self.tf.quint8, name=name + "_const")
        return self.tf.quantization.dequantize(codes, low, high, mode="MIN_FIRST", name=name)


def classifier(tf, x):
    """A bit of each op; strides, SAME at odd sizes, two branches."""
    v1, w = tf.compat.v1, Weights(tf, 1)
    y = v1.nn.conv2d(x, w.plain("a/w", 3, 3, 3, 8), strides=[1, 2, 2, 1], padding="SAME", name="a")
    y = tf.nn.relu(tf.nn.bias_add(y, w.plain("a/b", 8), name="a/bias"), name="a/relu")
    y = tf.nn.max_pool2d(y, 3, 2, "SAME", name="pool")
    gamma, beta = w.plain("bn/gamma", 8), w.plain("bn/beta", 8)
    mean, variance = w.plain("bn/mean", 8), w.plain("bn/variance", 8, low=0.1)
    y = v1.nn.fused_batch_norm(y, gamma, beta, mean, variance, epsilon=1e-3, is_training=False,
                               name="bn")[0]
    y = tf.add(tf.multiply(y, w.plain("scale/w", 8), name="scale"), w.plain("scale/b", 8),
               name="shift")
    one = tf.sigmoid(v1.nn.conv2d(y, w.plain("one/w", 1, 1, 8, 4), strides=[1, 1, 1, 1],
                                  padding="VALID", name="one"), name="one/sigmoid")
    two = v1.nn.conv2d(y, w.plain("two/w", 3, 2, 8, 4), strides=[1, 1, 1, 1], padding="SAME",
                       name="two")
    y = tf.concat([tf.multiply(one, two, name="product"), tf.add(one, two, name="sum")], 3,
                  name="both")
    y = tf.add(tf.constant(0.25, name="quarter"), tf.identity(y, name="same"), name="more")
    y = tf.nn.avg_pool2d(y, [2, 2], [1, 1], "SAME", name="average")
    y = tf.reshape(y, [-1, 3 * 2 * 8], name="flat")
    y = tf.matmul(y, w.plain("dense/w", 48, 5, low=-0.05, high=0.05), name="dense")
    y = tf.nn.bias_add(y, w.plain("dense/b", 5), name="dense/bias")
    return tf.nn.softmax(y, name="softmax")


def padded(tf, x):
    """8-bit weights; Pad, and dilation by SpaceToBatchND, with and without crops."""
    v1, w = tf.compat.v1, Weights(tf, 2)
    y = tf.pad(x, [[0, 0], [2, 1], [0, 3], [0, 0]], name="pad")
    y = v1.nn.conv2d(y, w.coded("a/w", 4, 3, 3, 6), strides=[1, 2, 1, 1], padding="VALID", name="a")
    y = tf.nn.bias_add(y, w.coded("a/b", 6, low=0.0, high=2.0), name="a/bias")
    y = tf.space_to_batch(y, [2, 3], [[2, 3], [3, 4]], name="split")
    y = v1.nn.conv2d(y, w.coded("b/w", 3, 3, 6, 6, low=-0.3, high=0.1), strides=[1, 1, 1, 1],
                     padding="VALID", name="b")
    y = tf.nn.bias_add(y, w.coded("b/b", 6), name="b/bias")
    y = tf.batch_to_space(y, [2, 3], [[0, 1], [0, 1]], name="join")
    return v1.nn.conv2d(tf.nn.relu(y, name="relu"), w.coded("c/w", 1, 2, 6, 2, low=-1.5, high=-0.2),
                        strides=[1, 1, 2, 1], padding="SAME", name="c")


def networks():
    import tensorflow as tf
    from google.protobuf import text_format
    folder = os.path.join(HERE, "tensorflow")
    os.makedirs(folder, exist_ok=True)
    for build in (classifier, padded):
        with tf.Graph().as_default() as graph:
            x = tf.compat.v1.placeholder(tf.float32, [None, 9, 7, 3], name="data")
            y = build(tf, x)
            numbers = (np.arange(2 * 9 * 7 * 3) * 37 % 64 - 32).astype(np.float32) / 16
            with tf.compat.v1.Session() as session:
                result = session.run(y, {x: numbers.reshape(2, 9, 7, 3)})
        # The text has the nodes and the integers, the binary file the weights.
        text, binary = graph.as_graph_def(), tf.compat.v1.GraphDef()
        for node in list(text.node):
            if node.op == "Dequantize" or (
                    node.op == "Const" and node.attr["dtype"].type != tf.int32.as_datatype_enum):
                binary.node.append(node)
                text.node.remove(node)
        path = os.path.join(folder, build.__name__)
        with open(path + ".pb", "wb") as out:
            out.write(binary.SerializeToString(deterministic=True))
        with open(path + ".pbtxt", "w", encoding="ascii") as out:
            out.write(text_format.MessageToString(text))
        with open(path + ".txt", "w", encoding="ascii") as out:
            out.write(f"# make_tensorflow.py, TensorFlow {tf.__version__}: {y.op.name}\n")
            out.write("\n".join(f"{v:.8g}" for v in result.ravel()) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        detect(sys.argv[1])
    else:
        networks()
