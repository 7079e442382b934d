"""How good a copy is: exact match with its interval, where it fails and how, and when to abstain."""

import dataclasses
import difflib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np

from urlseq.decode import GreedyDecoder
from urlseq.functions import Function, answers, from_json
from urlseq.model import exact_match
from urlseq.training import by_length, model_batch
from urlseq.vectorize import buffers, to_matrix


@dataclasses.dataclass
class Prediction:
    """What a copy says of one text. `trusted` is false where `reason` says why not to rely on the value."""

    value: object
    text: str
    confidence: float
    trusted: bool
    reason: str = ""


@dataclasses.dataclass
class Evaluation:
    """A copy's answers to many texts beside the wanted ones, each a list in the order of the texts."""

    texts: list[str]
    wanted: list[str]
    got: list[str]
    confidence: np.ndarray
    trusted: np.ndarray

    @property
    def right(self) -> np.ndarray:
        return np.array([wanted == got for wanted, got in zip(self.wanted, self.got, strict=True)], bool)

    @property
    def counts(self) -> dict[str, int]:
        right = self.right
        return {
            "count": len(right),
            "exact": int(right.sum()),
            "trusted": int(self.trusted.sum()),
            "trusted_wrong": int((self.trusted & ~right).sum()),
        }

    def mistakes(self) -> list[tuple[str, str, str]]:
        """(text, wanted, got) of each wrong answer."""
        triples = zip(self.texts, self.wanted, self.got, strict=True)
        return [triple for triple, right in zip(triples, self.right, strict=True) if not right]

    def __str__(self) -> str:
        counts = self.counts
        low, high = interval(counts["exact"], counts["count"])
        share = counts["exact"] / max(counts["count"], 1)
        return (
            f"{share:.2%} exact ({counts['exact']:,} of {counts['count']:,}; 95 % interval {low:.2%} to {high:.2%}); "
            f"{counts['trusted'] / max(counts['count'], 1):.2%} trusted, {counts['trusted_wrong']} of them wrong"
        )


