"""What MkDocs does beside its plugins: pages from outside docs/, and links between them and to the repository."""

import posixpath
import re
from pathlib import Path

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).parent.parent
OUTSIDE = ["notebooks/*.ipynb", "benchmarks/README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
MARKDOWN_LINK = re.compile(r"(?<=\]\()([^\s():#]+)(?=[)#])")
HTML_LINK = re.compile(r'(?<=href=")([^\s":#]+\.(?:ipynb|md))(?=["#])')


@event_priority(100)  # before mkdocs-jupyter looks for notebooks
def on_files(files, config):
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def in_repository(file) -> str:
    return Path(file.abs_src_path).relative_to(ROOT).as_posix()


def target(link: str, page, files) -> tuple[File | None, str]:
    """What a link means that is written for a reader of the repository: a file of the site, or its path there."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(in_repository(page.file)), link))
    found = next((file for file in files if file.abs_src_path == str(ROOT / path)), None)
    return found, path


def on_page_markdown(markdown, page, config, files):
    def replaced(match: re.Match) -> str:
        file, path = target(match[1], page, files)
        if file:
            return posixpath.relpath(file.src_uri, posixpath.dirname(page.file.src_uri) or ".")
        return f"{config.repo_url}/blob/main/{path}" if (ROOT / path).exists() else match[1]

    return MARKDOWN_LINK.sub(replaced, markdown)


def on_page_content(html, page, config, files):
    """The links of notebooks, which never pass as Markdown."""
    if not page.file.src_uri.endswith(".ipynb"):
        return html

    def replaced(match: re.Match) -> str:
        file, path = target(match[1], page, files)
        return get_relative_url(file.url, page.url) if file else f"{config.repo_url}/blob/main/{path}"

    return HTML_LINK.sub(replaced, html)
