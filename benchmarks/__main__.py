"""All benchmarks, one after the other. `--quick` gives a taste of each and keeps no result."""

import argparse
import importlib
import time

# What says most comes first; each of them is a script of its own, too.
NAMES = [
    "accuracy",
    "learning",
    "training_speed",
    "decoding",
    "page",
    "export_sizes",
    "gallery",
    "mining",
    "serving",
    "spark_ml",
    "search",
    "vectorization",
    "spark",
    "sampler_report",
]


def main(quick: bool, names: list[str]) -> None:
    for name in names:
        print(f"\n## {name}\n", flush=True)
        start = time.monotonic()
        importlib.import_module(f"benchmarks.{name}").main(quick)
        print(f"\n{name}: {(time.monotonic() - start) / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"some of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="a taste of each, in some minutes")
    main(**vars(parser.parse_args()))
