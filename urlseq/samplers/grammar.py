"""A compiler of probabilistic context-free grammars: it makes a sampler of each symbol."""

import itertools
import math
import operator
import re
from bisect import bisect
from collections.abc import Mapping, Sequence

from urlseq.errors import InvalidSetting
from urlseq.sampling import Sampler

# A template, or a sampler of what no template can say; or several of them, as alternatives, with or without weights.
Rule = str | Sampler | Sequence[str | Sampler] | Mapping[str | Sampler, float]

# Text without single braces, or a field.
PART = re.compile(
    r"(?:[^{}]|\{\{|\}\})+|\{(?P<symbol>[^{}!:]+)(?:!(?:(?P<method>capitalize|lower|swapcase|title|upper)|(?P<length>\d+)))?"
    r"(?::(?:(?P<percentage>(?:100|\d?\d)(?:\.\d+)?)|(?P<fewest>\d+)-(?P<most>\d+)(?: (?P<separator>[^{}]*))?))?\}"
)


class Grammar:
    """Samplers of the symbols of a probabilistic context-free grammar.

    `rules` has the alternatives of each symbol: `{template: weight}`, a list of equally likely templates, or a single
    template. In place of a template there may be a sampler, `random.Random -> str`. A template is text with fields:

    - `{word}` stands for an alternative of the symbol `word`, `{word:50}` for one in 50 of 100 cases, else for nothing;
    - `{word:2-4 +}` for two to four words, each count equally likely, joined by `+`; `{word:2-4}` joins by nothing;
    - `{word!upper}` for a word in upper case (or capitalize, lower, swapcase, title), `{word!3}` for its first three
      characters; `{word!upper:50}` and `{word!3:2-4 +}` work, too;
    - `{{` and `}}` for braces.

    >>> rules = {"greeting": {"{word!title}{sign:50}": 3, "{word:2-4 +}": 1}, "word": ["hello", "bye"]}
    >>> greeting = Grammar({**rules, "sign": lambda rng: "!" * rng.randint(1, 3)}).sampler("greeting")
    >>> [greeting(random.Random(seed)) for seed in range(5)]
    ['hello+hello+bye+hello', 'Bye', 'hello+hello+bye+bye', 'Bye!!!', 'Hello!']

    A symbol may contain itself, as long as that ends: `"sum": {"{number}": 2, "{sum}+{number}": 1}`. Raises
    InvalidSetting on an unknown symbol, on a template that can't be read, and on weights that make no sense.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules, self._samplers = dict(rules), dict[str, Sampler]()
        for symbol in self._rules:
            self.sampler(symbol)

    def sampler(self, symbol: str) -> Sampler:
        """The sampler of a symbol. Raises InvalidSetting where the grammar does not have it."""
        if symbol not in self._rules:
            raise InvalidSetting(f"The grammar has no symbol {symbol!r}, only {', '.join(sorted(self._rules))}.")
        if symbol not in self._samplers:
            # For a symbol that contains itself: until its sampler is complete, it is looked up at each call.
            self._samplers[symbol] = lambda rng: self._samplers[symbol](rng)
            self._samplers[symbol] = self._choice(symbol, self._rules[symbol])
        return self._samplers[symbol]

    def _choice(self, symbol: str, rule: Rule) -> Sampler:
        """Draws one of the alternatives of a rule."""
        alternatives = [rule] if isinstance(rule, str) or callable(rule) else list(rule)
        weights = list(rule.values()) if isinstance(rule, Mapping) else [1.0] * len(alternatives)
        if not all(0 <= weight < math.inf for weight in weights) or not sum(weights):
            raise InvalidSetting(f"The weights of {symbol!r} have to be 0 or more, some of them more: {weights}.")
        samplers = [made if callable(made) else self._sequence(symbol, made) for made in alternatives]
        count, shares = len(weights), [total / sum(weights) for total in itertools.accumulate(weights)]
        if len({*weights}) == 1:
            return lambda rng: samplers[int(rng.random() * count)](rng)
        # Rounding may leave the last share a little below 1.
        return lambda rng: samplers[bisect(shares, rng.random(), 0, count - 1)](rng)

    def _sequence(self, symbol: str, template: str) -> Sampler:
        """Draws each part of a template and joins them."""
        parts, end = list[Sampler](), 0
        while end < len(template):
            match = PART.match(template, end)
            if not match or int(match["fewest"] or 0) > int(match["most"] or 0):
                raise InvalidSetting(
                    f"The template {template!r} of {symbol!r} can't be read from {template[end:]!r} on. A field is "
                    "{name}, {name!upper}, {name!3} (characters), {name:50} (percent) or {name:2-4 +}; { itself is {{."
                )
            if match["symbol"] not in {None, *self._rules}:
                raise InvalidSetting(f"The template {template!r} of {symbol!r} has an unknown symbol in {match[0]!r}.")
            parts.append(self._part(match))
            end = match.end()
        return parts[0] if len(parts) == 1 else lambda rng: "".join([part(rng) for part in parts])

    def _part(self, field: re.Match[str]) -> Sampler:
        """Draws what a part of a template stands for, be it text or a field."""
        if not field["symbol"]:
            text = field[0].replace("{{", "{").replace("}}", "}")
            return lambda rng: text
        original, method, length = self.sampler(field["symbol"]), field["method"], field["length"]
        change = operator.itemgetter(slice(int(length))) if length else getattr(str, method or "__str__")
        sampler = (lambda rng: change(original(rng))) if method or length else original
        if field["percentage"]:
            share = float(field["percentage"]) / 100
            return lambda rng: sampler(rng) if rng.random() < share else ""
        if field["fewest"]:
            fewest, span = int(field["fewest"]), int(field["most"]) - int(field["fewest"]) + 1
            separator = field["separator"] or ""
            return lambda rng: separator.join([sampler(rng) for _ in range(fewest + int(rng.random() * span))])
        return sampler


def characters(alphabet: str, fewest: int, most: int) -> Sampler:
    """Draws `fewest` to `most` characters of an alphabet."""
    return lambda rng: "".join(rng.choices(alphabet, k=rng.randint(fewest, most)))
