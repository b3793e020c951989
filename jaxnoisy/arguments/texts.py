"""Lists that stand below the options in the help of several commands, and help that several options share."""

_TRACE_METHODS = """methods:
  aum, margin-mixture, small-loss, mean-loss, confident-learning, forgetting,
  confidence, variability, el2n: read one training run
  lstm: reads one, with a detector trained on others"""

METHODS = f"""{_TRACE_METHODS}
  aum-threshold: AUM with threshold examples, two runs more
  dynacor: clusters of dynamics, one run more with corrupted copies
  cores: the sieve of CORES2, one run more
  simifeat-vote, simifeat-rank: by the labels of nearest neighbours
  bhn: losses of unseen examples beside clean ones, with --clean, a run more
  influential-rank: by the trained model's last layer, with --clean
  nlnl: negative learning, three runs more
  lsw: by a weight learned for each example, one run more, with --clean
  all: every one that the run allows"""

METHODS_OF_ARRAYS = f"""{_TRACE_METHODS}
  all: every one that the run allows"""

MODELS = """models:
  linear, mlp: features, and images as rows of pixels
  cnn, resnet18, resnet34, resnet50, resnet20, resnet32, preact-resnet18, vgg16:
  images"""

DATA = """data:
  digits              scikit-learn's handwritten digits
  npz:FILE            arrays inputs (n, ...) and labels (n,)
  folder:DIR          images, one folder per class
  clips:DIR|FILE      video clips: frames in CLASS/CLIP/, or an .npz
  csv:FILE            numeric columns and a column label
  tfds:NAME[@SPLIT]   prepared by TFDS as array_record in --data-dir"""

CLEAN = """clean:
  take:K              K examples of each class, at random, set aside from data
                      whose clean labels are known
  any kind of data    in the classes of the training data, with right labels"""

DATA_DIR = "where TFDS keeps its data"
DETECTOR = "lstm: a detector that train-detector wrote (default: the one that is shipped)"
GAMMA = "classes that must agree to flag: a number such as 8, or a share (default 0.8)"
SOLVER = "exact | ekfac, approximate, for wide last layers | cg, slow (default exact)"
LEARN_FROM = "clean, half of the clean examples (default) | halves of the data judge each other"
LABELS = "other given labels for the same examples: npy:FILE | cifar10n:FILE:NAME | cifar100n:FILE:NAME"
OUT = "folder for the results (default: a new one)"
SKIP_BROKEN = "leave out and list images that cannot be read"
