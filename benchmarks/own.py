"""Functions of other people: eight libraries that nobody here wrote, learned from pairs alone, or from few inputs.

Each is learned from 5,000, 1,000 and 300 inputs with the library's answers, as pairs, and with the library as oracle
from `like` 300 inputs. All are measured on the same 2,000 inputs, none of which had any part in a training. The inputs
are made here, of the libraries' own data and of Faker's lists of names, words and places, by templates that
`samplers.like` knows nothing of. They need the libraries: `pip install 'urlseq[benchmarks]'`.
"""

import argparse
import datetime
import json
import random
import time
from collections.abc import Callable

from benchmarks.common import RESULTS, keep_entry, machine, table
from urlseq import copy_function, samplers
from urlseq.evaluation import percent
from urlseq.functions import answer

KEPT_BACK = 2000
# Examples of each training: 2 to 7 minutes of one core, 1 to 2, 1 to 3, and 3 to 6.
EXAMPLES = {"5000": 192_000, "1000": 48_000, "300": 32_000, "like": 240_000}
Draw = Callable[[random.Random], str]


def listed(provider: str, name: str) -> list[str]:
    """A list of Faker's, such as the `first_names` of `person.de_DE`; the more frequent, the earlier."""
    import importlib

    found = getattr(importlib.import_module(f"faker.providers.{provider}").Provider, name)
    weighted = found.items() if hasattr(found, "items") else [(text, 1) for text in found]
    return [text for text, _ in sorted(weighted, key=lambda pair: -pair[1])]


def either(rng: random.Random, **weights: float) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


# ---------------------------------------------------------------- phones


def phones() -> tuple[Callable, Draw]:
    import phonenumbers as library

    kinds = [library.PhoneNumberType.FIXED_LINE, *[library.PhoneNumberType.MOBILE] * 2]
    large = "GB DE FR IN BR IT ES MX JP CN AU NL PL TR CA".split()
    regions = ["US"] * 60 + large * 5 + sorted(library.SUPPORTED_REGIONS)

    def draw(rng: random.Random) -> str:
        if rng.random() < 0.03:
            return rng.choice(["n/a", "unknown", "none", "call reception", "see website", "TBD", "-", "ask for Tom"])
        region = rng.choice(regions)
        number = None
        while number is None or not library.is_possible_number(number):
            example = library.example_number_for_type(region, rng.choice(kinds)) or library.example_number(region)
            digits = str(example.national_number)
            kept = rng.randint(1, 3)
            digits = digits[:kept] + "".join(rng.choice("0123456789") for _ in digits[kept:])
            number = library.PhoneNumber(example.country_code, int(digits),
                                         italian_leading_zero=example.italian_leading_zero)  # fmt: skip
        style = either(rng, international=5, national=6, e164=2, rfc=0.5)
        if style == "national" and region not in ("US", "CA"):
            style = "international"
        formats = {"international": 1, "national": 2, "e164": 0, "rfc": 3}
        text = library.format_number(number, formats[style])
        if rng.random() < 0.25:
            text = text.replace(rng.choice([" ", "-"]), rng.choice([".", "-", "", " ", " / "]))
        if style == "national" and rng.random() < 0.2:
            text = rng.choice(["1-", "1 ", "+1 "]) + text
        extension = rng.choice([" ext. ", " x", ", ext "]) + str(rng.randint(1, 9999))
        return text + extension if rng.random() < 0.08 else text

    return lambda text: library.format_number(library.parse(text, "US"), library.PhoneNumberFormat.E164), draw


# ---------------------------------------------------------------- names


