"""The mapping language: a YAML file that says which row becomes which event. It declares; it cannot run code.

A text with `{Column}` in it is filled from the row, other values are constants. See "Importing files" in the README of
`analytics`. Every mistake is answered with line, field, and the nearest name that is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as AnyMapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import yaml

from .problems import ImportProblem, nearest

MAX_MAPPING_BYTES = 256 * 1024
LARGEST = 2**63
PATH_STEP = re.compile(r"\[(\d+|\.\.\.)\]|\.([^.\[\]]+)")
UNKNOWN_FIELD = re.compile(r"unknown field `(?P<name>[^`]*)`")
ERROR_PATH = re.compile(r" - at `(?P<key>key in )?`?\$(?P<path>[^`]*)`$")

# Parsed by expressions.py, because which forms are allowed depends on where they stand.
Value = Any
Condition = Any


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every part of a mapping: a key that is not known is a mistake, never ignored."""


class FileFormat(Part, frozen=True, kw_only=True):
    """How the file is written. `header` names the columns of a CSV that has no header line."""

    format: Literal["csv", "jsonl", "parquet"] | None = None
    encoding: Literal["utf-8", "cp1252", "cp1250", "cp1251", "iso-8859-1", "iso-8859-15", "ascii"] = "utf-8"
    delimiter: Literal[",", ";", "\t", "|"] = ","
    header: tuple[str, ...] = ()
    nulls: tuple[str, ...] = ("",)


class Column(Part, frozen=True, kw_only=True):
    """What a column holds. `format` is a strptime pattern, `iso`, `unix` or `unix_ms`; `zone` wins over the mapping's.

    A local time that a clock change repeats is the `repeated` one (first by default); one that it skips is moved
    `forward` by the gap or refused.
    """

    type: Literal["text", "integer", "decimal", "time"] = "text"
    format: str = "iso"
    zone: str | None = None
    repeated: Literal["first", "second", "refuse"] = "first"
    skipped: Literal["forward", "refuse"] = "forward"
    thousands: Literal["", ",", ".", " ", "'"] = ""
    decimal_mark: Literal[".", ","] = "."


class Fields(Part, frozen=True, kw_only=True):
    """The fields of an event. Absent ones (UNSET) come from `every_row`; null empties one."""

    id: Value | msgspec.UnsetType = msgspec.UNSET
    time: Value | msgspec.UnsetType = msgspec.UNSET
    user: Value | msgspec.UnsetType = msgspec.UNSET
    session: Value | msgspec.UnsetType = msgspec.UNSET
    parent: Value | msgspec.UnsetType = msgspec.UNSET
    type: Value | msgspec.UnsetType = msgspec.UNSET
    action: Value | msgspec.UnsetType = msgspec.UNSET
    platform: Value | msgspec.UnsetType = msgspec.UNSET
    country: Value | msgspec.UnsetType = msgspec.UNSET
    campaign: Value | msgspec.UnsetType = msgspec.UNSET
    channel: Value | msgspec.UnsetType = msgspec.UNSET
    content_type: Value | msgspec.UnsetType = msgspec.UNSET
    object_type: Value | msgspec.UnsetType = msgspec.UNSET
    object_id: Value | msgspec.UnsetType = msgspec.UNSET
    method: Value | msgspec.UnsetType = msgspec.UNSET
    tier: Value | msgspec.UnsetType = msgspec.UNSET
    reason: Value | msgspec.UnsetType = msgspec.UNSET
    value: Value | msgspec.UnsetType = msgspec.UNSET
    duration_ms: Value | msgspec.UnsetType = msgspec.UNSET
    amount: Value | msgspec.UnsetType = msgspec.UNSET
    currency: Value | msgspec.UnsetType = msgspec.UNSET
    bot: Value | msgspec.UnsetType = msgspec.UNSET
    internal: Value | msgspec.UnsetType = msgspec.UNSET
    properties: dict[str, Value] = {}
    traits: dict[str, Value] = {}


