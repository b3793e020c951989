"""Flax NNX networks with one interface: ``model(x)`` is ``model.head(model.features(x))``."""

from jaxnoisy.models.build import FLAT_MODELS, IMAGE_MODELS, MODEL_NAMES, build
from jaxnoisy.models.classifier import Classifier
from jaxnoisy.models.cnn import CNN
from jaxnoisy.models.frame_consensus import FrameConsensus, fused
from jaxnoisy.models.linear import SoftmaxRegression
from jaxnoisy.models.lstm import LSTM
from jaxnoisy.models.mlp import MLP
from jaxnoisy.models.narrowed import Narrowed
from jaxnoisy.models.preact_resnet import PreActResNet18
from jaxnoisy.models.resnet import ResNet18, ResNet34, ResNet50
from jaxnoisy.models.resnet_cifar import ResNet20, ResNet32, ResNet44, ResNet56
from jaxnoisy.models.vgg import VGG16

__all__ = [
    "CNN",
    "FLAT_MODELS",
    "IMAGE_MODELS",
    "LSTM",
    "MLP",
    "MODEL_NAMES",
    "VGG16",
    "Classifier",
    "FrameConsensus",
    "Narrowed",
    "PreActResNet18",
    "ResNet18",
    "ResNet20",
    "ResNet32",
    "ResNet34",
    "ResNet44",
    "ResNet50",
    "ResNet56",
    "SoftmaxRegression",
    "build",
    "fused",
]