def names() -> tuple[Callable, Draw]:
    from nameparser import HumanName

    people = [(listed(f"person.{place}", "first_names"), listed(f"person.{place}", "last_names"))
              for place in ["en_US"] * 4 + "en_GB de_DE fr_FR es_ES it_IT nl_NL pl_PL pt_BR sv_SE".split()]  # fmt: skip
    titles = "Dr. Mr. Mrs. Ms. Prof. Dr Mr Mrs Rev. Sir Capt. Sen. Judge Professor Gen.".split()
    suffixes = ["Jr.", "Sr.", "III", "II", "PhD", "M.D.", "Esq.", "IV", "Jr", "MD", "Ph.D.", "CPA"]
    particles = ["van", "von", "de", "de la", "van der", "del", "da", "di", "le", "dos", "al", "bin"]

    def draw(rng: random.Random) -> str:
        firsts, lasts = rng.choice(people)
        frequent = lambda found: found[int(len(found) * rng.random() ** 1.5)]  # noqa: E731
        first, last = frequent(firsts), frequent(lasts)
        if rng.random() < 0.08:
            last = f"{rng.choice(particles)} {last}"
        if rng.random() < 0.06:
            last += f"-{frequent(lasts)}"
        middle = either(rng, none=5, initial=3, name=2, two=0.4)
        letter = rng.choice("ABCDEFGHJKLMNPRSTW")
        middles = {"none": "", "initial": letter + rng.choice([".", ".", ""]), "name": frequent(firsts),
                   "two": f"{letter}. {rng.choice('ABCDEFJLMRST')}."}  # fmt: skip
        given = f"{first} {middles[middle]}".strip()
        nickname = f' "{frequent(firsts)[:4]}"' if rng.random() < 0.03 else ""
        title = f"{rng.choice(titles)} " if rng.random() < 0.18 else ""
        suffix = rng.choice(suffixes) if rng.random() < 0.15 else ""
        if rng.random() < 0.25:
            text = f"{last}, {title}{given}{nickname}" + (f", {suffix}" if suffix else "")
        else:
            text = f"{title}{given}{nickname} {last}" + (rng.choice([", ", " "]) + suffix if suffix else "")
        return {"as it is": text, "upper": text.upper(), "lower": text.lower()}[
            rng.choices(["as it is", "upper", "lower"], [92, 4, 4])[0]
        ]

    return lambda text: HumanName(text).as_dict(), draw


# ---------------------------------------------------------------- dates

DATE_FORMATS = ["%Y-%m-%d"] * 3 + ["%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y"] * 2 + [
    "%d %B %Y", "%B %d, %Y", "%b %d, %Y", "%d %b %Y", "%A, %d %B %Y", "%a, %d %b %Y", "%d-%b-%Y", "%Y/%m/%d", "%Y%m%d",
    "%d.%m.%y", "%m/%d/%y", "%B %d %Y", "%d %B, %Y", "%a %b %d %Y", "%b. %d, %Y", "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M", "%d/%m/%Y %H:%M", "%b %d, %Y %I:%M %p", "the %d of %B %Y", "%A %B %d %Y", "%Y.%m.%d"]  # fmt: skip


def dates() -> tuple[Callable, Draw]:
    from dateutil import parser

    default = datetime.datetime(2000, 1, 1)  # else what is missing would be today's

    def draw(rng: random.Random) -> str:
        moment = datetime.datetime(1940, 1, 1) + datetime.timedelta(minutes=rng.randrange(100 * 525_960))
        text = moment.strftime(rng.choice(DATE_FORMATS))
        if rng.random() < 0.3:  # without the zeros in front
            text = " ".join(word.lstrip("0") if len(word.rstrip(",")) == 2 else word for word in text.split(" "))
        if "of" in text or (rng.random() < 0.1 and " " in text):
            ending = "th" if 10 < moment.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(moment.day % 10, "th")
            day = f"{moment.day}{ending}"
            text = " ".join(day if word in (f"{moment.day}", f"{moment.day:02}") else word for word in text.split(" "))
        return text.lower() if rng.random() < 0.08 else text.upper() if rng.random() < 0.04 else text

    return lambda text: parser.parse(text, default=default).date().isoformat(), draw


# ---------------------------------------------------------------- prices


def prices() -> tuple[Callable, Draw]:
    from price_parser import Price

    signs = "$ $ $ $ $ € € € € € £ £ £ ¥ ₹ USD EUR GBP US$ kr zł CHF R$ Kč руб. C$ A$ ₽ Ft lei SEK NOK".split()
    before = ["Price: ", "From ", "Now ", "Sale ", "from ", "only ", "Our price: ", "was ", "ab ", "Total "]
    after = [" incl. VAT", " / month", " each", "*", " per night", " + shipping", ",-", " inkl. MwSt.", " TTC"]

    def grouped(number: int, mark: str) -> str:
        return f"{number:,}".replace(",", mark)

    def draw(rng: random.Random) -> str:
        if rng.random() < 0.03:
            return rng.choice(["Free", "free", "Sold out", "Call for price", "N/A", "on request", "Gratis", "TBA"])
        whole = int(10 ** rng.uniform(0, 6))
        cents = f"{rng.choice([0, 0, 50, 95, 99, 99, rng.randrange(100), rng.randrange(100)]):02}"
        thousands, point = rng.choice([",.", ",.", ".,", ".,", " ,", "'.", " .", " ,", "\xa0,"])
        thousands = thousands if rng.random() < 0.8 else ""
        amount = grouped(whole, thousands) + (point + cents if rng.random() < 0.7 else "")
        if rng.random() < 0.04:
            amount = amount.replace(",00", ",-").replace(".00", ".-")
        sign = rng.choice(signs)
        text = rng.choice([f"{sign}{amount}", f"{amount} {sign}", f"{amount}{sign}", f"{sign} {amount}", amount])
        if rng.random() < 0.2:
            text = rng.choice(before) + text
        return text + rng.choice(after) if rng.random() < 0.15 else text

    def amount_and_currency(text: str) -> list:
        price = Price.fromstring(text)
        return [price.amount_float, price.currency]

    return amount_and_currency, draw


