"""One of two processes that compute together: ``python one_of_two.py number port folder``.

Each holds half of the examples, on four virtual devices of its own, and writes all it finds to the folder.
"""

import sys
from pathlib import Path

import jax


def main(number, port, folder):
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 4)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_disable_most_optimizations", True)
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, number, initialization_timeout=120)

    # These make arrays when they are imported, which only works once the processes have met.
    import numpy as np
    import scale_members
    from jax.sharding import AxisType

    from jaxnoisy import check, influence
    from jaxnoisy.curvature import examples

    assert jax.process_count() == 2
    assert jax.device_count() == 8
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split, whole = (jax.NamedSharding(mesh, spec) for spec in (jax.P("data"), jax.P()))

    def own_half(a):
        half = len(a) // 2
        return jax.make_array_from_process_local_data(split, a[number * half : (number + 1) * half])

    def copied(a):
        return jax.make_array_from_process_local_data(whole, a, a.shape)

    with jax.set_mesh(mesh):
        arrays = scale_members.Placed(own_half, copied)
        assert not arrays.inputs.is_fully_addressable
        found = {}
        for name in scale_members.ACROSS:
            leaves = jax.tree.leaves(scale_members.MEMBERS[name](arrays))
            found |= {f"{name}.{i}": check.values(a) for i, a in enumerate(leaves)}
        found["written"] = influence.to_npy(folder / f"influence-{number}.npy")(arrays.rows("forward"))
        bad = scale_members.on_host()[0].inputs.copy()
        bad[30, 2] = np.nan
        for name, refused in {
            "nan": lambda: examples.finite({"x": own_half(bad)}),
            "weights": lambda: examples.weights(own_half(np.arange(-40.0, 8.0, dtype=np.float32)), len(bad)),
            "labels": lambda: check.labels(own_half(np.arange(len(bad))), num_classes=9),
        }.items():
            try:
                refused()
            except ValueError as error:
                found[f"{name} refused"] = np.array(str(error))
    np.savez(folder / f"found-{number}.npz", **found)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
