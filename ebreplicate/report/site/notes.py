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


def _target(href: str, names: set[str]) -> str | None:
    """Where a link of a documentation page leads on the site; None: nowhere."""
    if href.startswith((*ELSEWHERE, "#")):
        return href
    path, _, fragment = href.partition("#")
    page = PurePosixPath(path)
    if page.suffix != ".md" or len(page.parts) != 1 or page.stem not in names:
        return None
    return f"{page.stem}.html" + (f"#{fragment}" if fragment else "")


def _relink(tokens: list[Token], names: set[str]) -> None:
    """Point links at the site's own pages; what it does not hold stays as text, and an image as its description."""
    for token in tokens:
        target = _target(str(token.attrs["href"]), names) if token.type == "link_open" else ""
        if target is None:
            token.tag, token.attrs = "span", {}
        elif target:
            token.attrs = {"href": target}
            if target.startswith(ELSEWHERE):
                token.attrs["rel"] = "noreferrer"
        elif token.type == "image":
            token.type, token.tag = "text", ""


def render(text: str, names: set[str]) -> tuple[str, Markup]:
    """Title and HTML of a page of markdown; `names` are the pages that its links may lead to."""
    tokens, title = MARKDOWN.parse(text), ""
    for token, inner in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and inner is not None:
            token.attrs["id"] = heading_id(inner.content)
            title = title or inner.content
        if token.children:
            _relink(token.children, names)
            opened: list[str] = []
            for child in token.children:  # the end of a link that became plain text
                if child.nesting == 1:
                    opened.append(child.tag)
                elif child.nesting == -1:
                    child.tag = opened.pop()
    html = MARKDOWN.renderer.render(tokens, MARKDOWN.options, {})
    scroll = '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>'
    return title, Markup(html.replace("<table>", scroll).replace("</table>", "</table></div>"))


def notes(folder: Path = DOCS) -> list[Note]:
    """Every page of documentation, by name; none where the package lies outside its repository."""
    paths = sorted(folder.glob("*.md"))
    names = {path.stem for path in paths}
    return [Note(path.stem, *render(path.read_text(), names)) for path in paths]
