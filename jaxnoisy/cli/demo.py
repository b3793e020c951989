"""``jaxnoisy demo``."""

import argparse
from pathlib import Path

from jaxnoisy.cli.folders import claim, free_folder
from jaxnoisy.cli.results import finish


def run(arguments: argparse.Namespace) -> None:
    """Flip labels of the digits, and show what every detector finds."""
    import jax
    import numpy as np

    from jaxnoisy import data, noise
    from jaxnoisy.audit import allowed, audit
    from jaxnoisy.progress import epoch_bar

    out = Path(arguments.out) if arguments.out else free_folder("jaxnoisy-demo")
    claim(out)
    clean = data.load("digits")
    corrupt = noise.symmetric(num_classes=clean.num_classes, rate=arguments.rate, exact=True)
    flipped = np.asarray(corrupt(jax.random.key(arguments.seed), clean.labels).labels)
    noisy = data.make(
        clean.inputs,
        flipped,
        class_names=clean.class_names,
        clean_labels=clean.labels,
        name=f"digits, {100 * arguments.rate:.3g} % of the labels flipped",
    )
    with epoch_bar() as progress:
        findings = audit(noisy, methods=allowed(), model="mlp", seed=arguments.seed, progress=progress)
    finish(findings, out)
