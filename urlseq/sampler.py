"""A seeded sampler of URLs: realistic ones with the rare parts made common, and noisy ones.

A sampler is a function `random.Random -> str`. Rates follow what crawls of the web show
(https 62 %, `www.` 45 %, query 11 %, ...), except that what is rare there (ports, userinfo, `;params`,
IPv6, odd schemes, empty parts) is frequent here: the copy has to learn it from examples, too.
Every word is made up from syllables, or is one that the standards themselves use.
"""

import random
import string
import zlib
from collections.abc import Callable

Sampler = Callable[[random.Random], str]

# One text in sixteen is held out: never trained on, whatever source it comes from.
HELD_OUT_SHARE = 16


def is_held_out(text: str) -> bool:
    """Whether a text belongs to validation: decided by its own bytes, so that no text is ever on both sides.

    The empty text never does: it is one of a kind, and nothing else could teach what to make of it.
    """
    return bool(text) and zlib.crc32(text.encode()) % HELD_OUT_SHARE == 0


LOWER, DIGITS, HEX = string.ascii_lowercase, string.digits, "0123456789abcdef"
LETTERS_AND_DIGITS = string.ascii_letters + string.digits
DELIMITERS = ":/?#[]@!$&'()*+,;=%\\|^`{}<>\"~._- \t\n"
# What separates the parts of a URL comes up much more often in noise than chance would have it.
STRUCTURE = ":/?#;@[]=&.%"
ONSETS = "b c d f g h j k l m n p r s t v w z br ch cl cr dr fl fr gr pl pr qu sh sl sp st str th tr wh".split()
VOWELS = "a e i o u a e i o u ai ea ee ie oo ou y".split()
CODAS = ["", "", "", "", *"n r s t l m d ck ng nd st rt x ss ll".split()]
SUFFIXES = "ing ed er ers tion ation ations ology ment ness able ity ism ist ies al ally est ful ive ize".split()
TOP_LEVEL = "com com com com com com org org net net gov edu io de uk fr jp ru in info co eu us ca".split()
SECOND_LEVEL = "co.uk com.au ac.uk co.jp com.br gov.uk org.uk co.in edu.cn".split()
EXTENSIONS = "html html html htm php php aspx asp jsp pdf pdf jpg png gif svg css js json xml txt zip exe tar.gz mp4 shtml cgi do".split()  # noqa: E501
KEYS = "id p q s v page lang type name key ref sort date cat url user view action utm_source utm_medium utm_campaign".split()  # noqa: E501
ODD_SCHEMES = (  # with and without `//`, with and without `;params`, known to urllib and unknown
    "ftp ftp ftps sftp file file ws wss git ssh svn svn+ssh git+https rtsp rtspu sip sips mms mmsh tel mailto news "
    "nntp telnet ldap ldaps gopher hdl imap wais shttp prospero rsync snews nfs itms-services urn data javascript "
    "about view-source chrome blob magnet irc doi tag feed steam s3 hdfs jdbc:mysql x-y z39.50s web+app a b c"
).split()
# Letters of the scripts that URLs and host names are written in; each range of UTF-8 lengths is here.
SCRIPTS = [(0xC0, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x5D0, 0x5EA), (0x620, 0x64A), (0x900, 0x97F),
           (0xE01, 0xE3A), (0x3041, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xFF10, 0xFF5A),
           (0x1F300, 0x1F6FF)]  # fmt: skip
RUNS = ["-", "-", "_", ".", "?", "*", "+", " ", "0", "A", "x", ",", "\\", "A,B,", "12"]
# Characters whose compatibility form holds a delimiter: `urlparse` refuses them in a host.
DECEPTIVE = (
    "\u2048\u2047\u2049\u2100\u2101\u2105\u2106\ufe13\ufe16\ufe55\ufe56\ufe5f\ufe6b\uff03\uff0f\uff1a\uff1f\uff20\u2a74"
)


def urls(max_bytes: int = 128, noise: float = 0.5) -> Sampler:
    """A sampler of URLs of at most `max_bytes` bytes of UTF-8, a share `noise` of which is noisy.

    Noisy ones need no special label: the copied function itself says what it makes of them.
    """

    def sample(rng: random.Random) -> str:
        # Most are made to fit; the others are cut, which fills the bins near the limit.
        for _ in range(4):
            text = noisy_url(rng) if rng.random() < noise else url(rng)
            if len(text) <= max_bytes:
                break
        return shorten(text, max_bytes)

    return sample