def interval(successes: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share. Source: Wilson, 1927; it stays sensible near 0 and 1."""
    if count == 0:
        return 0.0, 1.0
    z = 1.96
    share, scale = successes / count, 1 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    spread = z * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5 / scale
    return max(0.0, middle - spread), min(1.0, middle + spread)


def compare(decoder: GreedyDecoder, function: Function, texts: Sequence[str], limit: int):
    """The wanted answers, the greedy ones, and their confidence, for many texts.

    Teacher forcing runs first, as it is several times faster: where each byte is the most probable one given the
    right ones before it, greedy decoding writes just that answer with that confidence. The rest is decoded.
    """
    wanted = answers(function, texts)
    got, confidence, ended = list(wanted), np.ones(len(texts), np.float32), np.ones(len(texts), bool)
    missed: list[int] = []
    for rows in by_length(texts, wanted):
        inputs, target = model_batch([texts[row] for row in rows], [wanted[row] for row in rows])
        logits = decoder.model.predict_on_batch(inputs)
        confidence[rows] = smallest_probability(target, logits)
        missed.extend(rows[np.asarray(exact_match(target, logits)) == 0])
    for place in range(0, len(missed), 256):
        rows = np.array(missed[place : place + 256])
        decoded = decoder(to_matrix([texts[row] for row in rows]), limit)
        confidence[rows], ended[rows] = decoded.confidence, decoded.ended
        for row, text in zip(rows, decoded.texts, strict=True):
            got[row] = text
    return wanted, got, confidence, ended


def smallest_probability(target: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """The smallest probability of any byte of each target [batch, out], its end mark included: [batch]."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(shifted, target[..., None], axis=-1)[..., 0]
    logarithms = chosen - np.log(np.exp(shifted).sum(axis=-1))
    return np.exp(np.where(target != 0, logarithms, 0).min(axis=1))


def reasons_against(texts: Sequence[str], got: Sequence[str], confidence, ended, threshold: float,
                    bytes_seen: np.ndarray) -> list[str]:  # fmt: skip
    """Why not to trust each answer; an empty text where nothing speaks against it."""
    data, offsets = buffers(texts)
    unseen = np.concatenate([[0], np.cumsum(~bytes_seen[data])])
    strange = unseen[offsets[1:]] > unseen[offsets[:-1]]
    return [
        "it holds bytes that training never did" if strange[row]
        else "the answer has no end" if not ended[row]
        else f"confidence {confidence[row]:.3f} is below {threshold:.3f}" if confidence[row] < threshold
        else "the answer is no JSON" if not is_json(got[row])
        else ""
        for row in range(len(got))
    ]  # fmt: skip


def is_json(text: str) -> bool:
    try:
        from_json(text)
    except ValueError:
        return False
    return True


# ---------------------------------------------------------------- when to abstain

# A confidence that no answer reaches. Not infinity, which JSON can't hold.
NONE_TRUSTED = 2.0


def risk_coverage(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each number of answers kept, the surest first: the share kept, and the share of these that are wrong."""
    order = np.argsort(-confidence, kind="stable")
    kept = np.arange(1, len(order) + 1)
    return kept / len(order), np.cumsum(~right[order]) / kept


def threshold_for(confidence: np.ndarray, right: np.ndarray, risk: float) -> float:
    """The lowest confidence to trust, so that of the trusted answers at most a share `risk` is wrong."""
    order = np.argsort(-confidence, kind="stable")
    # Answers of equal confidence are trusted together or not at all, so only the last of them may set the threshold.
    last = np.append(np.diff(confidence[order]) < 0, True)[: len(order)]
    allowed = np.flatnonzero(last & (np.cumsum(~right[order]) <= risk * np.arange(1, len(order) + 1)))
    return float(confidence[order[allowed[-1]]]) if len(allowed) else NONE_TRUSTED


# ---------------------------------------------------------------- where and how it fails


def by_group(evaluation: Evaluation, groups_of: Callable[[str], Iterable[str]]) -> dict[str, tuple[int, int]]:
    """Exact and all answers in each group that `groups_of(text)` names: {group: (exact, count)}."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for text, right in zip(evaluation.texts, evaluation.right, strict=True):
        for group in groups_of(text):
            found[group][0] += int(right)
            found[group][1] += 1
    return {group: (exact, count) for group, (exact, count) in sorted(found.items())}


def kinds_of_mistakes(evaluation: Evaluation) -> Counter:
    return Counter(kind_of_mistake(wanted, got) for _, wanted, got in evaluation.mistakes())


def kind_of_mistake(wanted: str, got: str) -> str:
    """One of a few words for what is wrong with an answer."""
    if not is_json(got):
        return "no JSON"
    changes = [change for change in difflib.SequenceMatcher(None, wanted, got, autojunk=False).get_opcodes()
               if change[0] != "equal"]  # fmt: skip
    structure = set('[]{}",')
    # The same letters between other delimiters; the differing stretches alone may show just the letters that moved.
    moved = [c for c in wanted if c not in structure] == [c for c in got if c not in structure]
    if moved or any(structure & set(wanted[a:b] + got[c:d]) for _, a, b, c, d in changes):
        return "parts divided in another way"
    if len(changes) == 1:
        kind, a, b, c, d = changes[0]
        count = max(b - a, d - c)
        size = "one character" if count == 1 else "several characters"
        return f"{size} {dict(replace='changed', delete='dropped', insert='added')[kind]}"
    return "changes in several places"


def marked(wanted: str, got: str) -> str:
    """A line of carets that belongs below `got`: where it differs from `wanted`."""
    line = [" "] * (len(got) + 1)
    for kind, _, _, start, end in difflib.SequenceMatcher(None, wanted, got, autojunk=False).get_opcodes():
        if kind != "equal":
            line[start : max(end, start + 1)] = "^" * max(end - start, 1)
    return "".join(line).rstrip()


def attempt(text: str, wanted: str, got: str) -> str:
    """A few lines to look at: the text, the answer, and if that is wrong, where, and the wanted one."""
    if wanted == got:
        return f"  {text}\n    ✓ {got}"
    if len(got) > len(wanted) + 20:  # a copy that has not learned to end writes on and on
        got = got[: len(wanted) + 20] + "…"
    return f"  {text}\n    ✗ {got}\n      {marked(wanted, got)}\n      {wanted}"


class Asked(keras.callbacks.Callback):
    """Asks the copy the same questions at the end of each epoch, and keeps its answers: texts [epoch][question]."""

    def __init__(self, questions: Sequence[str], limit: int = 400, every: int = 1):
        super().__init__()
        self.questions, self.limit, self.every = list(questions), limit, every
        self.answers, self.decoder = [], None

    def on_epoch_end(self, epoch, logs=None):
        if epoch % self.every:
            return
        # The decoder's Keras model is made once; only its copy of the weights is new each epoch.
        self.decoder = self.decoder or GreedyDecoder(self.model)
        self.decoder.read_weights()
        self.answers.append(self.decoder(to_matrix(self.questions), self.limit).texts)


class Attempts(Asked):
    """Shows at the end of each epoch what the copy makes of a few texts, mistakes marked."""

    def __init__(self, function: Function, texts: Sequence[str], limit: int = 400, every: int = 1):
        self.wanted = answers(function, texts)
        super().__init__(texts, max([limit, *(2 * len(answer.encode()) for answer in self.wanted)]), every)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if epoch % self.every == 0:
            for attempted in zip(self.questions, self.wanted, self.answers[-1], strict=True):
                print(attempt(*attempted), flush=True)
