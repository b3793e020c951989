"""``jaxnoisy noise``."""

import argparse
from pathlib import Path

from jaxnoisy.cli.folders import writable


def run(arguments: argparse.Namespace) -> None:
    """Flip labels, and write them with the mask of flips."""
    import jax
    import numpy as np

    from jaxnoisy import check, files, noise
    from jaxnoisy.data.dataset import MAX_UNNAMED_CLASSES

    check.one_of(arguments.kind, noise.KINDS, name="--kind")
    out = Path(arguments.out)
    if out.suffix != ".npz" or out.is_dir():
        raise ValueError(f"--out must be the name of an .npz file, but is {arguments.out!r}")
    writable(out.parent, made=False)
    clean = check.labels(files.read_named(arguments.labels, "labels"))
    c = arguments.num_classes or int(clean.max()) + 1
    if arguments.num_classes is None:
        check.at_least_two_classes(clean)
        if c > MAX_UNNAMED_CLASSES:
            raise ValueError(f"the largest label is {c - 1}: number the classes from 0 to c - 1, or give --num-classes")
    needed = {"instance": "inputs", "superclass": "groups"}.get(arguments.kind)
    for option in ("inputs", "groups"):
        given = getattr(arguments, option) is not None
        if given != (option == needed):
            what = f"does not use --{option}: leave it out" if given else f"needs --{option} npy:FILE"
            raise ValueError(f"--kind {arguments.kind} {what}")
    groups = None if arguments.groups is None else files.read_named(arguments.groups, "groups")
    inputs = None if arguments.inputs is None else files.read_named(arguments.inputs, "inputs")
    corrupt = noise.by_kind(
        arguments.kind, num_classes=c, rate=arguments.rate, groups=groups, features=arguments.features
    )
    noisy = corrupt(jax.random.key(arguments.seed), clean, inputs)
    mask = np.asarray(noisy.mask)
    files.write_npz(out, {"labels": np.asarray(noisy.labels), "mask": mask, "clean_labels": clean})
    print(f"{int(mask.sum())} of {len(mask)} labels flipped ({mask.mean():.2%}): {arguments.out}")