def shorten(text: str, max_bytes: int) -> str:
    """The longest prefix of `text` that is whole characters in at most `max_bytes` bytes."""
    return text.encode()[:max_bytes].decode("utf-8", "ignore")


# ---------------------------------------------------------------- words


def syllables(rng: random.Random, few: int = 1, many: int = 4) -> str:
    return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(rng.randint(few, many)))


def characters(rng: random.Random, alphabet: str, few: int, many: int) -> str:
    return "".join(rng.choices(alphabet, k=rng.randint(few, many)))


def foreign(rng: random.Random) -> str:
    first, last = rng.choice(SCRIPTS)
    return "".join(chr(rng.randint(first, last)) for _ in range(rng.randint(1, 6)))


def percent_encoded(rng: random.Random) -> str:
    parts = []
    for _ in range(rng.randint(1, 6)):
        escape = f"%{rng.randrange(256):02x}"
        parts.append(
            syllables(rng, 1, 2) if rng.random() < 0.5 else rng.choice([escape, escape.upper(), "%20", "%2F", "%3A"])
        )
    return "".join(parts)


def word(rng: random.Random) -> str:
    """One word as people write it into paths: lower case, mostly; some with a suffix; some capitalized."""
    chance = rng.random()
    if chance < 0.04:
        made = characters(rng, LOWER, 1, 2)
    else:
        made = syllables(rng, 1, 3) + (rng.choice(SUFFIXES) if chance < 0.33 else "")
    chance = rng.random()
    return made.capitalize() if chance < 0.12 else made.upper() if chance < 0.16 else made


def number(rng: random.Random) -> str:
    return str(rng.randrange(10 ** rng.randint(1, 10)))


def identifier(rng: random.Random) -> str:
    """What machines write into URLs: numbers, hashes, UUIDs, dates, mixed letters and digits."""
    kind = rng.randrange(10)
    if kind < 3:
        return number(rng)
    if kind == 3:
        return characters(rng, HEX, 6, 40)
    if kind == 4:
        return "-".join(characters(rng, HEX, n, n) for n in (8, 4, 4, 4, 12))
    if kind == 5:
        return rng.choice("-/_.").join(
            [f"{rng.randint(1990, 2030)}", f"{rng.randint(1, 12):02}", f"{rng.randint(1, 31):02}"]
        )
    if kind == 6:
        return characters(rng, LETTERS_AND_DIGITS + "-_", 4, 24)
    if kind == 7:
        return word(rng) + number(rng)
    if kind == 8:  # catalogue numbers: few different characters, long runs of them
        return characters(rng, rng.choice(["01", "0" * 6 + DIGITS, "0004", DIGITS, "AB0", "ABCDEF" + DIGITS]), 4, 20)
    return rng.choice(string.ascii_letters) + number(rng)


def slug(rng: random.Random, many: int = 9) -> str:
    """Words joined by hyphens or the like. Some repeat their own words: the hard case for attention."""
    words = [word(rng) if rng.random() < 0.85 else number(rng)[:4] for _ in range(rng.randint(2, many))]
    if rng.random() < 0.3:
        words.insert(rng.randrange(len(words)), rng.choice(words))
    if rng.random() < 0.2:
        stem = rng.choice(words)
        words.append(stem + rng.choice(SUFFIXES))
    return rng.choice("-----___+.~,:").join(words) if rng.random() < 0.93 else "".join(map(str.capitalize, words))


def piece(rng: random.Random) -> str:
    """Any of the kinds of words above, as often as paths and queries hold them."""
    chance = rng.random()
    if chance < 0.40:
        return word(rng)
    if chance < 0.62:
        return slug(rng)
    if chance < 0.88:
        return identifier(rng)
    if chance < 0.94:
        return percent_encoded(rng)
    if chance < 0.97:
        return foreign(rng)
    if chance < 0.98:
        return bracketed(rng)
    if chance < 0.99:
        return rng.choice(["", word(rng)]) + run(rng) + rng.choice(["", word(rng), number(rng)[:2] + "-"])
    if chance < 0.995:
        return row(rng)
    return characters(rng, LETTERS_AND_DIGITS + "-._~!$&'()*+,=:@%", 1, 12)


def run(rng: random.Random) -> str:
    """One character many times over, or a few by turns: here attention has to count."""
    return rng.choice(RUNS) * rng.randint(3, 20)


