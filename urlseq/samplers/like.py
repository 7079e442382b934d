"""More inputs of a kind: the parts of real ones recombined, for a function to answer."""

import functools
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from urlseq.errors import InvalidSetting
from urlseq.samplers.noise import change_case, repeat_part
from urlseq.sampling import HELD_OUT_SHARE, ListSampler, is_held_out

# Runs of letters, of digits and of blanks; any other character is a part by itself.
PART = re.compile(r"[^\W\d_]+|\d+|\s+|.", re.DOTALL)
# Where fewer parts were seen between the same two neighbours on each side, those with the same next neighbours count.
FEW_PARTS = 20
# So many held-out inputs, none of them answered wrongly, promise that no more than 1 in 2,000 trusted answers is wrong.
ENOUGH_HELD_OUT = 6000


class Like(ListSampler):
    """Draws inputs like `samples`, a list or an Arrow array of some dozens to thousands of real ones: a sample, one
    spliced with another, or one with other parts, some of them new; one in ten has a slip.

    How often a part is made up depends on its place, which is the kinds of its neighbours: the chance of what was never
    seen there is about the share of what was seen once (Good, 1953). So names are made up, and months hardly ever.
    Samples that are held out, as of any list, lend no part to others. They are `real_held_out`; where these are too few
    to tell what to trust, recombined inputs are held out, too. Raises WrongType, InvalidInput and InvalidSetting.
    """

    def __init__(self, samples: Iterable[str]):
        from urlseq.encoding import input_list
        from urlseq.vectorize import to_arrow

        texts = samples if isinstance(samples, str) else input_list(samples)
        to_arrow(texts)  # says which of them is no text
        if not texts:
            raise InvalidSetting("There are no samples: give some real inputs, better hundreds of them.")
        super().__init__(list(texts))
        self.real_held_out = ListSampler(self.inputs).held_out
        held_out, seen = frozenset(self.real_held_out), defaultdict[tuple, list[str]](list)
        placed = [places(PART.findall(text)) for text in self.inputs if text not in held_out]
        self.signs = defaultdict[tuple, list[tuple[int, int]]](list)  # row and index of each, where samples are spliced
        self.letters = defaultdict[str, list[str]](list)  # what follows up to two letters; "" ends a word
        for row, parts in enumerate(placed):
            for index, (part, wide, narrow) in enumerate(parts):
                seen[wide].append(part)
                seen[narrow].append(part)
                if not part.isalnum():
                    self.signs[narrow, part].append((row, index))
                for end, letter in enumerate([*part.lower(), ""] if part.isalpha() else []):
                    self.letters[part.lower()[max(0, end - 2) : end]].append(letter)
        self.rows = [[(part, wide if len(seen[wide]) >= FEW_PARTS else narrow, (narrow, part))
                      for part, wide, narrow in parts] for parts in placed]  # fmt: skip
        self.places = {place: (parts, sorted({*parts}), list(Counter(parts).values()).count(1) / len(parts))
                       for place, parts in seen.items()}  # fmt: skip
        self.characters = sorted({character for parts in placed for part, *_ in parts for character in part}) or [" "]
        self.digits = [*filter(str.isdecimal, self.characters)] or ["0"]

    def __call__(self, rng: random.Random) -> str:
        if self.real_held_out and rng.random() < 1 / HELD_OUT_SHARE:
            return rng.choice(self.real_held_out)
        row, share = rng.choice(self.rows), rng.choice([0, 0.3, 0.6, 1])
        if rng.random() < 0.5 and (signs := [index for index, (*_, sign) in enumerate(row) if sign in self.signs]):
            index = rng.choice(signs)
            other, start = rng.choice(self.signs[row[index][2]])
            row = row[:index] + self.rows[other][start:]
        text = "".join([self.other(rng, part, place) if part.isalnum() and rng.random() < share else part
                        for part, place, _ in row])  # fmt: skip
        return rng.choice([self.slip, self.slip, change_case, repeat_part])(rng, text) if rng.random() < 0.1 else text

    @functools.cached_property
    def held_out(self) -> list[str]:  # type: ignore[override]
        rng, missing = random.Random("held out"), max(0, ENOUGH_HELD_OUT - len(self.real_held_out))
        drawn = (self(rng) for _ in range(2 * HELD_OUT_SHARE * missing))  # many come twice
        return list(dict.fromkeys([*self.real_held_out, *filter(is_held_out, drawn)]))

    def other(self, rng: random.Random, part: str, place: tuple) -> str:
        """A part that was seen in this place, as often as there or as any other; or a new one, which begins as `part`
        does: as many digits, or a word of the same case, whose letters follow each other as in the samples.
        """
        parts, distinct, unseen = self.places[place]
        if rng.random() >= unseen:
            return rng.choice(rng.choice([parts, distinct]))
        made = part[: rng.randrange(len(part))].lower()
        if not part.isalpha():  # as a place tells how many digits there are, each may come from another number
            return made + "".join([rng.choice(self.digits) if rng.random() < 0.1 else rng.choice(parts)[index]
                                   for index in range(len(made), len(part))])  # fmt: skip
        while len(made) < 2 * len(part) + 4 and (letter := rng.choice(self.letters.get(made[-2:], [""]))):
            made += letter
        return made.upper() if part.isupper() else made if part.islower() else made.capitalize()

    def slip(self, rng: random.Random, text: str) -> str:
        """A character dropped, doubled, exchanged with the next, or another one inserted."""
        index = rng.randrange(len(text) or 1)
        pair, rest, character = text[index : index + 2], text[index + 2 :], rng.choice(self.characters)
        return text[:index] + rng.choice([pair[1:], pair[:1] + pair, pair[::-1], character + pair]) + rest


def places(parts: list[str]) -> list[tuple[str, tuple, tuple]]:
    """Each part with the kinds of itself and its neighbours, two on each side, and one: the case of letters, the
    number of digits, blanks, or the sign that it is.
    """
    case = lambda part: "a" if part.islower() else "A" if part.isupper() else "Aa"  # noqa: E731
    kinds = [case(part) if part.isalpha() else "0" * len(part) if part.isdecimal() else " " if part.isspace() else part
             for part in ["", "", *parts, "", ""]]  # fmt: skip
    return [(part, tuple(kinds[at : at + 5]), tuple(kinds[at + 1 : at + 4])) for at, part in enumerate(parts)]
