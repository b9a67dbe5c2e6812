"""Markdown that pages are made of."""


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A markdown table; bars inside cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines) + "\n"


def between(text: str, begin: str, end: str, new: str) -> str | None:
    """`text` with what stands between the lines `begin` and `end` replaced; None where they do not both stand there."""
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    return f"{head}{begin}\n{new}{end}{tail}" if found and closed else None