def row(rng: random.Random) -> str:
    """A row of a table, many of its cells empty: the same character over and over, words between."""
    cells = [rng.choice(["", "", word(rng), number(rng)[:4]]) for _ in range(rng.randint(3, 12))]
    return rng.choice(",,,;|").join(cells)


# ---------------------------------------------------------------- parts


def host_name(rng: random.Random) -> str:
    labels = [word(rng).lower() for _ in range(1 if rng.random() < 0.75 else 2)]
    if rng.random() < 0.15:
        labels[-1] += rng.choice(["-", "-", ""]) + (word(rng).lower() if rng.random() < 0.7 else number(rng)[:3])
    if rng.random() < 0.05:
        labels[0] = rng.choice([foreign(rng), "xn--" + characters(rng, LOWER + DIGITS, 4, 12), number(rng)])
    labels.append(rng.choice(TOP_LEVEL) if rng.random() < 0.85 else rng.choice([*SECOND_LEVEL, syllables(rng, 1, 2)]))
    if rng.random() < 0.45:
        labels.insert(0, "www")
    name = ".".join(labels)
    chance = rng.random()
    return name.upper() if chance < 0.01 else name.title() if chance < 0.03 else name + "." if chance < 0.04 else name


def ipv6(rng: random.Random, slips: float = 0.2) -> str:
    """An IPv6 address in its brackets, in any of the forms that there are; a third of them are none.

    Some have a group too many or too few, and a share `slips` is a character off.
    """
    alphabet, (few, many) = rng.choice([HEX, HEX, "01", "000" + HEX]), rng.choice([(1, 4), (1, 4), (4, 4), (1, 1)])
    groups = [characters(rng, alphabet, few, many) for _ in range(8)]
    if rng.random() < 0.2:
        groups[6:] = [ipv4(rng)]
    if rng.random() < 0.25:
        place = rng.randrange(len(groups))
        groups[place : place + rng.choice([1, 1, 1, 8])] = rng.choice(
            [[], [groups[place], groups[0]], ["g"], [groups[place] + "00000"], [""]]
        )
    address = ":".join(groups)
    if rng.random() < 0.5:
        start = rng.randint(0, min(rng.choice([1, 3, 7]), len(groups)))
        stop = rng.randint(rng.choice([start, max(start, len(groups) - 2)]), len(groups))
        address = ":".join(groups[:start]) + "::" + ":".join(groups[stop:])
    if rng.random() < 0.3:
        address = address.upper()
    chance = rng.random()
    if chance < 0.08:
        address = rng.choice(["::1", "::", "::ffff:" + ipv4(rng), "fe80::" + characters(rng, HEX, 1, 4), ipv4(rng)])
    elif chance < 0.16:
        address += rng.choice(["%25eth0", "%eth0", "%" + word(rng), "%25" + word(rng), "%", ":"])
    elif chance < 0.20:
        version = "v" + characters(rng, HEX, 0, 3) + rng.choice([".", ".", ".", "", "x.", ".:"])
        address = version + rng.choice([word(rng), word(rng), ""])
    return f"[{slip(rng, address) if rng.random() < slips else address}]"


def slip(rng: random.Random, address: str) -> str:
    """One character of an address too many, or another one, or one to three too few."""
    place = rng.randint(0, len(address))
    character = rng.choice([":", ":", ".", "%", "g", "::", "%3A", rng.choice(HEX), rng.choice(HEX)])
    change, after = rng.choice([(character, place), (character, place + 1), ("", place + rng.randint(1, 3))])
    return address[:place] + change + address[after:]


def ipv4(rng: random.Random) -> str:
    return ".".join(str(rng.randint(0, 255)) for _ in range(4))


def authority(rng: random.Random) -> str:
    chance = rng.random()
    host = (
        host_name(rng) if chance < 0.89
        else ipv4(rng) if chance < 0.91
        else ipv6(rng) if chance < 0.975
        else rng.choice(["localhost", "", word(rng)])
    )  # fmt: skip
    chance = rng.random()
    if chance < 0.05:
        host = f"{host}:{rng.choice(['80', '443', '8080', '8443', number(rng)[:5]])}"
    elif chance < 0.06:
        host += ":"
    chance = rng.random()
    if chance < 0.02:
        host = f"{piece(rng)}@{host}"
    elif chance < 0.04:
        host = f"{word(rng)}:{rng.choice([piece(rng), ''])}@{host}"
    if rng.random() < 0.01:  # what a list of addresses had in its other columns
        host += "," + row(rng)
    return host


