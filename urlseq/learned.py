"""What is learned: a copy of a function, or of its inverse, to be called, measured, calibrated and saved."""

import dataclasses
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from urlseq.decode import BeamDecoder
from urlseq.evaluate import Evaluation, Prediction, compare, interval, reasons_against, threshold_for
from urlseq.files import locked, write_file
from urlseq.functions import INVERSE_OF, Function, Inverse, answers, from_json
from urlseq.training import by_length
from urlseq.vectorize import BadText, byte_lengths, shown, to_matrix

FORMAT = 2
CARD = "copy.json"
# Of the answers that a copy calls trusted, no more than this share may be wrong on the held-out inputs. Half of the
# default ones are noise, far harder than real URLs: on these, next to none of the trusted answers is wrong.
TRUSTED_RISK = 0.001
# Texts that are answered at once. In larger batches more rows wait for the longest, and keys and values, which each
# step reads whole, outgrow the processor's cache.
BATCH = 64


class LearnedCopy:
    """A learned copy of a function: call it with a text or with a list of texts."""

    way_out = ", or call with fallback=True"  # for what can't be an input; an inverse has none

    def __init__(self, model: keras.Model, card: dict, function: Function | None = None):
        """`card` is what is known of the copy, plain JSON; `function` is the real one, for evaluation and fallback."""
        self.model, self.card, self.function = model, card, function
        self.decoder = BeamDecoder(model)
        self.bytes_seen = np.zeros(256, bool)
        self.bytes_seen[card["bytes_seen"]] = True

    def __repr__(self) -> str:
        weights = f"{self.model.count_params():,} weights"
        return f"<copy of {self.card['function']}, {weights}, inputs up to {self.max_bytes} bytes>"

    @property
    def max_bytes(self) -> int:
        return self.card["max_bytes"]

    @property
    def certifies(self) -> bool:
        """Whether its answers come with a certificate: those of an inverse whose function is at hand do."""
        return isinstance(self.function, Inverse)

    @property
    def limit(self) -> int:
        """How many bytes an answer may have before it is given up."""
        return 2 * self.card["longest_answer"]

    def __call__(self, text: str | Sequence[str], fallback: bool = False):
        """The value for a text, or a list of values for a list of texts.

        Raises BadText on a text that is too long, holds NUL or half a surrogate pair. With `fallback` the real
        function answers these, and each one whose answer is not trusted.
        """
        if isinstance(text, str):
            return self([text], fallback)[0]
        texts = list(text)
        if not fallback:
            return [prediction.value for prediction in self.predict(texts)]
        if self.function is None:
            raise ValueError("There is no function to fall back on: load(folder, function=...) brings it in.")
        usable = [row for row, text in enumerate(texts) if self.refusal(text) is None]
        values = {row: p.value for row, p in zip(usable, self.predict([texts[row] for row in usable]), strict=True)
                  if p.trusted}  # fmt: skip
        return [values[row] if row in values else json.loads(answers(self.function, [text])[0])
                for row, text in enumerate(texts)]  # fmt: skip

    def refusal(self, text: str) -> str | None:
        """Why a text can't be an input at all; None for one that can."""
        try:
            self.check([text])
        except (BadText, TypeError) as error:
            return str(error)
        return None

    def predict(self, text: str | Sequence[str]) -> Prediction | list[Prediction]:
        """The record for a text, or a list of records: value, text, confidence, trusted and the reason if not."""
        if isinstance(text, str):
            return self.predict([text])[0]
        texts = list(text)
        got, confidence, ended = [""] * len(texts), np.ones(len(texts), np.float32), np.ones(len(texts), bool)
        self.check(texts)
        for rows in by_length(texts, [""] * len(texts), BATCH):
            decoded = self.decoder(to_matrix([texts[row] for row in rows]), self.limit)
            confidence[rows], ended[rows] = decoded.confidence, decoded.ended
            for row, answer in zip(rows, decoded.texts, strict=True):
                got[row] = answer
        reasons = self.reasons(texts, got, confidence, ended)
        return [
            Prediction(value_of(answer), answer, float(sure), not reason, reason)
            for answer, sure, reason in zip(got, confidence, reasons, strict=True)
        ]

    def embed(self, texts: str | Sequence[str]) -> np.ndarray:
        """The encoder's states as vectors, float32 [texts, width] (of one text: [width]); width is twice the units.

        Texts that are built alike have vectors that are alike, most of all if both are brought to the scale of the
        collection that they are from (`search.Scale`). Raises BadText on a text that can't be an input.
        """
        if isinstance(texts, str):
            return self.embed([texts])[0]
        texts = list(texts)
        self.check(texts)
        vectors = np.zeros((len(texts), 2 * self.decoder.recurrent.shape[0]), np.float32)
        for rows in by_length(texts, [""] * len(texts), BATCH):
            vectors[rows] = self.decoder.embed(to_matrix([texts[row] for row in rows]))
        return vectors

    def check(self, texts: list[str]) -> None:
        """Raises BadText for the first text that can't be an input."""
        lengths = byte_lengths(texts)
        if lengths.max(initial=0) > self.max_bytes:
            row = int(np.argmax(lengths > self.max_bytes))
            raise BadText(
                f"{shown(texts[row])} has {lengths[row]:,} bytes, and this copy of {self.card['function']} learned "
                f"{self.max_bytes} at most. Train one with a larger max_bytes{self.way_out}."
            )
        for text in texts:
            if "\0" in text:
                raise BadText(f"{shown(text)} holds a NUL character, which marks padding. Drop it{self.way_out}.")

    def reasons(self, texts, got, confidence, ended) -> list[str]:
        return reasons_against(texts, got, confidence, ended, self.card["threshold"], self.bytes_seen)

    def trusted(self, texts, got, confidence, ended) -> np.ndarray:
        return np.array([not reason for reason in self.reasons(texts, got, confidence, ended)], bool)

    def attention(self, text: str) -> tuple[str, np.ndarray]:
        """The answer, and how much each of its bytes (rows, with the end mark) attends to each of the input's."""
        self.check([text])
        decoded = self.decoder(to_matrix([text]), self.limit, attention=True)
        return decoded.texts[0], decoded.attention[0]

    def evaluate(self, texts: Sequence[str]) -> Evaluation:
        """The copy's answers beside the function's. Raises BadText where a text can't be an input."""
        if self.function is None:
            raise ValueError("There is no function to compare with: load(folder, function=...) brings it in.")
        texts = list(texts)
        self.check(texts)
        wanted, got, confidence, ended = self.compare(texts)
        return Evaluation(texts, wanted, got, confidence, self.trusted(texts, got, confidence, ended))

    def compare(self, texts: Sequence[str]):
        """The wanted answers, the greedy ones, their confidence, and whether they ended."""
        return compare(self.decoder, self.function, texts, self.limit)

    def calibrate(self, texts: Sequence[str]) -> None:
        """Sets from held-out texts the confidence from which on answers are trusted, and notes the exact match."""
        wanted, got, confidence, ended = self.compare(texts)
        right = np.array([answer == text for answer, text in zip(wanted, got, strict=True)], bool)
        self.card["threshold"] = threshold_for(confidence, right, TRUSTED_RISK)
        counts = Evaluation(texts, wanted, got, confidence, self.trusted(texts, got, confidence, ended)).counts
        self.card["held_out"] = counts | {"interval": interval(counts["exact"], counts["count"])}

    def save(self, folder: str | Path) -> Path:
        """Writes the copy into a folder, whole or not at all.

        The weights' file is named by its own hash; the card, put in place last, names it. So whoever reads at the
        same time sees one copy or the other, never a mixture. Who writes at the same time waits: as long as the card
        is not in place, its weights look like those of a copy from before, which are removed.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, **{variable.path.replace("/", "."): np.asarray(variable) for variable in self.model.weights}
        )
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        name = f"weights-{digest[:12]}.npz"
        card = self.card | {"weights": name, "sha256": digest}
        with locked(folder):
            write_file(folder / name, buffer.getvalue())
            write_file(folder / CARD, (json.dumps(card, indent=1) + "\n").encode())
            for path in folder.glob("weights-*"):  # of the copy before, or of a process that was killed
                if path.name != name:
                    path.unlink(missing_ok=True)
        return folder


@dataclasses.dataclass
class Inverted:
    """What an inverse says of a text. If `certified`, the function makes just that text of the value.

    Without a certificate the value is None, and `guess` is the greedy answer. `beam` is the width that it took.
    """

    value: str | None
    certified: bool
    guess: object
    beam: int


class InverseCopy(LearnedCopy):
    """A learned inverse of a function. The function itself certifies each answer, or refuses to."""

    way_out = ""

    def __call__(self, text: str | Sequence[str], beam: int = 16) -> Inverted | list[Inverted]:
        """The answer and its certificate for a text, or a list of them for a list of texts.

        Where the greedy answer is not certified, up to `beam` answers are tried, the most probable first.
        Raises BadText on a text that is too long, holds NUL or half a surrogate pair, and ValueError where there
        is no function to certify.
        """
        if isinstance(text, str):
            return self([text], beam)[0]
        texts = list(text)
        if self.function is None:
            raise ValueError("Without the function nothing can be certified: load(folder, function=...) brings it in.")
        # `predict` has asked the function already: trust is the certificate.
        found = [Inverted(p.value, True, p.value, 1) if p.trusted else Inverted(None, False, p.value, beam)
                 for p in self.predict(texts)]  # fmt: skip
        missed = [row for row, inverted in enumerate(found) if not inverted.certified]
        for rows in [missed[place : place + BATCH] for place in range(0, len(missed) if beam > 1 else 0, BATCH)]:
            candidates = self.decoder.best(to_matrix([texts[row] for row in rows]), beam, self.limit)
            for row, texts_found in zip(rows, candidates, strict=True):
                values = map(value_of, texts_found)
                value = next((value for value in values if self.function.certifies(value, texts[row])), None)
                if value is not None:
                    found[row] = dataclasses.replace(found[row], value=value, certified=True)
        return found

    def reasons(self, texts, got, confidence, ended) -> list[str]:
        """A certificate is all the trust there is; without the function, confidence has to do."""
        if self.function is None:
            return super().reasons(texts, got, confidence, ended)
        return ["" if self.function.certifies(value_of(answer), text) else "the function does not certify it"
                for text, answer in zip(texts, got, strict=True)]  # fmt: skip

    def compare(self, texts: Sequence[str]):
        """As ever, but any answer that the function certifies is a wanted one: there may be several."""
        wanted, got, confidence, ended = super().compare(texts)
        wanted = [answer if self.function.certifies(value_of(answer), text) else known
                  for text, answer, known in zip(texts, got, wanted, strict=True)]  # fmt: skip
        return wanted, got, confidence, ended


def copy_of(model: keras.Model, card: dict, function: Function | None) -> LearnedCopy:
    return (InverseCopy if card["function"].startswith(INVERSE_OF) else LearnedCopy)(model, card, function)


def value_of(answer: str):
    """The JSON value of an answer; None where it is no JSON (its prediction is then not trusted)."""
    try:
        return from_json(answer)
    except ValueError:
        return None
