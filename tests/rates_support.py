"""What URLs of a sampler are like, as rates, and the rates that were recorded once, to compare them with.

After a change of the grammar that is meant to change the rates: `PYTHONPATH=. python tests/rates_support.py`.
"""

import json
import math
import random
import re
from collections import Counter
from pathlib import Path
from urllib.parse import urlparse

RECORD = Path(__file__).parent / "data" / "sampler_rates.json"
# URLs drawn without noise, and with nothing but noise, for the record.
RECORDED = {"0": 200_000, "1": 100_000}
RECORDED_PAIRS = 60
# Longer than the default, so that few URLs are cut.
MAX_BYTES = 256
# Lengths in bytes near the 10th, 50th, 90th and 99th percentile of URLs without and with noise.
LENGTHS = [16, 32, 74, 83, 178, 245]
PARTS = re.compile(r"(?s)(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?")


def pairs(url: str) -> set[str]:
    """The pairs of neighbouring characters."""
    return {f"pair {first}{second}" for first, second in zip(url, url[1:], strict=False)}


def features(url: str) -> set[str]:
    """The names of what is true of a URL."""
    scheme, authority, path, query, fragment = PARTS.fullmatch(url).groups()
    host = (authority or "").rpartition("@")[2]
    length = len(url.encode())
    known = {
        "scheme none": scheme is None,
        "scheme https": scheme == "https",
        "scheme http": scheme == "http",
        "scheme odd": scheme not in (None, "http", "https") and scheme.islower(),
        "scheme with upper case": scheme is not None and not scheme.islower(),
        "no authority": authority is None,
        "empty authority": authority == "",
        "www": host.startswith("www."),
        "port": re.search(r":\d+$", host) is not None,
        "empty port": host.endswith(":"),
        "userinfo": "@" in (authority or ""),
        "password": ":" in (authority or "").rpartition("@")[0],
        "ipv6": host.startswith("["),
        "ipv4": re.match(r"\d+(\.\d+){3}(?!\.)", host) is not None,
        "host of three labels": host.count(".") == 2,
        "params": ";" in path,
        "path with trailing slash": path.endswith("/"),
        "path with extension": re.search(r"\.[a-z]{2,5}$", path) is not None,
        "query": query is not None,
        "empty query": query == "",
        "query without =": query is not None and "=" not in query,
        "fragment": fragment is not None,
        "empty fragment": fragment == "",
        "percent-encoding": re.search("%[0-9A-Fa-f]{2}", url) is not None,
        "no ASCII": not url.isascii(),
        "upper case": url != url.lower(),
        "control characters": re.search(r"[\x01-\x1f\x7f]", url) is not None,
        "brackets": "[" in url or "]" in url,
        "refused by urlparse": refuses(url),
        f"path depth {min(path.count('/'), 8)}": True,
        f"query parameters {min(query.count('&') + 1, 7) if query else 0}": True,
        **{f"at most {most} bytes": length <= most for most in LENGTHS},
    }
    return {name for name, holds in known.items() if holds}


def refuses(url: str) -> bool:
    try:
        urlparse(url)
    except ValueError:
        return True
    return False


def rates(sampler, count: int, seed: str) -> dict[str, float]:
    """The share of URLs with each feature, and with each pair of characters."""
    rng, counts = random.Random(seed), Counter()
    for _ in range(count):
        url = sampler(rng)
        counts.update(features(url))
        counts.update(pairs(url))
    return {name: number / count for name, number in counts.items()}


def deviations(known: dict[str, float], known_count: int, found: dict[str, float], count: int) -> dict[str, float]:
    """By how many standard errors each of the known rates differs from what was found."""
    errors = {name: math.sqrt(rate * (1 - rate) * (1 / known_count + 1 / count)) for name, rate in known.items()}
    return {name: (found.get(name, 0) - rate) / errors[name] for name, rate in known.items() if errors[name]}


def record(urls) -> None:
    """Writes the rates of the sampler that `urls(max_input_bytes, noise)` returns."""
    recorded = {}
    for noise, count in RECORDED.items():
        found = rates(urls(MAX_BYTES, float(noise)), count, f"record {noise}")
        common = sorted((name for name in found if name.startswith("pair ")), key=found.get)[-RECORDED_PAIRS:]
        kept = sorted(name for name in found if not name.startswith("pair ")) + sorted(common)
        recorded[noise] = {"count": count, "rates": {name: round(found[name], 6) for name in kept}}
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    from urlseq.samplers import urls

    record(urls)
