"""Where the adapters lie when the house runs from a source checkout.

An installed wheel has `flyte_ray_torch` and its siblings beside `flyte_ray`, and there is nothing
to do. In a checkout they lie in `adapters/`, which is on nobody's path. This room finds that folder
and appends it to the END of the path: an installed adapter, and any package of a user, goes first.

The mark of a checkout is a `pyproject.toml` beside the folder. The folder's name alone proves
nothing: Hugging Face publishes a package called `adapters`, and it too lies beside `flyte_ray`.
"""

import sys
from pathlib import Path


def adapters_folder(package: Path = Path(__file__).parent) -> Path | None:
    """Return the `adapters/` folder of the source checkout, or None in an installed package.

    Args:
        package: the folder of the package `flyte_ray`.
    """
    root = package.resolve().parent
    folder = root / "adapters"
    if folder.is_dir() and (root / "pyproject.toml").is_file():
        return folder
    return None


def add_adapters_to_path() -> None:
    """Make the adapters of a source checkout importable; idempotent, and nothing elsewhere."""
    folder = adapters_folder()
    if folder is not None and str(folder) not in sys.path:
        sys.path.append(str(folder))