def segment(rng: random.Random) -> str:
    text = piece(rng)
    chance = rng.random()
    if chance < 0.02:
        return rng.choice(["", ".", "..", "-", "~" + word(rng), "@" + word(rng), word(rng) + "!", f"({word(rng)})"])
    if chance < 0.05:
        return text + rng.choice([":", ",", "_(", "--", ".", "=", "+"]) + piece(rng)
    return text


def path(rng: random.Random) -> str:
    if rng.random() < 0.13:
        return rng.choice(["/", "/", "/", "/", "", ""])
    count = rng.choices(range(1, 10), [23, 27, 17, 10, 6, 2, 1, 1, 1])[0]
    text = "".join("/" + segment(rng) for _ in range(count))
    chance = rng.random()
    if chance < 0.27:
        text += "." + rng.choice(EXTENSIONS)
    elif chance < 0.55:
        text += "/"
    if rng.random() < 0.05:
        # `;params` belong to the last segment alone, so elsewhere they stay in the path.
        cut = rng.choice([len(text), len(text), text.find("/", 1) if text.find("/", 1) > 0 else len(text)])
        text = text[:cut] + params(rng) + text[cut:]
    return text


def params(rng: random.Random) -> str:
    return rng.choice(
        [f";jsessionid={characters(rng, HEX.upper(), 8, 32)}", f";{word(rng)}={piece(rng)}", ";", f";{piece(rng)}"]
    )


