"""`python -m flyte_ray` is the command `flyte-ray`."""

from __future__ import annotations

from flyte_ray.cli.main import main

if __name__ == "__main__":
    main()