class RowRule(Part, frozen=True, kw_only=True):
    """The first rule whose conditions all hold makes the row's event; `skip` leaves the row out on purpose."""

    event: str | None = None
    when: dict[str, Condition] = {}
    set: Fields = Fields()
    skip: bool = False


class ParentRule(Part, frozen=True, kw_only=True):
    """One event for a whole group of rows, for example an order for its lines.

    The first rule whose `when` holds for the group's first row is taken, if a row of the group became one of `lines`.
    """

    event: str
    lines: tuple[str, ...]
    when: dict[str, Condition] = {}
    set: Fields


class Mapping(Part, frozen=True, kw_only=True):
    """A whole mapping file."""

    version: Literal[1]
    about: str = ""
    zone: str | None = None
    currency: str | None = None
    file: FileFormat = FileFormat()
    columns: dict[str, Column | str] = {}
    group: str | None = None
    every_row: Fields = Fields()
    rows: tuple[RowRule, ...]
    parents: tuple[ParentRule, ...] = ()


class Lines(dict[tuple[str | int, ...], int]):
    """Path in the mapping -> line of the YAML file."""

    def of(self, path: tuple[str | int, ...]) -> int | None:
        """The line of a path, or of the nearest one around it."""
        while path and path not in self:
            path = path[:-1]
        return self.get(path)


class LoadedMapping(msgspec.Struct, frozen=True):
    """A mapping and where each of its parts stands in its file."""

    mapping: Mapping
    lines: Lines
    name: str

    def problem(self, message: str, path: tuple[str | int, ...], remedy: str) -> ImportProblem:
        """A mistake at one place of the mapping."""
        field = ".".join(map(str, path))
        return ImportProblem(message, remedy=f"{remedy} (in {self.name})", line=self.lines.of(path), field=field)


class StrictLoader(yaml.SafeLoader):
    """YAML without anchors (a bomb in three lines) and without keys that are given twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise ImportProblem("references (*name) are not allowed", remedy="write it out", line=mark.line + 1)
        return super().compose_node(parent, index)

    def whole_number(self, node: yaml.ScalarNode) -> int:
        """A number that databases hold; Python does not even print some of those that fit into a mapping."""
        try:
            number: int = self.construct_yaml_int(node)
        except ValueError:
            number = LARGEST
        if abs(number) >= LARGEST:
            mark = node.start_mark
            message = f"{node.value[:20]}… is too large a number"
            raise ImportProblem(message, remedy="write it in quotes, as text", line=mark.line + 1)
        return number


StrictLoader.add_constructor("tag:yaml.org,2002:int", StrictLoader.whole_number)
# Dates and yes/no of YAML 1.1 surprise people (a column called `No`); numbers, null, true and false stay.
StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(("timestamp", "bool", "merge"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
StrictLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def load_mapping(path: Path) -> LoadedMapping:
    """Read and check a mapping file. Raises ImportProblem."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MAPPING_BYTES + 1)
    except (OSError, ValueError) as error:
        remedy = "check the path; mappings of the project lie in analytics/mappings"
        raise ImportProblem(f"the mapping {path} cannot be read ({error})", remedy=remedy) from None
    if len(data) > MAX_MAPPING_BYTES:
        message = f"the mapping {path} is larger than {MAX_MAPPING_BYTES:,} bytes"
        raise ImportProblem(message, remedy="hand the data as FILE and the mapping as --mapping")
    return parse_mapping(data, name=path.name)


def parse_mapping(data: bytes | str, *, name: str) -> LoadedMapping:
    """Check the text of a mapping. Raises ImportProblem."""
    lines = Lines()
    try:
        loader = StrictLoader(data)
        node = loader.get_single_node()
        note_lines(node, (), lines)
        content = loader.construct_document(node) if node else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = f"the mapping {name} is no YAML: {getattr(error, 'problem', None) or 'it cannot be read'}"
        raise ImportProblem(message, remedy="check indentation and quotes", line=mark and mark.line + 1) from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ImportProblem(f"the mapping {name} cannot be read ({error})", remedy="write it in UTF-8") from None
    return converted(content, lines, name)


