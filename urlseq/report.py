"""What a person looks at: progress, attempts while it learns, where and how a copy fails."""

import difflib
import html
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

import keras

from urlseq.answering import parse
from urlseq.decoding import Decoder
from urlseq.encoding import sketch, to_tokens
from urlseq.evaluation import Evaluation, in_words, interval, percent
from urlseq.functions import to_json
from urlseq.learned import LearnedCopy
from urlseq.task import Examples, Task
from urlseq.vectorize import to_matrix


class Progress(keras.callbacks.Callback):
    """One line that fills while an epoch runs, and stays when it is over, with the time that is left."""

    def __init__(self, schedule):
        super().__init__()
        self.schedule = schedule

    def on_train_batch_end(self, batch, logs=None) -> None:
        if sys.stdout.isatty() and batch % 10 == 0:
            self.show(logs, "\r")

    def on_epoch_end(self, epoch, logs=None) -> None:
        self.show(logs, "\r" if sys.stdout.isatty() else "", "\n")

    def show(self, logs, start: str, end: str = "") -> None:
        schedule = self.schedule
        bar = "█" * round(20 * schedule.progress)
        left = schedule.seconds * (1 / max(schedule.progress, 1e-6) - 1)
        line = f"{bar:░<20} {schedule.examples:>9,} examples, loss {logs['loss']:.4f}"
        if "val_exact" in logs:
            line += f", held out: {logs['val_exact']:.2%} exact"
        print(f"{start}{line}, {duration(schedule.seconds)} gone, {duration(left)} left ", end=end, flush=True)


def ending(schedule, best: float, ended_by: str) -> str:
    """What ended a training with so large a share of held-out inputs exact at best, in plain words."""
    until, exact, count = schedule.training.until, schedule.exact(best), schedule.held_out
    reason = {
        "callback": "a callback stopped it",
        "interruption": "it was interrupted, and the same call goes on from the last whole epoch in its folder",
    }.get(ended_by, f"the {ended_by} are used up")
    if until is None:
        return f"Training ended after {duration(schedule.seconds)}: {reason}."
    low, high = (100 * end for end in interval(exact, count))
    met, why = ("met after", "") if ended_by == "until" else ("not met in", f", and {reason}")
    return (
        f"The target of {100 * until:g} % was {met} {duration(schedule.seconds)}{why}: {exact:,} of {count:,} held-out "
        f"inputs exact (95 % interval {low:.2f} % to {high:.2f} %)."
    )


