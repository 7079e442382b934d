"""How good a copy is: exact match with its interval, and which answers can be trusted."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from urlseq.answering import NONE_TRUSTED
from urlseq.encoding import PADDING

# Where held-out inputs can't promise the risk that is asked for, twice as much is promised, up to the largest. So few
# inputs miss the rare mistakes, but nearly all of these are made with less confidence; so it has to be that high.
LARGEST_RISK, SURE = 0.02, 0.998


@dataclasses.dataclass
class Evaluation:
    """A copy's answers to many inputs beside the expected ones, each a list in the order of the inputs."""

    inputs: list[str]
    expected: list[str]
    predicted: list[str]
    confidence: np.ndarray
    trusted: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence["Evaluation"]) -> "Evaluation":
        """All of several copies' answers, one part after the other."""
        return cls(
            [text for part in parts for text in part.inputs],
            [answer for part in parts for answer in part.expected],
            [answer for part in parts for answer in part.predicted],
            np.concatenate([part.confidence for part in parts]),
            np.concatenate([part.trusted for part in parts]),
        )

    @property
    def correct(self) -> np.ndarray:
        return np.array(self.expected, object) == np.array(self.predicted, object)

    @property
    def counts(self) -> dict[str, int]:
        return {
            "count": len(self.inputs),
            "exact": int(self.correct.sum()),
            "trusted": int(self.trusted.sum()),
            "trusted_wrong": int((self.trusted & ~self.correct).sum()),
        }

    def mistakes(self) -> list[tuple[str, str, str]]:
        """(input, expected, predicted) of each wrong answer."""
        rows = zip(self.inputs, self.expected, self.predicted, strict=True)
        return [row for row in rows if row[1] != row[2]]

    def __str__(self) -> str:
        return in_words(self.counts)


def in_words(counts: dict) -> str:
    """The counts of an `Evaluation` in plain words, with the interval of the exact match."""
    count, exact = counts["count"], counts["exact"]
    low, high = interval(exact, count)
    return (
        f"{percent(exact, count)} exact ({exact:,} of {count:,}; 95 % interval {low:.2%} to {high:.2%}); "
        f"{percent(counts['trusted'], count)} trusted, {counts['trusted_wrong']} of them wrong"
    )


def percent(part: int, count: int) -> str:
    """A share to two digits, or to as many as it takes not to round to 100 % what is less."""
    texts = (f"{part / max(count, 1):.{digits}%}" for digits in range(2, 15))
    return next(text for text in texts if part == count or not text.startswith("100."))


def interval(successes: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share. Source: Wilson, 1927; it stays sensible near 0 and 1."""
    if count == 0:
        return 0.0, 1.0
    z = 1.96
    share, scale = successes / count, 1 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    spread = z * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5 / scale
    return max(0.0, middle - spread), min(1.0, middle + spread)


def probability_of(target: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """The probability of each whole target [batch, out], its EOS included: [batch]."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(shifted, target[..., None], axis=-1)[..., 0]
    logarithms = chosen - np.log(np.exp(shifted).sum(axis=-1))
    return np.exp(np.where(target != PADDING, logarithms, 0).sum(axis=1))


def error_bound(wrong: int, count: int) -> float:
    """The upper end of the one-sided 95 % interval of the share of errors, of which a sample of `count` has `wrong`:
    with this share, so few would be a chance of 5 %. Source: Clopper and Pearson, 1934; it is never too low.
    """
    few = np.arange(wrong + 1)
    ways = np.log(np.append(1, (count + 1 - few[1:]) / few[1:])).cumsum()  # logarithms of the binomial coefficients
    low, high = 0.0, 1.0
    for _ in range(30):
        share = (low + high) / 2
        chance = np.exp(ways + few * np.log(share) + (count - few) * np.log1p(-share)).sum()
        low, high = (share, high) if chance > 0.05 else (low, share)
    return high


def threshold_for(confidence: np.ndarray, correct: np.ndarray, risk: float) -> tuple[float, float | None]:
    """The lowest confidence to trust, so that the error bound of the trusted answers is at most `risk`; and that bound.

    Where there is none, twice the risk has to do, and so on up to `LARGEST_RISK`, with a confidence of at least `SURE`;
    else `NONE_TRUSTED` and None.
    """
    found, sure = lowest_within(risk, confidence, correct), confidence >= SURE
    while found is None and risk < LARGEST_RISK:
        risk = min(2 * risk, LARGEST_RISK)
        found = lowest_within(risk, confidence[sure], correct[sure])
    return found or (NONE_TRUSTED, None)


def lowest_within(risk: float, confidence: np.ndarray, correct: np.ndarray) -> tuple[float, float] | None:
    """The lowest confidence for which the error bound of all answers as sure is at most `risk`; and that bound."""
    order = np.argsort(-confidence, kind="stable")
    # Answers of equal confidence are trusted together or not at all, so only the last of them may set the threshold.
    last = np.flatnonzero(np.append(np.diff(confidence[order]) < 0, True)[: len(order)])
    wrong = np.cumsum(~correct[order])
    rows = list({wrong[row]: int(row) for row in last}.values())  # with as many errors, the more answers the better
    for row in reversed(rows):
        if wrong[row] <= risk * (row + 1) and (bound := error_bound(int(wrong[row]), row + 1)) <= risk:
            return float(confidence[order[row]]), bound
    return None
