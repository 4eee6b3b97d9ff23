"""`make bench`: every measurement, each beside its peers in one run, medians of several."""

import importlib
from pathlib import Path


def main() -> None:
    """Run each module of this folder."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem != "run":
            module = importlib.import_module(path.stem)
            print(f"\n== {path.stem}: {(module.__doc__ or '').strip().splitlines()[0]}")
            module.main()


if __name__ == "__main__":
    main()