# ---------------------------------------------------------------- slugs


def slugs() -> tuple[Callable, Draw]:
    from slugify import slugify

    places = ["en_US"] * 4 + "de_DE fr_FR pl_PL cs_CZ ru_RU el_GR".split()
    words = [listed(f"lorem.{place}", "word_list") for place in places]
    joints = [" "] * 12 + [", ", " & ", ": ", " - ", " – ", "/", "'s ", "… ", " + ", " (", ") ", "-", "_", '" ', ". "]

    def draw(rng: random.Random) -> str:
        known, text = rng.choice(words), ""
        for _ in range(rng.randint(2, 7)):
            word = rng.choice(known) if rng.random() < 0.92 else str(rng.randrange(10 ** rng.randint(1, 4)))
            case = either(rng, lower=5, capitalize=4, upper=0.5)
            text += (rng.choice(joints) if text else "") + getattr(word, case)()
        if rng.random() < 0.2:
            text += rng.choice(["!", "?", ".", " (2024)", " #1", "™", "...", " »", " 100%", " €"])
        return text[:96]

    return slugify, draw


# ---------------------------------------------------------------- Roman numerals


def romans() -> tuple[Callable, Draw]:
    import roman

    def draw(rng: random.Random) -> str:
        text = roman.toRoman(rng.randrange(1, 4000) if rng.random() < 0.9 else rng.randrange(1, 100))
        if rng.random() < 0.5:  # a letter missing, twice, exchanged with the next, or one too many
            at = rng.randrange(len(text))
            part, rest = text[at : at + 2], text[at + 2 :]
            text = text[:at] + rng.choice([part[1:], part[0] + part, part[::-1], rng.choice("IVXLCDM") + part]) + rest
        return text.lower() if rng.random() < 0.15 else text

    return roman.fromRoman, draw


# ---------------------------------------------------------------- lengths


def metres() -> tuple[Callable, Draw]:
    import pint

    registry = pint.UnitRegistry()
    units = ("m km cm mm µm nm ft in mi yd meters metres kilometers inches feet miles meter centimeters millimeter "
             "foot inch yards mile um angstrom").split()  # fmt: skip
    others = "kg s degC lbs liters bananas mph l hours mtr".split()

    def draw(rng: random.Random) -> str:
        number = either(rng, whole=5, decimal=5, power=0.5)
        digits = {"whole": str(int(10 ** rng.uniform(0, 4))), "power": f"{rng.randint(1, 9)}e{rng.randint(-4, 6)}",
                  "decimal": f"{10 ** rng.uniform(-1, 3):.{rng.randint(1, 2)}f}"}[number]  # fmt: skip
        return digits + rng.choice([" ", " ", ""]) + rng.choice(units if rng.random() < 0.9 else others)

    return lambda text: round(registry(text).to("m").magnitude, 9), draw


# ---------------------------------------------------------------- addresses


def addresses() -> tuple[Callable, Draw]:
    import usaddress

    lasts, firsts = listed("person.en_US", "last_names"), listed("person.en_US", "first_names")
    kinds = "St Ave Rd Blvd Dr Ln Ct Pl Way Street Avenue Road Drive Lane Court Ter Cir Pkwy Hwy".split()
    states = listed("address.en_US", "states_abbr")
    endings = listed("address.en_US", "city_suffixes")

    def draw(rng: random.Random) -> str:
        frequent = rng.choice("Main Oak Park Maple Cedar Elm Lake Hill Washington Pine".split())
        name = rng.choice([rng.choice(lasts), frequent, f"{rng.randrange(4, 100)}th", rng.choice(lasts)])
        direction = rng.choice("N S E W NE SW N. West North".split()) + " " if rng.random() < 0.25 else ""
        street = f"{int(10 ** rng.uniform(0.5, 4.3))} {direction}{name} {rng.choice(kinds)}"
        if rng.random() < 0.05:
            street = f"PO Box {rng.randrange(1, 9999)}"
        elif rng.random() < 0.25:
            street += rng.choice([", ", " "]) + rng.choice(["Apt ", "Suite ", "#", "Unit ", "Ste. ", "Apt. "])
            street += rng.choice([str(rng.randrange(1, 999)), f"{rng.randrange(1, 20)}{rng.choice('ABCD')}"])
        city = rng.choice([rng.choice(lasts) + rng.choice(endings), f"{rng.choice(['New', 'Lake', 'Port', 'East'])} "
                           + rng.choice(firsts), rng.choice(lasts)])  # fmt: skip
        place = f"{city}{rng.choice([', ', ', ', ' '])}{rng.choice(states)}"
        if rng.random() < 0.85:
            place += f" {rng.randrange(501, 99951):05}" + (f"-{rng.randrange(10**4):04}" if rng.random() < 0.1 else "")
        return f"{street}{rng.choice([', ', ', ', ' '])}{place}" if rng.random() < 0.9 else street

    return lambda text: list(usaddress.tag(text)), draw


