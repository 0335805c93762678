#!/usr/bin/env python3
"""The training recipe of `liveness train` in PyTorch: what validation accuracy does it reach?

    bench/peers/prepare.sh
    build/peers/main/bin/python bench/peers/accuracy.py DIR --split tail --seeds 5

LivenessNet with Keras' initialisation and batch-norm constants, Adam(1e-4) with Keras' decay,
batch 8, 50 epochs, Keras' own ImageDataGenerator for the augmentation, cv2 for the pictures.
"""
import argparse
import os
import sys
import time

os.environ["KERAS_BACKEND"] = "torch"
sys.modules["tensorflow"] = None  # Keras would load it where it is there; it and PyTorch collide
import cv2
import numpy as np
import torch
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from torch import nn


def natural(name):
    """2.png before 10.png."""
    parts, number = [], ""
    for c in name + "\0":
        if c.isdigit():
            number += c
            continue
        if number:
            parts.append((0, int(number), ""))
            number = ""
        parts.append((1, 0, c))
    return parts


def load(folder):
    pictures, labels = [], []
    classes = sorted(d for d in os.listdir(folder) if os.path.isdir(os.path.join(folder, d)))
    for label, name in enumerate(classes):
        for file in sorted(os.listdir(os.path.join(folder, name)), key=natural):
            picture = cv2.imread(os.path.join(folder, name, file))
            if picture is not None:
                pictures.append(cv2.resize(picture, (32, 32)))
                labels.append(label)
    return np.array(pictures, np.float32) / 255, np.array(labels)


def split(labels, kind, seed):
    train, val = [], []
    rng = np.random.default_rng(seed)
    for label in np.unique(labels):
        indices = np.flatnonzero(labels == label)
        if kind == "random":
            rng.shuffle(indices)
        held = round(len(indices) * 0.25)
        train.extend(indices[:-held])
        val.extend(indices[-held:])
    return np.array(train), np.array(val)


def livenessnet(momentum):
    def norm(layer, k):
        return layer(k, eps=1e-3, momentum=1 - momentum)

    def block(c, k):
        return [nn.Conv2d(c, k, 3, padding=1), nn.ReLU(), norm(nn.BatchNorm2d, k),
                nn.Conv2d(k, k, 3, padding=1), nn.ReLU(), norm(nn.BatchNorm2d, k),
                nn.MaxPool2d(2), nn.Dropout(0.25)]
    net = nn.Sequential(*block(3, 16), *block(16, 32), nn.Flatten(), nn.Linear(2048, 64),
                        nn.ReLU(), norm(nn.BatchNorm1d, 64), nn.Dropout(0.5), nn.Linear(64, 2))
    for layer in net:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return net.to(memory_format=torch.channels_last)


def train(x, y, train_set, val_set, options, seed):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    augment = ImageDataGenerator(rotation_range=20, zoom_range=0.15, width_shift_range=0.2,
                                 height_shift_range=0.2, shear_range=0.15, horizontal_flip=True,
                                 fill_mode="nearest")
    np.random.seed(seed)
    net = livenessnet(options.momentum)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, eps=1e-7, fused=True)
    loss = nn.CrossEntropyLoss()
    val = torch.from_numpy(x[val_set]).permute(0, 3, 1, 2)
    truth = torch.from_numpy(y[val_set])
    step, history = 0, []
    for _ in range(options.epochs):
        net.train()
        order = rng.permutation(train_set)
        for i in range(0, len(order), 8):
            batch = order[i:i + 8]
            if len(batch) < 2:
                continue  # a batch norm over one image has no variance
            pictures = np.stack([augment.random_transform(x[j]) for j in batch])
            for group in optimizer.param_groups:
                group["lr"] = 1e-4 / (1 + 1e-4 / 50 * step)
            optimizer.zero_grad(set_to_none=True)
            loss(net(torch.from_numpy(pictures).permute(0, 3, 1, 2)), torch.from_numpy(y[batch])).backward()
            optimizer.step()
            step += 1
        net.eval()
        with torch.no_grad():
            history.append((net(val).argmax(1) == truth).float().mean().item())
    return history


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--split", choices=("random", "tail"), default="random")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--momentum", type=float, default=0.99, help="of batch norm, as Keras counts")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    x, y = load(options.folder)
    last = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        train_set, val_set = split(y, options.split, seed)
        start = time.time()
        history = train(x, y, train_set, val_set, options, seed)
        last.append(history[-1])
        print(f"seed {seed}: last {history[-1]:.4f}, best {max(history):.4f}, last six "
              f"{[round(h, 3) for h in history[-6:]]}, {time.time() - start:.1f} s", flush=True)
    print(f"mean of last: {np.mean(last):.4f}, lowest {min(last):.4f}")


if __name__ == "__main__":
    main()
