"""Draws the pictures of README and of the site: `python docs/pictures.py [NAME ...]`, all of them or some.

- `attempts.gif`: an animation of a training. The first call trains for some minutes and keeps what the network
  answered in `runs/attempts.json`; later ones draw from that.
- `social.png`: the preview that a link to the project shows elsewhere, 1280 by 640 pixels.
- `page.png`: the upper part of `web/page.png`.
- `architecture.svg`: the network, with the sizes that `urlseq.Architecture` has.
"""

import argparse
import json
from html import escape
from pathlib import Path
from urllib.parse import urlparse

import matplotlib
from PIL import Image, ImageColor, ImageDraw, ImageFont

FOLDER = Path(__file__).parent
SNAPSHOTS = FOLDER.parent / "runs" / "attempts.json"
URLS = """
    https://docs.python.org/3/library/urllib.parse.html
    https://en.wikipedia.org/wiki/URL#Syntax
    https://duckduckgo.com/?q=seq2seq+attention
    https://www.youtube.com/watch?v=dQw4w9WgXcQ
    ftp://ftp.gnu.org/gnu/bash/bash-5.2.tar.gz
    mailto:someone@example.org?subject=hello
""".split()
WIDTH = 880
INK, GREY, RED, GREEN, BLUE = "#1c1f2b", "#6b7080", "#d1242f", "#116b3a", "#2f55d4"
PARTS = [("https", "#7c2fd4"), ("example.org", "#0a62c4"), ("/a/b", "#116b3a"), ("c", "#9a4a00"), ("d=e", "#b3134f"),
         ("f", "#5c5a00")]  # fmt: skip
BOLD, DASHED = 'font-weight="700"', 'stroke-dasharray="5 4"'
SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 570" width="900" height="570" role="img"
 font-family="system-ui, 'DejaVu Sans', Arial, sans-serif" font-size="14" text-anchor="middle">