# By name: the function and its inputs; the most telling first.
TASKS: dict[str, Callable[[], tuple[Callable, Draw]]] = {
    "names": names, "prices": prices, "phones": phones, "dates": dates, "slugs": slugs, "romans": romans,
    "addresses": addresses, "metres": metres,
}  # fmt: skip


def split(draw: Draw, seed: int = 0) -> tuple[list[str], list[str]]:
    """5,000 samples and `KEPT_BACK` other inputs, all different, of at most 128 bytes."""
    rng, found = random.Random(f"own {seed}"), dict[str, None]()
    while len(found) < 5000 + KEPT_BACK:
        if 0 < len((text := draw(rng)).encode()) <= 128:
            found[text] = None
    inputs = list(found)
    rng.shuffle(inputs)  # the first ones are the frequent ones
    return inputs[KEPT_BACK:], inputs[:KEPT_BACK]


def pairs(function: Callable, inputs: list[str]) -> list[tuple]:
    """The inputs with the library's answers; its errors are answers, too."""
    return [(text, json.loads(answer(function, text))) for text in inputs]


def learn(name: str, way: str, examples: int | None = None) -> dict:
    """Trains one copy, and measures it on the inputs that were kept back."""
    function, draw = TASKS[name]()
    samples, kept_back = split(draw)
    settings = {"max_input_bytes": 128, "examples": examples or EXAMPLES[way], "epoch_batches": 200, "verbose": False,
                "attempts": 0, "folder": f"runs/own/{name}, {way}"}  # fmt: skip
    start = time.process_time()
    if way == "like":
        kind, known = samplers.like(samples[:300]), frozenset(kept_back)
        kind.is_held_out = lambda text: text in kind.held_out_set or text in known  # by chance they may come up
        copy = copy_function(function, kind, batch_size=32, learning_rate=5e-3, **settings)
    else:
        copy = copy_function(pairs=pairs(function, samples[: int(way)]), learning_curve=False, **settings)
    minutes = (time.process_time() - start) / 60  # of the processor: other work does not count
    evaluation = copy.evaluate(pairs=pairs(function, kept_back))
    errors = sum(expected.startswith('{"error":') for expected in evaluation.expected)
    return evaluation.counts | {"minutes": round(minutes, 1), "examples": copy.card["history"][-1]["examples"],
                                "held_out": copy.card["held_out_counts"], "trusted_risk": copy.card["trusted_risk"],
                                "errors_expected": errors, "mistakes": evaluation.mistakes()[:5]}  # fmt: skip


def remaining() -> list[str]:
    """The trainings without a result yet, in the order in which they tell most."""
    path = RESULTS / "own.json"
    known = json.loads(path.read_text())["result"] if path.exists() else {}
    ordered = [f"{name}, {way}" for ways in (["like", "300"], ["5000"], ["1000"]) for name in TASKS for way in ways]
    return [each for each in ordered if each not in known]


def main(quick: bool = False, names: list[str] | None = None, list_only: bool = False) -> None:
    chosen = ["romans, 300"] if quick else [
        each for each in (names or remaining()) for each in ([each] if "," in each else
                                                           [f"{each}, {way}" for way in EXAMPLES])]  # fmt: skip
    if list_only:
        print(*chosen, sep="\n")
        return
    rows = []
    for each in chosen:
        name, way = each.split(", ")
        result = learn(name, way, 640 if quick else None)
        if not quick:
            keep_entry("own", each, result)
        exact = f"{percent(result['exact'], result['count'])} ({result['exact']:,} of {result['count']:,})"
        rows.append([name, way, exact, *(result[key] for key in ("trusted", "trusted_wrong", "examples", "minutes"))])
        print(" | ".join(map(str, rows[-1])), flush=True)
    print(table(["", "from", "exact", "trusted", "trusted and wrong", "examples", "minutes"], rows))
    print(machine())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"a task ({', '.join(TASKS)}), or one way of it, such "
                        "as 'names, like'; by default all that have no result yet")  # fmt: skip
    parser.add_argument("--list", dest="list_only", action="store_true", help="only say which these are")
    main(**vars(parser.parse_args()))