def query(rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.14:
        return piece(rng)
    if chance < 0.18:
        return rng.choice(["", "=", "&", word(rng) + "=", "/" + word(rng), "/" + slug(rng) + "/", "?" + word(rng)])
    count = rng.choices(range(1, 8), [55, 19, 13, 6, 4, 3, 2])[0]
    separator = rng.choices(["&", "&amp;", ";"], [95, 3, 2])[0]
    return separator.join(parameter(rng) for _ in range(count))


def parameter(rng: random.Random) -> str:
    key = rng.choice(KEYS) if rng.random() < 0.4 else word(rng)
    chance = rng.random()
    if chance < 0.04:  # keys in camel case and in the style of databases
        key = key + word(rng).capitalize() if chance < 0.02 else key[:2].upper() + word(rng).capitalize()
    elif chance < 0.09:
        key += rng.choice(["[]", "[0]", "%5B%5D", "." + word(rng), ":" + word(rng)])
    chance = rng.random()
    if chance < 0.72:
        value = piece(rng)
    elif chance < 0.82:
        value = "+".join(word(rng) for _ in range(rng.randint(2, 4)))
    elif chance < 0.88:
        value = (
            rng.choice(["http://", "https%3A%2F%2F", "http%3a%2f%2f", "/", ""])
            + host_name(rng)
            + rng.choice(["", path(rng)])
        )
    elif chance < 0.93:
        value = rng.choice(
            ["", "1", "0", "true", "en", "%7B%22" + word(rng), f'"{word(rng)}"', f"{word(rng)}@{host_name(rng)}"]
        )
    else:
        value = characters(rng, LETTERS_AND_DIGITS + "+/=%-_.!*'(),:;|", 2, 30)
    return f"{key}={value}" if rng.random() < 0.95 else key


def bracketed(rng: random.Random) -> str:
    """Brackets of all kinds: square ones mean an IPv6 address in a host, and nothing anywhere else."""
    left, right = rng.choice(["[]", "[]", "[]", "()", "{}", "<>"])
    inside = rng.choice(["", word(rng), number(rng), f"{word(rng)},{word(rng)}", ipv6(rng)])
    return rng.choice(["", word(rng)]) + left + inside + right + rng.choice(["", "", word(rng), number(rng)])


def fragment(rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.55:
        return piece(rng)
    if chance < 0.85:
        prefix = rng.choice(["!", "!/", "/", "/", "/!", "?", ":~:text=", "/" + word(rng) + "?", "#"])
        return prefix + rng.choice([path(rng), slug(rng), query(rng), piece(rng), ""]).lstrip("/")
    return rng.choice(
        ["", parameter(rng), parameter(rng) + "&" + parameter(rng), host_name(rng), word(rng) + ":" + number(rng)]
    )


def scheme(rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.60:
        return "https"
    if chance < 0.90:
        return "http"
    if chance < 0.97:
        return rng.choice(ODD_SCHEMES)
    if chance < 0.985:
        if rng.random() < 0.3:  # nearly a known one: whether it may have `;params` hangs on each letter
            name = rng.choice(["https", "http", *ODD_SCHEMES])
            place = rng.randint(0, len(name))
            return name[:place] + rng.choice(LOWER) * rng.randint(0, 1) + name[place + rng.randint(0, 1) :]
        return word(rng) + rng.choice(["", "", number(rng)[:2], "+" + word(rng), "-" + word(rng), "." + word(rng)])
    name = rng.choice(["https", "http", rng.choice(ODD_SCHEMES)])
    return rng.choice([name.upper(), name.capitalize(), "".join(rng.choice([c, c.upper()]) for c in name)])


def opaque(rng: random.Random) -> str:
    """A URL without an authority, such as `mailto:` and `tel:` ones; parameters are common in the latter."""
    if rng.random() < 0.2:
        digits = "-".join(number(rng)[:4] for _ in range(rng.randint(1, 3)))
        return f"tel:{digits}" + rng.choice(["", ";", f";{word(rng)}={piece(rng)}"])
    rest = rng.choice([path(rng), segment(rng), f"{word(rng)}@{host_name(rng)}", number(rng), ""])
    return f"{scheme(rng)}:{rest}"


def url(rng: random.Random) -> str:
    """A realistic URL. About one in twenty is relative, or has no authority."""
    chance = rng.random()
    if chance < 0.94:
        text = f"{scheme(rng)}://{authority(rng)}{path(rng)}"
    elif chance < 0.955:
        text = opaque(rng)
    elif chance < 0.97:
        text = f"//{authority(rng)}{path(rng)}"
    elif chance < 0.985:
        text = rng.choice([authority(rng), ""]) + path(rng)
    else:
        text = rng.choice([path(rng).lstrip("/"), "", segment(rng)])
    if rng.random() < 0.05:
        text += params(rng)
    if rng.random() < 0.35:
        text += "?" + query(rng)
    if rng.random() < 0.18:
        text += "#" + fragment(rng)
    return text


# ---------------------------------------------------------------- noise


def any_character(rng: random.Random) -> str:
    """A character of any kind that UTF-8 can hold; each of its byte values comes up."""
    chance = rng.random()
    if chance < 0.35:
        return chr(rng.randint(0x20, 0x7E))
    if chance < 0.60:
        return rng.choice(STRUCTURE)
    if chance < 0.72:
        return rng.choice(DELIMITERS)
    if chance < 0.80:
        return chr(rng.choice([rng.randint(0x01, 0x1F), rng.randint(0x01, 0x1F), 0x7F]))
    if chance < 0.86:
        return chr(rng.randint(0x80, 0x7FF))
    if chance < 0.87:
        return rng.choice(DECEPTIVE)
    if chance < 0.94:
        code = rng.randint(0x800, 0xFFFF - 0x800)
        return chr(code if code < 0xD800 else code + 0x800)
    return chr(rng.randint(0x10000, 0x10FFFF))


def replaced(rng: random.Random, text: str) -> str:
    """Some characters, or nearly all, replaced by any others."""
    share = rng.choice([0.02, 0.05, 0.2, 0.6])
    return "".join(any_character(rng) if rng.random() < share else character for character in text)


def edited(rng: random.Random, text: str) -> str:
    """One to four characters inserted or taken out."""
    letters = list(text)
    for _ in range(rng.randint(1, 4)):
        place = rng.randint(0, len(letters))
        if rng.random() < 0.7:
            letters.insert(place, any_character(rng))
        else:
            del letters[place : place + rng.randint(1, 3)]
    return "".join(letters)


def stuttered(rng: random.Random, text: str) -> str:
    """A stretch of the text repeated, near or far: the same bytes on both sides, told apart by place alone."""
    if not text:
        return text
    start = rng.randrange(len(text))
    stretch = text[start : start + rng.choice([1, 2, 3, 4, 6, 10, 20])]
    for _ in range(rng.choice([1, 1, 2, 4])):
        place = rng.choice([start, start + len(stretch), rng.randint(0, len(text))])
        text = text[:place] + stretch + text[place:]
    return text


def scrambled(rng: random.Random, text: str) -> str:
    """The text cut at its delimiters and put together in another order."""
    pieces, start = [], 0
    for place, character in enumerate(text):
        if character in STRUCTURE:
            pieces += [text[start:place], character]
            start = place + 1
    pieces.append(text[start:])
    for _ in range(rng.randint(1, 3)):
        first, second = rng.randrange(len(pieces)), rng.randrange(len(pieces))
        pieces[first], pieces[second] = pieces[second], pieces[first]
    return "".join(pieces)


def spaced(rng: random.Random, text: str) -> str:
    """Blanks at an end or within: `urlparse` strips some, drops others, and keeps the rest."""
    place = rng.choice([0, 0, len(text), rng.randint(0, len(text))])
    blanks = characters(rng, rng.choice(["  \t\n\r\x01\x0b\x1f", " \t"]), 1, 6)
    return text[:place] + blanks + text[place:] + (rng.choice(blanks) if rng.random() < 0.3 else "")


def slashed(rng: random.Random, text: str) -> str:
    """One slash made several, or turned; how many there are at the start decides whether a host follows."""
    places = [place for place, character in enumerate(text) if character == "/"] or [0]
    place = rng.choice([places[0], rng.choice(places)])
    slashes = rng.choice(["//", "///", "////", "\\", "/\\", "\\\\"])
    return (text[:place] if rng.random() < 0.6 else "") + slashes + text[place + 1 :]


def recased(rng: random.Random, text: str) -> str:
    return rng.choice([text.upper(), text.title(), text.swapcase()])


def random_text(rng: random.Random, url: str) -> str:
    """As long as the URL, but of one kind of characters throughout."""
    alphabet = rng.choice(
        [STRUCTURE + "ab1", DELIMITERS + LOWER, LETTERS_AND_DIGITS, LETTERS_AND_DIGITS + "-", DIGITS, "ab", ""]
    )
    length = rng.randint(1, max(4, len(url)))
    return (
        "".join(rng.choices(alphabet, k=length))
        if alphabet
        else "".join(any_character(rng) for _ in range(length // 2))
    )


def random_segments(rng: random.Random, text: str) -> str:
    """Each run of letters and digits replaced by as many random ones: the shape stays, the words go."""
    alphabet = rng.choice([LOWER, LETTERS_AND_DIGITS, LETTERS_AND_DIGITS + "-_%", HEX])
    return "".join(rng.choice(alphabet) if character.isalnum() else character for character in text)


NOISES = [
    replaced,
    replaced,
    edited,
    edited,
    stuttered,
    stuttered,
    scrambled,
    spaced,
    slashed,
    recased,
    random_text,
    random_segments,
    random_segments,
]


def near_deceptive(rng: random.Random) -> str:
    """A character whose bytes are nearly those of a deceptive one; most are harmless."""
    return chr(ord(rng.choice(DECEPTIVE)) + rng.randint(-256, 256))


def odd_host(rng: random.Random) -> str:
    """A URL whose host holds what none should: brackets on their own, in front of `@` or around no address, deceptive
    characters.
    """
    bits = ["[", "]", "[", "]", ":", "::", "@", "%", ".", "\\", "v1.", word(rng)[:3], number(rng)[:3], ipv4(rng),
            ipv6(rng), ipv6(rng)[:-1], ipv6(rng)[1:],
            rng.choice(DECEPTIVE), near_deceptive(rng), near_deceptive(rng)]  # fmt: skip
    host = "".join(rng.choices(bits, k=rng.randint(1, 4)))
    if rng.random() < 0.15:
        host = characters(rng, rng.choice(["[]ab", "[]" + DELIMITERS]), 2, 30) + "@" + rng.choice([host, word(rng)])
    prefix = rng.choice(["", scheme(rng) + ":"])
    return f"{prefix}//{host}{rng.choice(['', '', '/', path(rng), '?' + query(rng), '#' + fragment(rng)])}"


def tiny(rng: random.Random) -> str:
    """A URL of very few characters: each of its parts may be missing, empty, or as short as can be."""

    def bit() -> str:
        return characters(rng, LETTERS_AND_DIGITS + "-.", 0, 2)

    start = rng.choice(["", "", f"{bit()}:", f"{scheme(rng)}:"])
    text = start + rng.choice(["", "//", f"//{bit()}"]) + rng.choice(["", "/", f"/{bit()}", f"/{bit()}/{bit()}"])
    return text + "".join(mark + bit() for mark in ";?#" if rng.random() < 0.4)


def noisy_url(rng: random.Random) -> str:
    """A URL with one kind of noise, or with two, one upon the other; or one with an odd host, or a tiny one."""
    chance = rng.random()
    if chance < 0.06:
        return odd_host(rng)
    if chance < 0.10:
        return tiny(rng)
    text = url(rng)
    for _ in range(rng.choice([1, 1, 2])):
        text = rng.choice(NOISES)(rng, text)
    return text
