"""All benchmarks but `seconds`, `ladder` and `own`, one after the other; one that fails does not stop the others.

`--quick` gives a taste of each and keeps no result.
"""

import argparse
import importlib
import sys
import time
import traceback

# Those of a minute or two come first, trainings follow; each of them is a script of its own, too.
NAMES = [
    "accuracy",
    "kinds",
    "training_speed",
    "vectorization",
    "decoding",
    "page",
    "export_sizes",
    "serving",
    "service",
    "ports",
    "spark_ml",
    "search",
    "spark",
    "sampler_report",
    "learning",
    "gallery",
]


def main(quick: bool, names: list[str]) -> None:
    began, failed = time.monotonic(), []
    for name in names:
        print(f"\n## {name}\n", flush=True)
        start = time.monotonic()
        try:
            importlib.import_module(f"benchmarks.{name}").main(quick)
        except Exception:
            traceback.print_exc()
            failed.append(name)
        print(f"\n{name}: {(time.monotonic() - start) / 60:.1f} minutes", flush=True)
    print(f"\nall: {(time.monotonic() - began) / 60:.1f} minutes")
    if failed:
        sys.exit(f"Not done: {', '.join(failed)}. The reasons are above.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"some of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="a taste of each, in some minutes")
    main(**vars(parser.parse_args()))
