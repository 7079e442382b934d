"""The grammar of URLs: realistic ones, with the rare parts made common.

Rates follow what crawls of the web show (https 62 %, `www.` 45 %, query 11 %, ...), except that what is rare there
(ports, userinfo, `;params`, IPv6, odd schemes, empty parts) is frequent here: the copy has to learn it, too. To sample
something new, add a rule to `RULES`, and its symbol, with a weight, to the rule of what may contain it.
"""

import random
import string
from collections.abc import Callable
from urllib.parse import quote

from urlseq.samplers.grammar import Grammar, Rule, characters
from urlseq.sampling import Sampler

LOWER, DIGITS, HEX = string.ascii_lowercase, string.digits, "0123456789abcdef"
LETTERS_AND_DIGITS = string.ascii_letters + string.digits
DELIMITERS = ":/?#[]@!$&'()*+,;=%\\|^`{}<>\"~._- \t\n"
# What separates the parts of a URL comes up much more often in noise than chance would have it.
STRUCTURE = ":/?#;@[]=&.%"
# Characters whose compatibility form holds a delimiter: `urlparse` refuses them in a host.
DECEPTIVE = "⁈⁇⁉℀℁℅℆︓︖﹕﹖﹟﹫＃／：？＠⩴"
# Full-width forms and ideographic punctuation: some hold a delimiter, most don't.
WIDE_MARKS = "".join(map(chr, [*range(0xFF01, 0xFF5F), *range(0x3000, 0x3020), *range(0xFE50, 0xFE6C)]))
# Schemes with and without `//`, with and without `;params`, known to urllib and unknown.
ODD_SCHEMES = (
    "ftp ftp ftps sftp file file ws wss git ssh svn svn+ssh git+https rtsp rtspu sip sips mms mmsh tel mailto news "
    "nntp telnet ldap ldaps gopher hdl imap wais shttp prospero rsync snews nfs itms-services urn data javascript "
    "about view-source chrome blob magnet irc doi tag feed steam s3 hdfs jdbc:mysql x-y z39.50s web+app a b c"
).split()


def slug(rng: random.Random) -> str:
    """Words joined by hyphens or the like. Some repeat their own words: the hard case for attention."""
    words = [symbol("slug word")(rng) for _ in range(rng.randint(2, 9))]
    if rng.random() < 0.3:
        words.insert(rng.randrange(len(words)), rng.choice(words))
    if rng.random() < 0.2:
        words.append(rng.choice(words) + symbol("suffix")(rng))
    return rng.choice("-----___+.~,:").join(words) if rng.random() < 0.93 else "".join(map(str.capitalize, words))


def path_with_inner_params(rng: random.Random) -> str:
    """A path with `;params` after its first segment; `urlparse` leaves them in the path where others follow."""
    first, slash, rest = symbol("plain path")(rng)[1:].partition("/")
    return f"/{first}{symbol('params')(rng)}{slash}{rest}"


def near_scheme(rng: random.Random) -> str:
    """Nearly a known scheme: whether it may have `;params` depends on each letter."""
    name = rng.choice(["https", "http", *ODD_SCHEMES])
    position = rng.randint(0, len(name))
    return name[:position] + rng.choice(LOWER) * rng.randint(0, 1) + name[position + rng.randint(0, 1) :]


def ipv6_groups(rng: random.Random) -> str:
    """The groups of an IPv6 address, in any form; in a quarter of them one is missing, too long, or no number."""
    alphabet, (fewest, most) = rng.choice([HEX, HEX, "01", "000" + HEX]), rng.choice([(1, 4), (1, 4), (4, 4), (1, 1)])
    groups = [characters(alphabet, fewest, most)(rng) for _ in range(8)]
    if rng.random() < 0.2:
        groups[6:] = [symbol("ipv4")(rng)]
    if rng.random() < 0.25:
        index = rng.randrange(len(groups))
        changes = [[], [groups[index], groups[0]], ["g"], [groups[index] + "00000"], [""]]
        groups[index : index + rng.choice([1, 1, 1, 8])] = rng.choice(changes)
    address = ":".join(groups)
    if rng.random() < 0.5:
        start = rng.randint(0, min(rng.choice([1, 3, 7]), len(groups)))
        stop = rng.randint(rng.choice([start, max(start, len(groups) - 2)]), len(groups))
        address = ":".join(groups[:start]) + "::" + ":".join(groups[stop:])
    return address.upper() if rng.random() < 0.3 else address


