"""Make the notebooks: every ``NAME.py`` here in percent format becomes ``NAME.ipynb``, with the outputs of a fresh run.

Nothing of when or where it ran is kept, so the same versions on the same machine make the same file again. A notebook
is written whole, once all of its cells have run. Needs ``pip install -e '.[notebooks]'``.
"""

import argparse
import base64
import io
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

from jaxnoisy import files

FOLDER = Path(__file__).resolve().parent
SOURCES = ("influential_rank",)


def built(source: Path) -> str:
    """The text of the executed notebook."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    NotebookClient(notebook, timeout=None, record_timing=False, coalesce_streams=True).execute(cwd=FOLDER)
    notebook.metadata["language_info"] = {"name": "python"}  # the kernel has put its versions there
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {}
        for output in cell.get("outputs", ()):
            # Warnings name paths of the machine, and a notebook to be read should give none.
            if output.output_type == "stream" and output.name == "stderr":
                raise SystemExit(f"{source.name} writes to stderr, cell {number}:\n{output.text}")
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = smaller(output.data["image/png"])
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def smaller(picture: str) -> str:
    """The picture, PNG in base64, in 64 colours, which are plenty for plots: a fifth of the bytes."""
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        reduced = image.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    packed = io.BytesIO()
    reduced.save(packed, "png", optimize=True)
    return base64.b64encode(packed.getvalue()).decode("ascii")


def main() -> None:
    """Run the notebooks."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=FOLDER, help="default: beside the sources")
    args = options.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in SOURCES:
        path = args.out / f"{name}.ipynb"
        files.write_text(path, built(FOLDER / f"{name}.py"))
        print(path)


if __name__ == "__main__":
    main()
