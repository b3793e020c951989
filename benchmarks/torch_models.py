"""The networks of the benchmarks in PyTorch, with the parameters that the library's have."""

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: projected by a 1x1 convolution (B), or padded with zero channels (A)."""

    def __init__(self, before: int, width: int, stride: int, *, projected: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.stride, self.added = stride, width - before
        changes = stride > 1 or before != width
        self.projection = None
        if projected and changes:
            self.projection = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, before, h, w) to (n, width, ceil(h/stride), ceil(w/stride))."""
        y = functional.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        if self.projection is not None:
            return functional.relu(y + self.projection(x))
        if self.added:
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))
        return functional.relu(y + x)


def _resnet(widths: tuple[int, ...], depths: tuple[int, ...], *, projected: bool, num_classes: int) -> nn.Sequential:
    """A 3x3 stem, a stage per width (all but the first halve the image), the average over pixels, a linear layer."""
    before = widths[0]
    layers: list[nn.Module] = [nn.Conv2d(3, before, 3, 1, 1, bias=False), nn.BatchNorm2d(before), nn.ReLU()]
    for stage, (width, depth) in enumerate(zip(widths, depths)):
        for i in range(depth):
            layers.append(Block(before, width, 2 if stage > 0 and i == 0 else 1, projected=projected))
            before = width
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def resnet20(num_classes: int = 10) -> nn.Sequential:
    return _resnet((16, 32, 64), (3, 3, 3), projected=False, num_classes=num_classes)


def resnet34(num_classes: int = 10) -> nn.Sequential:
    """ResNet-34 with the stem for CIFAR."""
    return _resnet((64, 128, 256, 512), (3, 4, 6, 3), projected=True, num_classes=num_classes)


def mlp(num_classes: int = 10) -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, num_classes))


MODELS = {"mlp": mlp, "resnet20": resnet20, "resnet34": resnet34}


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