def ipv6_with_slip(rng: random.Random) -> str:
    """An IPv6 address in its brackets, with one character too many, or another one, or one to three too few."""
    address = symbol("ipv6 address")(rng)
    position = rng.randint(0, len(address))
    character = rng.choice([":", ":", ".", "%", "g", "::", "%3A", rng.choice(HEX), rng.choice(HEX)])
    change, end = rng.choice([(character, position), (character, position + 1), ("", position + rng.randint(1, 3))])
    return f"[{address[:position]}{change}{address[end:]}]"


def insert_anywhere(rng: random.Random, text: str, character: Sampler, count: int) -> str:
    """The text with `count` characters of a sampler inserted, one by one, anywhere."""
    characters = list(text)
    for _ in range(count):
        characters.insert(rng.randint(0, len(characters)), character(rng))
    return "".join(characters)


def quoted(rng: random.Random, text: str) -> str:
    """The text as it stands within a URL, percent-encoded once or, as redirects to redirects are, several times."""
    for _ in range(rng.choice([1, 1, 1, 2, 3, 4])):
        text = quote(text, safe=rng.choice(["", "", "/:"]))
    return text.lower() if rng.random() < 0.1 else text


def between(first: int, last: int) -> Sampler:
    """Draws a character between two code points."""
    return lambda rng: chr(rng.randint(first, last))


