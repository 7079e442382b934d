"""Greedy decoding: batched against the clear and slow loop, on real URLs with the shipped copy."""

import statistics

from benchmarks.common import keep, machine, reference_urls, seconds, spread, table
from urlseq import load
from urlseq.decode import slow_greedy
from urlseq.sources import registry_urls


def main(quick: bool = False) -> None:
    copied = load("urlparse")
    texts = [text for text in reference_urls("downloads") or registry_urls() if copied.refusal(text) is None]
    texts = texts[:: max(1, len(texts) // 1000)][:1000]
    few = texts[:: 500 if quick else 250]
    slow_greedy(copied.model, few[0][:8])  # the first call also makes the kernels
    copied.predict(texts)

    def slowly() -> None:
        for text in few:
            slow_greedy(copied.model, text)

    def batched() -> None:
        copied.predict(texts)

    assert [slow_greedy(copied.model, text) for text in few] == [p.text for p in copied.predict(few)], "they differ"
    slow = [value / len(few) for value in seconds(slowly, 2)]
    fast = [value / len(texts) for value in seconds(batched, 5)]
    ratio = statistics.median(slow) / statistics.median(fast)
    rows = [
        [f"slow_greedy, {len(few)} URLs", spread([1 / value for value in slow]), 1],
        [f"batched, {len(texts):,} URLs", spread([1 / value for value in fast]), f"{ratio:.0f}"],
    ]
    print(machine(), table(["way", "URLs a second, median (range)", "times as fast"], rows), sep="\n\n")
    if not quick:
        keep("decoding", [dict(zip(["name", "urls_per_second", "ratio"], row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
