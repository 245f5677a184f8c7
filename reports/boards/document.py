"""A board as a YAML file, to be kept beside the code: written for people, read as if by an enemy.

Only plain mappings, lists and scalars are read: no tags, no anchors, no merge keys, each key once, within limits of
size and depth. Every mistake is told with its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from reports.boards.draft import DraftError, Mistake

FORMAT: Final = 1
MAX_BYTES: Final = 128 * 1024
MAX_DEPTH: Final = 8
MAX_NODES: Final = 5000
PLAIN: Final = "tag:yaml.org,2002:"
CONSTRUCTED: Final = {f"{PLAIN}{name}" for name in ("int", "float", "bool", "null")}
LARGEST: Final = 2**63
HALF: Final = re.compile(r"[\ud800-\udfff]")
FIRST: Final = ("kind", "title", "metric", "goal", "text", "query")


class YamlError(ValueError):
    """The file cannot be used. `line` counts from 1; 0 is the file as a whole."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"Line {line}: {message}" if line else message)
        self.line = line


@dataclass
class Document:
    """What a file holds, and on which line each part of it lies (by dotted path)."""

    data: Any
    lines: dict[str, int] = field(default_factory=dict)

    def line_of(self, path: str) -> int:
        """The line of a part, or of what it lies in."""
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return self.lines.get(path, 1)

    def located(self, error: DraftError) -> list[Mistake]:
        """The mistakes of a board with their lines."""
        return [
            Mistake(mistake.path, f"Line {self.line_of(mistake.path)}: {mistake.message}") for mistake in error.mistakes
        ]


def yaml_write(boards: list[dict[str, Any]]) -> str:
    """One document for each board, in the order in which one reads them."""
    files = [
        {"bellwether_board": FORMAT, **board, "cards": [_ordered(card) for card in board.get("cards", ())]}
        for board in boards
    ]
    return yaml.dump_all(files, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, explicit_start=True)


def yaml_read(raw: bytes | str) -> list[Document]:
    """The boards of a file. Raises YamlError for whatever is not a plain, small document."""
    text = _text(raw)
    try:
        _check_events(text)
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        raise YamlError(_line(error.problem_mark or error.context_mark), _words(error)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise YamlError(0, f"This is no YAML: {str(error)[:200]}.") from None
    found = [_document(node) for node in nodes if node is not None]
    if not found:
        raise YamlError(1, "The file holds no board. Export one to see how it is written.")
    return found


def _text(raw: bytes | str) -> str:
    if len(raw) > MAX_BYTES:
        raise YamlError(0, f"The file is larger than {MAX_BYTES // 1024} KiB: a board is a page of text.")
    try:
        return raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1 if isinstance(raw, bytes) else 0
        raise YamlError(line, "The file is not UTF-8: save it as such.") from None


def _check_events(text: str) -> None:
    """Before anything is built: a bomb is refused by its fuse."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        line = _line(event.start_mark)
        if count > MAX_NODES:
            raise YamlError(line, f"More than {MAX_NODES} values: split the file.")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise YamlError(line, "Anchors (&) and aliases (*) are not read: write the value out.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise YamlError(line, f"Nested deeper than {MAX_DEPTH} levels; a board needs five.")
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if tag := getattr(event, "tag", None):
            raise YamlError(line, f"Tags such as {str(tag)[:60]!r} are not read: leave it out.")


def _document(node: yaml.Node) -> Document:
    document = Document(None)
    document.data = _plain(node, "", document.lines)
    if not isinstance(document.data, dict):
        raise YamlError(_line(node.start_mark), "A board is a mapping: begin with `title: …`.")
    written = document.data.pop("bellwether_board", FORMAT)
    if written != FORMAT:
        raise YamlError(
            document.line_of("bellwether_board"), f"Format {str(written)[:20]} is not known; this is {FORMAT}."
        )
    return document


def _plain(node: yaml.Node, path: str, lines: dict[str, int]) -> Any:
    lines[path] = _line(node.start_mark)
    if isinstance(node, yaml.MappingNode):
        return dict(_pairs(node, path, lines))
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, f"{path}.{index}".strip("."), lines) for index, item in enumerate(node.value)]
    return _scalar(node)


def _pairs(node: yaml.MappingNode, path: str, lines: dict[str, int]) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for key, value in node.value:
        line = _line(key.start_mark)
        if not isinstance(key, yaml.ScalarNode):
            raise YamlError(line, "A key is a word.")
        _check_text(key)
        if key.value == "<<":
            raise YamlError(line, "Merge keys (<<) are not read: write the values out.")
        if key.value in seen:
            raise YamlError(line, f"`{key.value[:60]}` is there twice: keep one.")
        seen.add(key.value)
        below = f"{path}.{key.value}".strip(".")
        plain = _plain(value, below, lines)
        lines[below] = line
        yield key.value, plain


def _scalar(node: yaml.Node) -> Any:
    """Dates stay texts, as the address of a page has them."""
    _check_text(node)
    if node.tag not in CONSTRUCTED:
        return node.value
    construct: Callable[[yaml.Node], Any] = yaml.SafeLoader("").construct_object
    try:
        found = construct(node)
    except (ValueError, OverflowError, yaml.YAMLError):
        raise YamlError(_line(node.start_mark), f"{node.value[:40]!r} is no number: put it in quotes.") from None
    if isinstance(found, int) and abs(found) >= LARGEST:
        # Python does not even print some of them: 0xffff… may have as many digits as the file has room for.
        raise YamlError(_line(node.start_mark), f"{node.value[:40]!r} is too large a number: put it in quotes.")
    return found


def _check_text(node: yaml.Node) -> None:
    """`\\ud800` in quotes is half of a character, which nothing can store or show."""
    if HALF.search(node.value):
        raise YamlError(_line(node.start_mark), "Half of a surrogate pair (\\ud800 to \\udfff) is no character.")


def _line(mark: Any) -> int:
    return 0 if mark is None else int(mark.line) + 1


def _words(error: yaml.MarkedYAMLError) -> str:
    said = re.sub(r"\s+", " ", f"{error.context or ''} {error.problem or ''}").strip()
    return f"This is no YAML: {said[:200]}. Look for a missing quote, colon or blank."


def _ordered(card: dict[str, Any]) -> dict[str, Any]:
    return {name: card[name] for name in (*FIRST, *(key for key in card if key not in FIRST)) if name in card}


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks; values never as anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar(f"{PLAIN}str", text, style=style)


_Dumper.add_representer(str, _text_node)