def note_lines(node: yaml.Node | None, path: tuple[str | int, ...], lines: Lines) -> None:
    """Remember where everything stands, and refuse a key that is given twice."""
    if node is None:
        return
    if len(path) > 12:
        remedy = "a mapping is at most a few levels deep"
        raise ImportProblem("nested too deep", remedy=remedy, line=node.start_mark.line + 1)
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            note_lines(item, (*path, index), lines)
    if isinstance(node, yaml.MappingNode):
        for key, item in node.value:
            inner = (*path, str(key.value))
            if inner in lines:
                message, remedy = "this key is given twice", "keep one of them"
                raise ImportProblem(message, remedy=remedy, line=key.start_mark.line + 1, field=str(inner[-1]))
            lines[inner] = key.start_mark.line + 1
            note_lines(item, inner, lines)


def converted(content: Any, lines: Lines, name: str) -> LoadedMapping:
    """The typed mapping, or the first thing that does not fit."""
    if not isinstance(content, dict):
        remedy = "start with `version: 1`; see Importing files in analytics/README.md"
        raise ImportProblem(f"the mapping {name} is no set of `key: value` lines", remedy=remedy, line=1)
    try:
        mapping = msgspec.convert(content, Mapping)
    except msgspec.ValidationError as error:
        raise misfit(str(error), content, lines, name) from None
    return LoadedMapping(mapping, lines, name)


def misfit(text: str, content: Any, lines: Lines, name: str) -> ImportProblem:
    """Turn msgspec's message (`… - at `$.rows[0].set``) into line, field and remedy."""
    found = ERROR_PATH.search(text)
    message = ERROR_PATH.sub("", text)
    path: tuple[str | int, ...] = ()
    for index, key in PATH_STEP.findall(found["path"] if found else ""):
        step: str | int = int(index) if index.isdigit() else key
        path = (*path, step) if index != "..." else (*path, bad_key(content, path))
    if unknown := UNKNOWN_FIELD.search(text):
        remedy = nearest(unknown["name"], struct_at(path).__struct_fields__)
        path = (*path, unknown["name"])
    else:
        remedy = allowed(path) or "see Importing files in analytics/README.md"
    field = ".".join(map(str, path)) or None
    return ImportProblem(f"{message} (in {name})", remedy=remedy, line=lines.of(path), field=field)


def bad_key(content: Any, path: tuple[str | int, ...]) -> str:
    """msgspec does not name the key of a dict: it is the first whose value does not convert."""
    for step in path:
        content = content[step]
    for key, item in content.items() if isinstance(content, AnyMapping) else ():
        try:
            msgspec.convert(item, Column | str)
        except msgspec.ValidationError:
            return str(key)
    return "…"


def allowed(path: tuple[str | int, ...]) -> str:
    """`write one of: …` where a field takes one of a few words."""
    fields = msgspec.structs.fields(struct_at(path[:-1])) if path else ()
    words = [word for field in fields if field.name == path[-1] for word in literals(field.type)]
    return f"write one of: {', '.join(map(str, words))}" if words else ""


def literals(annotation: Any) -> list[Any]:
    """Every word of the `Literal`s in a type."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [word for part in get_args(annotation) for word in literals(part)]


PARTS: dict[str, type[Part]] = {"file": FileFormat, "columns": Column, "every_row": Fields, "set": Fields}


def struct_at(path: tuple[str | int, ...]) -> type[Part]:
    """The struct that stands at a path of a mapping."""
    if "set" in path:
        return Fields
    place = str(path[0]) if path else ""
    structs: dict[str, type[Part]] = {"rows": RowRule, "parents": ParentRule, **PARTS}
    return structs.get(place, Mapping)