# fmt: off
RULES: dict[str, Rule] = {
    # Words
    "onset": "b c d f g h j k l m n p r s t v w z br ch cl cr dr fl fr gr pl pr qu sh sl sp st str th tr wh".split(),
    "vowel": "a e i o u a e i o u ai ea ee ie oo ou y".split(),
    "coda": ["", "", "", "", *"n r s t l m d ck ng nd st rt x ss ll".split()],
    "syllable": "{onset}{vowel}{coda}", "syllables": "{syllable:1-3}",
    "suffix": "ing ed er ers tion ation ations ology ment ness able ity ism ist ies al ally est ful ive ize".split(),
    "lower word": {"{syllables}": 67, "{syllables}{suffix}": 29, characters(LOWER, 1, 2): 4},
    "word": {"{lower word}": 84, "{lower word!capitalize}": 12, "{lower word!upper}": 4},
    "text word": {"{syllables}": 2, "{syllables!capitalize}": 1, "{syllables!upper}": 1, "{piece!8}": 1},
    # One to six letters of one of the scripts that URLs are written in; each length of UTF-8 is here
    "non-ascii": [characters("".join(map(chr, range(first, last + 1))), 1, 6) for first, last in (
        (0xC0, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x5D0, 0x5EA), (0x620, 0x64A), (0x900, 0x97F), (0xE01, 0xE3A),
        (0x3041, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xFF10, 0xFF5A), (0x1F300, 0x1F6FF))],
    # What machines write
    "identifier": {"{number}": 3, "{letter}{number}": 1, "{word}{number}": 1, "{long number}": 1, "{date}": 1,
                   "{uuid}": 1, "{hex:6-40}": 1, characters(LETTERS_AND_DIGITS + "-_", 4, 24): 1},
    "number": lambda rng: str(rng.randrange(10 ** rng.randint(1, 10))), "letter": [*string.ascii_letters],
    "uuid": "{hex:8-8}-{hex:4-4}-{hex:4-4}-{hex:4-4}-{hex:12-12}",
    "date": ["{year}-{month}-{day}", "{year}/{month}/{day}", "{year}_{month}_{day}", "{year}.{month}.{day}"],
    "month": [f"{month:02}" for month in range(1, 13)], "day": [f"{day:02}" for day in range(1, 32)],
    "year": [f"{year}" for year in range(1990, 2031)],
    "long number": [characters(a, 4, 20) for a in ("01", "000000" + DIGITS, "0004", DIGITS, "AB0", "ABCDEF" + DIGITS)],
    "percent-encoded": {"{syllable:1-2}": 50, "%{byte}": 10, "%{byte!upper}": 10, "%20": 10, "%2F": 10, "%3A": 10},
    "byte": [f"{byte:02x}" for byte in range(256)], "hex": [*HEX],
    # Pieces, of which paths, queries and fragments consist
    "piece": {"{word}": 40, "{slug}": 22, "{identifier}": 26, "{percent-encoded:1-6}": 6, "{non-ascii}": 3,
              "{row}": 0.5, "{word:50}{run}{after run}": 1, "{word:50}{brackets}{after brackets}": 1,
              characters(LETTERS_AND_DIGITS + "-._~!$&'()*+,=:@%", 1, 12): 0.5},
    "run": [run * count for run in [*"--_.?*+ 0Ax,\\", "A,B,", "12"] for count in range(3, 21)],  # to be counted
    "after run": ["", "{word}", "{number!2}-"], "slug": slug, "slug word": {"{word}": 85, "{number!4}": 15},
    "brackets": {"[{inside}]": 3, "({inside})": 1, "{{{inside}}}": 1, "<{inside}>": 1},
    "inside": ["", "{word}", "{number}", "{word},{word}", "{ipv6}"], "after brackets": ["", "", "{word}", "{number}"],
    "row": {"{cell:3-12 ,}": 3, "{cell:3-12 ;}": 1, "{cell:3-12 |}": 1}, "cell": ["", "", "{word}", "{number!4}"],
    # Schemes
    "scheme": {"https": 60, "http": 30, "{odd scheme}": 7, near_scheme: 0.45, "{made-up scheme}": 1.05,
               "{known scheme!upper}": 0.5, "{known scheme!capitalize}": 0.5, "{mixed-case scheme}": 0.5},
    "known scheme": ["https", "http", "{odd scheme}"], "odd scheme": ODD_SCHEMES,
    "made-up scheme": ["{word}", "{word}", "{word}{number!2}", "{word}+{word}", "{word}-{word}", "{word}.{word}"],
    "mixed-case scheme": lambda rng: "".join(rng.choice([c, c.upper()]) for c in symbol("known scheme")(rng)),
    # Hosts, and what stands beside them; the columns are those of a table that an address was taken from
    "authority": "{userinfo:4}{host}{port:6}{columns:1}", "columns": ",{row}",
    "userinfo": ["{piece}@", "{word}:{piece:50}@"], "bare host": ["localhost", "", "{word}"],
    "host": {"{host name}": 89, "{ipv4}": 2, "{ipv6}": 6.5, "{bare host}": 2.5},
    "port": {":{port number}": 5, ":": 1}, "port number": ["80", "443", "8080", "8443", "{number!5}"],
    "host name": {"{lower name}": 96, "{lower name!upper}": 1, "{lower name!title}": 2, "{lower name}.": 1},
    "lower name": "{www.:45}{labels}.{top level}", "www.": "www.",
    "labels": {"{only label}": 75, "{first label}.{last label}": 25}, "more": {"{word!lower}": 70, "{number!3}": 30},
    "only label": {"{last label}": 95, "{odd label}": 5}, "first label": {"{word!lower}": 95, "{odd label}": 5},
    "last label": "{word!lower}{more of label:15}", "more of label": {"-{more}": 2, "{more}": 1},
    "odd label": ["{non-ascii}", "xn--{punycode}", "{number}"], "punycode": characters(LOWER + DIGITS, 4, 12),
    "top level": {"{known top level}": 85, "{second level}": 15},
    "known top level": "com com com com com com org org net net gov edu io de uk fr jp ru in info co eu us ca".split(),
    "second level": [*"co.uk com.au ac.uk co.jp com.br gov.uk org.uk co.in edu.cn".split(), "{syllable:1-2}"],
    "ipv4": "{decimal byte:4-4 .}", "decimal byte": [f"{byte}" for byte in range(256)],
    "ipv6": {"[{ipv6 address}]": 80, ipv6_with_slip: 20},  # a third of them are none
    "ipv6 address": {ipv6_groups: 80, "{ipv6 groups}{zone}": 8, "{short ipv6}": 8, "{future ip}": 4},
    "ipv6 groups": ipv6_groups, "zone": ["%25eth0", "%eth0", "%{word}", "%25{word}", "%", ":"],
    "short ipv6": ["::1", "::", "::ffff:{ipv4}", "fe80::{hex:1-4}", "{ipv4}"],
    "future ip": ["v{hex:0-3}" + dot + end for dot in [*"...", "", "x.", ".:"] for end in ["{word}", "{word}", ""]],
    # Paths
    "path": {"{long path}": 87, "{short path}": 13}, "short path": {"/": 4, "": 2},
    "long path": {"{plain path}": 285, "{plain path}{params}": 10, path_with_inner_params: 5},
    "plain path": {"{segments}.{extension}": 27, "{segments}/": 28, "{segments}": 45},
    "segments": {f"/{{segment:{n}-{n} /}}": weight for n, weight in enumerate([23, 27, 17, 10, 6, 2, 1, 1, 1], 1)},
    "segment": {"{piece}": 95, "{piece}{joint}{piece}": 3, "{odd segment}": 2},
    "joint": [":", ",", "_(", "--", ".", "=", "+"], "rootless path": lambda rng: symbol("path")(rng).lstrip("/"),
    "odd segment": ["", ".", "..", "-", "~{word}", "@{word}", "{word}!", "({word})"],
    "extension": ("html html html htm php php aspx asp jsp pdf pdf jpg png gif svg css js json xml txt zip exe "
                  "tar.gz mp4 shtml cgi do").split(),
    "params": [";jsessionid={session}", ";{word}={piece}", ";", ";{piece}"], "session": characters(HEX.upper(), 8, 32),
    # Queries and fragments
    "query": {"{parameters}": 82, "{piece}": 14, "{odd query}": 4}, "parameter": {"{key}={value}": 95, "{key}": 5},
    "odd query": ["", "=", "&", "{word}=", "/{word}", "/{slug}/", "?{word}"],
    "parameters": {f"{{parameter:{n}-{n} {sep}}}": weight * share for sep, share in [("&", 95), ("&amp;", 3), (";", 2)]
                   for n, weight in enumerate([55, 19, 13, 6, 4, 3, 2], 1)},
    "key": {"{plain key}": 91, "{plain key}{more of key}": 5, "{plain key}{word!capitalize}": 2,
            "{start of key!upper}{word!capitalize}": 2},
    "plain key": {"{known key}": 40, "{word}": 60}, "start of key": "{plain key!2}",
    "known key": ("id p q s v page lang type name key ref sort date cat url user view action "
                  "utm_source utm_medium utm_campaign").split(),
    "more of key": ["[]", "[0]", "%5B%5D", ".{word}", ":{word}"],
    "value": {"{piece}": 68, "{inner url}": 1, "{encoded text}": 2, "{with marks}": 1, "{word:2-4 +}": 10,
              "{before address}{host name}{path:50}": 6, "{odd value}": 5,
              characters(LETTERS_AND_DIGITS + "+/=%-_.!*'(),:;|", 2, 30): 7},
    "before address": ["http://", "https%3A%2F%2F", "http%3a%2f%2f", "/", ""],
    # URLs within URLs, text of other scripts as browsers write it, and what else makes a URL long
    "inner url": ["{url}", lambda rng: quoted(rng, symbol("url")(rng))],
    "encoded text": lambda rng: quoted(rng, symbol("foreign text")(rng)).replace("%20", rng.choice(["%20", "+"])),
    "foreign text": "{foreign word:1-8  }", "foreign word": ["{non-ascii:1-2}", "{non-ascii}", "{word}"],
    "long url": "{scheme}://{authority}{very long path:35}{long query}{#fragment:18}",
    "very long path": ["/{segment:6-24 /}", "{path}/{encoded text:1-4 /}", "{path}/{slug:2-6 -}"],
    "long query": ["", "?{parameter:6-30 &}", "?{keyed blob}", "?{keyed blob}&{parameters}",
                   "?{key}={inner url}&{key}={inner url}", "?{key}={encoded text:1-5 +}", "?{counted key:4-20 &}"],
    "keyed blob": "{key}={blob}", "blob": [characters(LETTERS_AND_DIGITS + "-_", 60, 500), "{hex:60-400}"],
    "counted key": ["{word!3}%5B{letter}%5D={number!3}", "{word!3}[{number!2}]={word}",
                    "{word!5}%5B%5D%5B{word!4}%5D={bit}"],
    "marks": characters("\"\\'<>", 1, 4), "with marks": "{marks:50}{word}{marks}{word:50}{marks:50}",
    "odd value": ["", "1", "0", "true", "en", "%7B%22{word}", '"{word}"', "{word}@{host name}"],
    "rootless query": lambda rng: symbol("query")(rng).lstrip("/"),
    "fragment": {"{piece}": 55, "{mark}{after mark}": 30, "{odd fragment}": 15},
    "mark": ["!", "!/", "/", "/", "/!", "?", ":~:text=", "/{word}?", "#"],
    "after mark": ["{rootless path}", "{slug}", "{rootless query}", "{piece}", ""],
    "odd fragment": ["", "{parameter}", "{parameter}&{parameter}", "{host name}", "{word}:{number}"],
    # URLs: about one in twenty is relative, or has no authority
    "url": "{base}{params:5}{?query:35}{#fragment:18}", "?query": "?{query}", "#fragment": "#{fragment}",
    "base": {"{scheme}://{authority}{path}": 94, "//{authority}{path}": 1.5, "{authority:50}{path}": 1.5,
             "{opaque}": 1.5, "{relative}": 1.5},
    "relative": ["{rootless path}", "", "{segment}"], "after phone": ["", ";", ";{word}={piece}"],
    "opaque": {"{scheme}:{rest}": 80, "tel:{number!4:1-3 -}{after phone}": 20},
    "rest": ["{path}", "{segment}", "{word}@{host name}", "{number}", ""],
    # Tiny URLs: each part may be missing, empty, or as short as can be
    "tiny url": "{tiny scheme}{tiny host}{tiny path}{;bit:40}{?bit:40}{#bit:40}",
    "tiny scheme": ["", "", "{bit}:", "{scheme}:"], "tiny host": ["", "//", "//{bit}"],
    "tiny path": ["", "/", "/{bit}", "/{bit}/{bit}"], "bit": characters(LETTERS_AND_DIGITS + "-.", 0, 2),
    ";bit": ";{bit}", "?bit": "?{bit}", "#bit": "#{bit}",
    # URLs with brackets in their hosts, before `@` or around no address, and with (nearly) deceptive characters
    "odd url": "{scheme and colon:50}//{odd host}{after odd host}", "scheme and colon": "{scheme}:",
    "odd host": {"{chosen odd parts}": 85, "{odd userinfo}@{chosen odd parts}": 7.5, "{odd userinfo}@{word}": 7.5},
    "after odd host": ["", "", "/", "{path}", "?{query}", "#{fragment}"],
    "after counted host": {"": 4, "/": 2, "/{bit}": 2, "{path}": 1, "?{query}": 0.5, "#{fragment}": 0.5},
    "odd userinfo": [characters("[]ab", 2, 30), characters("[]" + DELIMITERS, 2, 30)],
    "odd parts": ("[ ] [ ] : :: @ % . \\ v1. {word!3} {number!3} {ipv4} {ipv6} {start of ipv6} {end of ipv6} "
                  "{deceptive} {nearly deceptive} {nearly deceptive}"),
    "chosen odd parts": lambda rng: "".join(rng.choices(symbol("odd parts")(rng).split(" "), k=rng.randint(1, 4))),
    "start of ipv6": lambda rng: symbol("ipv6")(rng)[:-1], "end of ipv6": lambda rng: symbol("ipv6")(rng)[1:],
    # Near a deceptive one: its first bytes of UTF-8, or all but the last, are often the same
    "nearly deceptive": lambda rng: chr(
        ord(rng.choice(DECEPTIVE)) + rng.choice([rng.randint(-256, 256), rng.randint(-8, 8)])),
    # URLs whose hosts are addresses of version 6, or in the scripts of East Asia: errors have to be counted, or found
    "ipv6 url": "{scheme and colon:70}//{userinfo:4}{ipv6}{port:10}{after counted host}",
    "wide url": "{scheme and colon:80}//{userinfo:4}{wide host}{port:8}{after counted host}",
    "wide host": lambda rng: insert_anywhere(  # up to four marks may be deceptive
        rng, symbol("wide name")(rng), symbol("wide mark"), rng.choice([0, 1, 1, 1, 2, 2, 4])),
    "wide name": {"{wide label:1-4 .}": 3, "{wide label}.{top level}": 3, "{wide label:2-3 。}": 1,
                  "{first label}{wide label}.{top level}": 1, "{host name}": 1, "{non-ascii:1-3 .}": 1},
    "wide label": [characters("".join(map(chr, range(first, last))), 1, 10) for first, last in (
        (0x4E00, 0xA000), (0x4E00, 0xA000), (0x3041, 0x3100), (0xAC00, 0xD7A4))] + ["{non-ascii:1-3}"],
    "wide mark": ["{deceptive}", "{nearly deceptive}", characters(WIDE_MARKS, 1, 1), "{three bytes}"],
    # Characters of any kind that UTF-8 can hold; each of its byte values comes up
    "character": {between(0x20, 0x7E): 35, characters(STRUCTURE, 1, 1): 25, characters(DELIMITERS, 1, 1): 12,
                  "{control}": 8, between(0x80, 0x7FF): 6, "{deceptive}": 1, "{three bytes}": 7, "{four bytes}": 6},
    "control": {between(0x01, 0x1F): 2, "\x7f": 1}, "deceptive": [*DECEPTIVE], "four bytes": between(0x10000, 0x10FFFF),
    "three bytes": {between(0x800, 0xD7FF): 0xD800 - 0x800, between(0xE000, 0xFFFF): 0x2000},  # surrogates are none
}

# The sampler of a symbol of this grammar: `symbol("query")` draws queries.
symbol: Callable[[str], Sampler] = Grammar(RULES).sampler
