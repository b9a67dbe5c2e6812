"""The project's documentation as pages of the site: markdown to HTML, links kept where they lead somewhere."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

DOCS = Path(__file__).parents[3] / "docs"
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
ELSEWHERE = ("https://", "http://")


@dataclass(frozen=True)
class Note:
    """One page of documentation; `body` is HTML that `render` made, in which all text is escaped."""

    name: str
    title: str
    body: Markup

    @property
    def href(self) -> str:
        """Its page, from the root of the site."""
        return f"notes/{self.name}.html"


def heading_id(text: str) -> str:
    """The id that links to a heading use: lower case, words joined by hyphens, as on code hosts."""
    return re.sub(r" ", "-", re.sub(r"[^\w\- ]", "", text.lower()))


def _target(href: str, names: set[str], docs: str, to: str) -> str | None:
    """Where a link of a page leads on the site; None: nowhere. `docs`, `to`: the notes' folder from the page."""
    if href.startswith((*ELSEWHERE, "#")):
        return href
    path, _, fragment = href.removeprefix(docs).partition("#")
    page = PurePosixPath(path)
    if page.suffix != ".md" or len(page.parts) != 1 or page.stem not in names:
        return None
    return f"{to}{page.stem}.html" + (f"#{fragment}" if fragment else "")


def _relink(tokens: list[Token], names: set[str], docs: str = "", to: str = "") -> None:
    """Point links at the site's own pages; what it does not hold stays as text, and an image as its description."""
    for token in tokens:
        target = _target(str(token.attrs["href"]), names, docs, to) if token.type == "link_open" else ""
        if target is None:
            token.tag, token.attrs = "span", {}
        elif target:
            token.attrs = {"href": target}
            if target.startswith(ELSEWHERE):
                token.attrs["rel"] = "noreferrer"
        elif token.type == "image":
            token.type, token.tag = "text", ""
    opened: list[str] = []
    for token in tokens:  # the end of a link that became plain text
        if token.nesting == 1:
            opened.append(token.tag)
        elif token.nesting == -1:
            token.tag = opened.pop()


def render(text: str, names: set[str]) -> tuple[str, Markup]:
    """Title and HTML of a page of markdown; `names` are the pages that its links may lead to."""
    tokens, title = MARKDOWN.parse(text), ""
    for token, inner in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and inner is not None:
            token.attrs["id"] = heading_id(inner.content)
            title = title or inner.content
        if token.children:
            _relink(token.children, names)
    html = MARKDOWN.renderer.render(tokens, MARKDOWN.options, {})
    scroll = '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>'
    return title, Markup(html.replace("<table>", scroll).replace("</table>", "</table></div>"))


def sentence(text: str, names: set[str]) -> Markup:
    """HTML of markdown without blocks, as README.md has it: its links to `docs/` lead to the notes named `names`."""
    tokens = MARKDOWN.parseInline(text)
    for token in tokens:
        _relink(token.children or [], names, "docs/", "notes/")
    return Markup(MARKDOWN.renderer.render(tokens, MARKDOWN.options, {}))


def notes(folder: Path = DOCS) -> list[Note]:
    """Every page of documentation, by name; none where the package lies outside its repository."""
    paths = sorted(folder.glob("*.md"))
    names = {path.stem for path in paths}
    return [Note(path.stem, *render(path.read_text(), names)) for path in paths]