def duration(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def baselines(known: Examples, asked: Examples) -> dict[str, int]:
    """How many answers would be exact by each way to guess them. Near are inputs with like pieces, see `sketch`."""
    vectors, others = (sketch(to_tokens([text.encode() for text in each.inputs]), 1024) for each in (asked, known))
    nearest = (vectors @ others.T).argmax(axis=1)
    guesses = {
        "the input itself": map(to_json, asked.inputs),
        "the same answer to all": [statistics.mode(known.answers)] * len(asked),
        "the answer to the nearest input": [known.answers[row] for row in nearest],
    }
    return {name: sum(map(str.__eq__, guess, asked.answers)) for name, guess in guesses.items()}


class WarnEarly(keras.callbacks.Callback):
    """After a minute of training, says once where the copy is hardly better than `baselines`."""

    def __init__(self, schedule, task: Task, held_out: Examples):
        super().__init__()
        self.schedule, self.task, self.held_out, self.done = schedule, task, held_out, False

    def on_epoch_end(self, epoch, logs=None) -> None:
        if self.done or self.schedule.seconds < 60 or not len(self.held_out):
            return
        self.done, count = True, len(self.held_out)
        found = baselines(self.task.examples("known", 2000, held_out=False), self.held_out)
        best = max(found, key=lambda name: found[name])
        exact = self.schedule.exact(logs["val_exact"])
        # Better is what is so beyond chance.
        if exact < 0.9 * count and interval(exact, count)[0] <= interval(found[best], count)[1]:
            print(
                f"After {duration(self.schedule.seconds)}, {percent(exact, count)} of held-out inputs are exact, "
                f"hardly more than by giving {best} ({percent(found[best], count)}). Checksums, hashes and "
                "arithmetic of many digits are not learned; others may need more time, or more and shorter inputs.",
                flush=True,
            )


class RecordPredictions(keras.callbacks.Callback):
    """Keeps the answers to the same inputs at the end of each epoch: `answers` [epoch][input]."""

    def __init__(self, inputs: Sequence[str], max_answer_bytes: int = 400, reverse_output: bool = False):
        super().__init__()
        self.inputs, self.max_answer_bytes, self.reverse_output = list(inputs), max_answer_bytes, reverse_output
        self.answers: list[list[str]] = []
        self.decoder: Decoder | None = None

    def on_epoch_end(self, epoch, logs=None) -> None:
        if self.decoder is None:  # the graph is made once; only its weights are new each epoch
            self.decoder = Decoder(self.model, self.max_answer_bytes, self.reverse_output)
        self.decoder.graph.update(self.model)
        self.answers.append(self.decoder(to_matrix(self.inputs)).answers)


class ShowPredictions(RecordPredictions):
    """Shows the answers to a few inputs at the end of each epoch, mistakes marked; none again that has not changed."""

    def __init__(self, inputs: Sequence[str], expected: Sequence[str], reverse_output: bool = False):
        self.expected = expected
        super().__init__(inputs, max([400, *(2 * len(answer.encode()) for answer in expected)]), reverse_output)

    def on_epoch_end(self, epoch, logs=None) -> None:
        shown = self.answers[-1] if self.answers else [None] * len(self.inputs)
        super().on_epoch_end(epoch, logs)
        for text, expected, predicted, before in zip(self.inputs, self.expected, self.answers[-1], shown, strict=True):
            if predicted != before:
                print(attempt(text, expected, predicted), flush=True)


def attempt(text: str, expected: str, predicted: str) -> str:
    """A few lines to look at: the input, the answer, and if that is wrong, where, and the expected one."""
    if expected == predicted:
        return f"  {text}\n    ✓ {predicted}"
    if len(predicted) > len(expected) + 20:  # a copy that has not learned to end writes on and on
        predicted = predicted[: len(expected) + 20] + "…"
    return f"  {text}\n    ✗ {predicted}\n      {carets(expected, predicted)}\n      {expected}"


def carets(expected: str, predicted: str) -> str:
    """A line of carets that belongs below `predicted`: where it differs from `expected`."""
    line = [" "] * (len(predicted) + 1)
    for _, _, _, start, end in changes(expected, predicted):
        line[start : max(end, start + 1)] = "^" * max(end - start, 1)
    return "".join(line).rstrip()


def changes(expected: str, predicted: str) -> list[tuple[str, int, int, int, int]]:
    """What has to be done to one text to get the other, as of `difflib`, without what is equal."""
    codes = difflib.SequenceMatcher(None, expected, predicted, autojunk=False).get_opcodes()
    return [code for code in codes if code[0] != "equal"]


def kinds_of_mistakes(evaluation: Evaluation) -> Counter:
    return Counter(kind_of_mistake(expected, predicted) for _, expected, predicted in evaluation.mistakes())


def kind_of_mistake(expected: str, predicted: str) -> str:
    """One of a few words for what is wrong with an answer."""
    if parse(predicted)[1]:
        return "no JSON"
    found, structure = changes(expected, predicted), set('[]{}",')
    # The same letters between other delimiters; the differing windows alone may show just the letters that moved.
    moved = [c for c in expected if c not in structure] == [c for c in predicted if c not in structure]
    if moved or any(structure & set(expected[a:b] + predicted[c:d]) for _, a, b, c, d in found):
        return "parts divided in another way"
    if len(found) > 1:
        return "changes in several places"
    kind, a, b, c, d = found[0]
    size = "one character" if max(b - a, d - c) == 1 else "several characters"
    return f"{size} {dict(replace='changed', delete='dropped', insert='added')[kind]}"


def html_of(copy: LearnedCopy) -> str:
    """What a notebook shows of a copy: what it copies, how well and how far, and a few of its answers."""
    counts, weights = copy.card.get("held_out_counts"), copy.model.count_params()
    facts = {
        "copy of": copy.name,
        "held-out inputs": in_words(counts) if counts else "none",
        "trust": copy.promise,
        "limits": f"inputs up to {copy.max_input_bytes:,} bytes, answers up to {copy.max_answer_bytes:,} bytes",
        "size": f"{weights:,} weights, {4 * weights / 1e6:.2f} MB",
    }
    inputs = list(copy.card.get("examples", {}))[:5]
    for text, prediction in zip(inputs, copy.predict_all(inputs), strict=True):
        facts[text] = f"{prediction.text} {'✓' if prediction.trusted else '? ' + prediction.reason}"
    rows = (f"<tr><th>{html.escape(name)}</th><td>{html.escape(fact)}</td></tr>" for name, fact in facts.items())
    return f"<table style='text-align: left'>{''.join(rows)}</table>"


def by_group(evaluation: Evaluation, groups_of: Callable[[str], Iterable[str]]) -> dict[str, tuple[int, int]]:
    """Exact and all answers in each group that `groups_of(input)` names: {group: (exact, count)}."""
    found = defaultdict[str, list[bool]](list)
    for text, correct in zip(evaluation.inputs, evaluation.correct.tolist(), strict=True):
        for group in groups_of(text):
            found[group].append(correct)
    return {group: (sum(correct), len(correct)) for group, correct in sorted(found.items())}