<title>Text as bytes, an embedding, an LSTM encoder in both directions, attention, an LSTM decoder, JSON</title>
<defs><marker id="tip" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0,0 L10,5 L0,10 z" fill="{blue}"/></marker></defs>
<style>text {{ fill: {ink} }} .arrow {{ stroke: {blue}; stroke-width: 1.6; fill: none; marker-end: url(#tip) }}
.small {{ font-size: 13px; fill: {grey} }} .mono {{ font: 15px 'DejaVu Sans Mono', Consolas, monospace }}
.tiny {{ font-size: 10px; fill: {grey} }} .left {{ text-anchor: start; fill: {grey} }}
.title {{ font-size: 19px; text-anchor: start }}</style>
<rect width="900" height="570" rx="12" fill="#ffffff"/>
{parts}
</svg>
"""


def train() -> None:
    """Trains a copy of `urlparse` to 64 bytes and keeps its answers to six URLs after every 1,280 examples."""
    from urlseq import Task, Training, copy_function
    from urlseq.report import RecordPredictions

    task = Task(urlparse, max_input_bytes=64)
    record = RecordPredictions(URLS)
    training = Training(examples=96_000, epoch_batches=20, validation_count=500)
    copy = copy_function(task, training, attempts=0, callbacks=[record])
    epochs = [{name: epoch[name] for name in ("examples", "seconds", "val_exact")} for epoch in copy.card["history"]]
    SNAPSHOTS.parent.mkdir(exist_ok=True)
    found = {"inputs": URLS, "expected": task.expected(URLS), "answers": record.answers, "epochs": epochs}
    SNAPSHOTS.write_text(json.dumps(found, ensure_ascii=False))


# ---------------------------------------------------------------- attempts


def font(size: int, style: str = "") -> ImageFont.FreeTypeFont:
    """DejaVu Sans, or `style` of it, which comes with matplotlib."""
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans{style}.ttf", size)


def chosen_epochs(epochs: list[dict]) -> list[int]:
    """Each of the first third, then fewer: there the attempts change less."""
    third = len(epochs) // 3
    return sorted({*range(third), *range(third, len(epochs), 3), len(epochs) - 1})


def draw_attempts() -> None:
    if not SNAPSHOTS.exists():
        train()
    found = json.loads(SNAPSHOTS.read_text())
    rows = [found["inputs"].index(text) for text in URLS]
    frames, durations = [], []
    for number in chosen_epochs(found["epochs"]):
        answers = [found["answers"][number][row] for row in rows]
        frames.append(attempts_frame(found["epochs"], number, answers, [found["expected"][row] for row in rows]))
        durations.append(220)
    durations[0], durations[-1] = 1000, 4000
    palette = palette_of([INK, GREY, RED, GREEN, BLUE])
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    frames[0].save(FOLDER / "attempts.gif", save_all=True, append_images=frames[1:], duration=durations, loop=0,
                   optimize=True)  # fmt: skip


def palette_of(colours: list[str], steps: int = 8) -> Image.Image:
    """A palette of the colours and of their mixtures with white, which the edges of letters have."""
    mixtures = []
    for colour in colours:
        for step in range(steps):
            mixtures += [round(255 - (255 - part) * (step + 1) / steps) for part in ImageColor.getrgb(colour)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([255, 255, 255, *mixtures])
    return palette


def attempts_frame(epochs: list[dict], number: int, answers: list[str], expected: list[str]) -> Image.Image:
    """What the network answers to all URLs after one epoch, mistakes in red."""
    image = Image.new("RGB", (WIDTH, 70 + 58 * len(URLS)), "white")
    draw, now = ImageDraw.Draw(image), epochs[number]
    seconds = round(now["seconds"])
    head = f"{now['examples']:>6,} examples   {seconds // 60}:{seconds % 60:02} minutes   held out: "
    draw.text((16, 14), f"{head}{now['val_exact']:.0%} exact", INK, font(16, "Mono-Bold"))
    draw.rectangle((16, 42, WIDTH - 16, 47), "#e6e6ec")
    draw.rectangle((16, 42, 16 + (WIDTH - 32) * now["examples"] / epochs[-1]["examples"], 47), BLUE)
    for index, (text, answer, right) in enumerate(zip(URLS, answers, expected, strict=True)):
        top = 64 + 58 * index
        draw.text((16, top), text, GREY, font(15, "Mono"))
        draw_answer(draw, (34, top + 24), answer, right)
    return image


def draw_answer(draw: ImageDraw.ImageDraw, place: tuple[int, int], answer: str, right: str) -> None:
    from urlseq.report import changes

    mono, (left, top) = font(15, "Mono"), place
    width, wrong = mono.getlength("x"), set[int]()
    for _, _, _, start, end in changes(right, answer):
        wrong |= set(range(start, max(end, start + 1)))
    most = int((WIDTH - left - 40) / width)
    for index, character in enumerate(answer[:most]):
        draw.text((left + index * width, top), character, RED if index in wrong else INK, mono)
    if len(answer) > most:
        draw.text((left + most * width, top), "…", RED, mono)
    elif answer == right:
        draw.text((left + (len(answer) + 1) * width, top), "✓", GREEN, font(15, "-Bold"))


# ---------------------------------------------------------------- social


def draw_social() -> None:
    image = Image.new("RGB", (1280, 640), "#fcfbf7")
    draw = ImageDraw.Draw(image)
    draw.text((80, 70), "urlseq", BLUE, font(44, "-Bold"))
    draw.text((80, 142), "Python functions,", INK, font(68, "-Bold"))
    draw.text((80, 222), "learned from examples", INK, font(68, "-Bold"))
    draw_parts(draw, 370, "", ["://", "", ";", "?", "#", ""])
    draw.text((80, 425), "↓  a network that knows nothing of URLs", GREY, font(28))
    draw_parts(draw, 480, '["', ['", "'] * 5 + ['"]'])
    draw.text((80, 560), "a notebook series and a thin package", GREY, font(28))
    image.quantize(64).save(FOLDER / "social.png", optimize=True)


def draw_parts(draw: ImageDraw.ImageDraw, top: int, first: str, between: list[str]) -> None:
    """The parts of the URL in their colours, with these texts between them."""
    mono, left = font(34, "Mono"), 80.0
    coloured = [pair for part, text in zip(PARTS, between, strict=True) for pair in (part, (text, INK))]
    for text, colour in [(first, INK), *coloured]:
        draw.text((left, top), text, colour, mono)
        left += mono.getlength(text)


# ---------------------------------------------------------------- page


def draw_page() -> None:
    """The upper part of the page's picture: down to the end of the table with the answer."""
    with Image.open(FOLDER.parent / "web" / "page.png") as page:
        page.crop((0, 0, page.width, 1090)).quantize(256).save(FOLDER / "page.png", optimize=True)


# ---------------------------------------------------------------- architecture


def box(x: float, y: float, width: float, height: float, lines: list[str], fill: str = "#eef1fc") -> str:
    """A box with a bold line and plain ones below it."""
    top = y + height / 2 - 9 * (len(lines) - 1) + 5
    text = "".join(
        f'<text x="{x + width / 2}" y="{top + 18 * index}" {"" if index else BOLD}>{line}</text>'
        for index, line in enumerate(lines)
    )
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{fill}" stroke="{BLUE}"/>{text}'


def squares(x: float, y: float, characters: list[str], label: str) -> str:
    parts = [f'<text x="{x + 15 * len(characters)}" y="{y + 52}" class="small">{label}</text>']
    for index, character in enumerate(characters):
        left, name = x + 30 * index, "tiny" if len(character) > 1 else "mono"
        parts.append(f'<rect x="{left}" y="{y}" width="28" height="30" rx="4" fill="white" stroke="{GREY}"/>'
                     f'<text x="{left + 14}" y="{y + 20}" class="{name}">{escape(character)}</text>')  # fmt: skip
    return "".join(parts)


def arrow(*points: tuple[float, float], label: str = "", at: tuple[float, float] = (0, 0), dashed: bool = False) -> str:
    path = " ".join(f"{'L' if index else 'M'}{x},{y}" for index, (x, y) in enumerate(points))
    line = f'<path d="{path}" class="arrow" {DASHED if dashed else ""}/>'
    return line + (f'<text x="{at[0]}" y="{at[1]}" class="small">{label}</text>' if label else "")


def draw_architecture() -> None:
    from urlseq import Architecture
    from urlseq.encoding import VOCABULARY

    size = Architecture()
    half, head = size.units // 2, size.attention // size.heads
    embedding = ["embedding", f"{size.embedding} numbers a byte"]
    parts = [
        squares(40, 500, [*"https://a.b", "EOS"], "the text, as bytes"),
        box(40, 415, 358, 50, embedding),
        arrow((219, 498), (219, 467)),
        box(40, 310, 170, 60, ["LSTM →", f"{half} numbers"]),
        box(228, 310, 170, 60, ["LSTM ←", f"{half} numbers"]),
        arrow((125, 413), (125, 372)),
        arrow((313, 413), (313, 372)),
        box(40, 205, 358, 60, ["states", f"{size.units} numbers for each byte of the text"]),
        arrow((125, 308), (125, 267)),
        arrow((313, 308), (313, 267)),
        squares(620, 500, ["BOS", *'["htt'], "the answer so far"),
        box(590, 415, 240, 50, embedding),
        arrow((710, 498), (710, 467)),
        box(590, 310, 240, 60, ["LSTM →", f"{size.units} numbers"]),
        arrow((710, 413), (710, 372)),
        box(420, 190, 150, 90, ["attention", f"{size.heads} heads of {head}", "content + position"], "#fdf1e3"),
        arrow((398, 235), (418, 235)),
        arrow((398, 440), (495, 440), (495, 282), label="the bytes themselves", at=(497, 459)),
        arrow((588, 340), (530, 340), (530, 282), label="query", at=(558, 333)),
        box(590, 205, 240, 60, ["hidden layer", f"{size.hidden} numbers"]),
        arrow((570, 235), (588, 235)),
        arrow((710, 308), (710, 267)),
        box(590, 110, 240, 50, ["logits", f"{VOCABULARY} numbers, one for each byte"]),
        arrow((710, 203), (710, 162)),
        squares(695, 30, ["p"], ""),
        arrow((710, 108), (710, 62), label="the next byte", at=(770, 90)),
        arrow((725, 45), (860, 45), (860, 515), (802, 515), dashed=True),
        f'<text x="40" y="60" class="title" {BOLD}>One network for any function</text>',
        '<text x="40" y="88" class="left">Bytes of a text in, bytes of JSON out, one after the other.</text>',
        '<text x="40" y="112" class="left">All that the decoder learns of the text comes through attention.</text>',
        f'<text x="219" y="195" class="small" {BOLD}>encoder</text>',
        f'<text x="880" y="345" class="small" {BOLD} transform="rotate(90 880 345)">decoder</text>',
    ]
    (FOLDER / "architecture.svg").write_text(SVG.format(blue=BLUE, ink=INK, grey=GREY, parts="\n".join(parts)))


PICTURES = {"attempts": draw_attempts, "page": draw_page, "social": draw_social, "architecture": draw_architecture}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(PICTURES)}")
    for name in parser.parse_args().names or PICTURES:
        PICTURES[name]()
