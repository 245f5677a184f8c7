"""Values and conditions of a mapping as functions of one row's cells. Small on purpose: no names, no calls, no code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import Context, Decimal
from operator import itemgetter
from typing import Any

from .cells import number_reader, plain
from .mapping import Column, LoadedMapping
from .problems import ImportProblem, RowProblem, nearest, shown
from .times import time_reader

PLACE = re.compile(r"\{([^{}]+)\}")
EXACT = Context(prec=200)
MILLIONTH = Decimal("0.000001")
ORDINAL, LINE = -2, -1
COUNTERS = {"ordinal": ORDINAL, "line": LINE}

Cells = Sequence[Any]
Getter = Callable[[Cells], Any]
Test = Callable[[Cells], bool]
Path = tuple[str | int, ...]


@dataclass
class Compiler:
    """Turns the mapping's words into functions; learns on the way which columns are used at all.

    The last two cells of a row are its ordinal in its group and its line.
    """

    loaded: LoadedMapping
    columns: Mapping[str, Column]
    zone: tzinfo
    used: dict[str, int] = field(default_factory=dict)
    uses_ordinal: bool = False

    def position(self, name: str, path: Path) -> int:
        """Where a column's cell stands; the first use of a column gives it its place."""
        if name in COUNTERS:
            self.uses_ordinal |= name == "ordinal"
            return COUNTERS[name]
        if self.columns and name not in self.columns:
            remedy = nearest(name, [*self.columns, *COUNTERS])
            raise self.problem(f"there is no column {shown(name)} under `columns`", path, remedy)
        return self.used.setdefault(name, len(self.used))

    def type_of(self, name: str) -> str:
        return "integer" if name in COUNTERS else self.columns.get(name, Column()).type

    def problem(self, message: str, path: Path, remedy: str) -> ImportProblem:
        return self.loaded.problem(message, path, remedy)

    # --- text

    def text(self, spec: Any, path: Path) -> Getter:
        """Text or None; an empty column empties the whole text, so that no id is half an id."""
        if isinstance(spec, dict):
            return self.lookup(spec, path, self.text)
        if not isinstance(spec, str):
            return constant(None if spec is None else str(spec).lower() if isinstance(spec, bool) else str(spec))
        names = PLACE.findall(spec)
        if not names:
            return constant(spec or None)
        getters = [self.cell_text(name, path) for name in names]
        if PLACE.fullmatch(spec):
            return getters[0]
        return filled(PLACE.split(spec)[::2], getters)

    def cell_text(self, name: str, path: Path) -> Getter:
        """The text of one column."""
        at, kind = self.position(name, path), self.type_of(name)
        if kind == "text":
            return itemgetter(at)
        if kind == "time":
            return lambda cells: None if cells[at] is None else cells[at].text
        if kind == "decimal":
            return lambda cells: None if cells[at] is None else plain(cells[at])
        return lambda cells: None if cells[at] is None else str(cells[at])

    def lookup(self, spec: dict[str, Any], path: Path, inner: Callable[[Any, Path], Getter]) -> Getter:
        """`{lookup: "{Column}", table: {…}, otherwise: …}`."""
        self.only(spec, path, "lookup", "table", "otherwise", needs=("lookup", "table"))
        if not isinstance(spec["table"], dict):
            raise self.problem("the table of a lookup is no set of `key: value` lines", path, "write table: {a: b}")
        key = self.text(spec["lookup"], path)
        table = {str(word): inner(value, (*path, "table")) for word, value in spec["table"].items()}
        otherwise = inner(spec["otherwise"], path) if "otherwise" in spec else None

        def get(cells: Cells) -> Any:
            word = key(cells)
            found = table.get(word) or otherwise
            if found is None:
                message, remedy = (
                    f"{shown(word)} is not in the table",
                    "add it to the mapping's table, or give `otherwise`",
                )
                raise RowProblem("unknown_code", message, remedy=remedy, field=str(path[-1]))
            return found(cells)

        return get

    # --- numbers

    def number(self, spec: Any, path: Path) -> Getter:
        """An exact number or None; an empty operand empties the result."""
        if spec is None:
            return constant(None)
        if isinstance(spec, dict):
            return self.arithmetic(spec, path)
        if isinstance(spec, str) and (found := PLACE.fullmatch(spec)):
            name = found[1]
            if self.type_of(name) not in {"integer", "decimal"}:
                remedy = f"declare it: columns: {{{name}: decimal}}"
                raise self.problem(f"the column {name} is not declared as a number", path, remedy)
            return itemgetter(self.position(name, path))
        try:
            number = number_reader(str(path[-1]), Column(), "number")(spec if isinstance(spec, str) else repr(spec))
        except RowProblem as error:
            raise self.problem(error.message, path, 'write a number, "{Column}" or {product_of: [...]}') from None
        return constant(number)

    def arithmetic(self, spec: dict[str, Any], path: Path) -> Getter:
        """`{product_of: […]}`, `{quotient_of: [a, b]}`, `{sum_of: […]}`, `{difference_of: [a, b]}`, or a lookup of
        numbers."""
        if "lookup" in spec:
            return self.lookup(spec, path, self.number)
        name, operands = next(iter(spec.items()), ("", None))
        if len(spec) != 1 or name not in ARITHMETIC:
            raise self.problem(f"{shown(name)} is no way to count", path, nearest(name, ARITHMETIC))
        if not isinstance(operands, list) or len(operands) < 2:
            raise self.problem(f"{name} needs a list of two values or more", path, f"write {name}: [a, b]")
        getters = [self.number(operand, (*path, name)) for operand in operands]
        combine = ARITHMETIC[name]

        def get(cells: Cells) -> Decimal | None:
            result = getters[0](cells)
            for getter in getters[1:]:
                operand = getter(cells)
                if operand is None or result is None:
                    return None
                result = combine(result, operand)
            return None if result is None else Decimal(result)

        return get

    # --- the other kinds

    def json(self, spec: Any, path: Path) -> Getter:
        """A value for `properties`: a column keeps its type, money arithmetic becomes a plain number."""
        if isinstance(spec, str) and (found := PLACE.fullmatch(spec)):
            at, kind = self.position(found[1], path), self.type_of(found[1])
            return (lambda cells: json_number(cells[at])) if kind == "decimal" else self.typed(at, kind)
        if isinstance(spec, dict) and "lookup" not in spec:
            number = self.arithmetic(spec, path)
            return lambda cells: json_number(number(cells))
        if isinstance(spec, list):
            raise self.problem("a property is one value", path, "give each value its own name")
        return constant(spec) if isinstance(spec, bool | int | float) else self.text(spec, path)

    def typed(self, at: int, kind: str) -> Getter:
        if kind == "time":
            return lambda cells: None if cells[at] is None else cells[at].at.isoformat()
        return itemgetter(at)

    def time(self, spec: Any, path: Path) -> Getter:
        """The instant of an event: a column that is declared as a time, a lookup of times, or one time for all rows."""
        if isinstance(spec, dict):
            return self.lookup(spec, path, self.time)
        found = PLACE.fullmatch(spec) if isinstance(spec, str) else None
        if found is None:
            return self.constant_time(spec, path)
        if self.type_of(found[1]) != "time":
            remedy = f"declare it: columns: {{{found[1]}: time}}"
            raise self.problem(f"the column {found[1]} is not declared as a time", path, remedy)
        return itemgetter(self.position(found[1], path))

    def constant_time(self, spec: Any, path: Path) -> Getter:
        """`2017-03-03` or `2017-03-03 08:30`, in the mapping's zone."""
        try:
            return constant(time_reader(str(path[-1]), Column(), self.zone, str(self.zone))(str(spec)))
        except RowProblem as error:
            raise self.problem(error.message, path, 'write "{Column}" or a time such as 2026-11-21 17:05') from None

    # --- conditions

    def tests(self, when: Mapping[str, Any], path: Path) -> list[Test]:
        """All of them must hold."""
        return [self.test(name, spec, (*path, name)) for name, spec in when.items()]

    def test(self, name: str, spec: Any, path: Path) -> Test:
        """One column's condition: a value, a list of values, or `{starts_with: …}` and its like."""
        if name in COUNTERS:
            raise self.problem(f"{name} is no column", path, "conditions look at columns only")
        at, read = self.position(name, path), self.constant_reader(name, path)
        if not isinstance(spec, dict):
            values = frozenset(read(item) for item in (spec if isinstance(spec, list) else [spec]))
            return lambda cells: cells[at] in values
        parts = [self.operator(word, operand, at, read, path) for word, operand in spec.items()]
        if not parts:
            raise self.problem("an empty condition", path, nearest("", OPERATORS))
        return parts[0] if len(parts) == 1 else lambda cells: all(part(cells) for part in parts)

    def operator(self, word: str, operand: Any, at: int, read: Callable[[Any], Any], path: Path) -> Test:
        if word not in OPERATORS:
            raise self.problem(f"{shown(word)} is no condition", path, nearest(word, OPERATORS))
        texts = word in {"starts_with", "ends_with", "contains"}
        items = operand if isinstance(operand, list) else [operand]
        values = tuple(str(item) if texts else item if word == "is_empty" else read(item) for item in items)
        if word in {"above", "below"} and (len(values) != 1 or not isinstance(values[0], int | Decimal)):
            raise self.problem(f"{word} compares with one number", path, "declare the column as integer or decimal")
        holds = OPERATORS[word](values)
        return lambda cells: holds(cells[at])

    def constant_reader(self, name: str, path: Path) -> Callable[[Any], Any]:
        """A constant as the column's own type, so that 0 and "0.00" are equal where prices are compared."""
        kind = self.type_of(name)

        def read(value: Any) -> Any:
            if value is None:
                return None
            if isinstance(value, dict | list):
                raise self.problem("a condition compares with plain values", path, nearest("", OPERATORS))
            if kind in {"integer", "decimal"}:
                return self.number(value, path)(())
            return str(value).lower() if isinstance(value, bool) else str(value)

        return read

    def only(self, spec: dict[str, Any], path: Path, *known: str, needs: Sequence[str]) -> None:
        """Refuse keys that mean nothing here, and ask for those that are needed."""
        for name in spec:
            if name not in known:
                raise self.problem(f"{shown(name)} means nothing here", path, nearest(str(name), known))
        for name in needs:
            if name not in spec:
                raise self.problem(f"{name} is missing", path, f"write {name}: …")


def constant(value: Any) -> Getter:
    """The same for every row."""
    return lambda cells: value


def filled(literals: Sequence[str], getters: Sequence[Getter]) -> Getter:
    """A text with holes: one literal more than getters."""
    head, pairs = literals[0], list(zip(getters, literals[1:], strict=True))

    def get(cells: Cells) -> str | None:
        text = head
        for getter, literal in pairs:
            part = getter(cells)
            if part is None:
                return None
            text += part + literal
        return text

    return get


def json_number(number: Decimal | int | None) -> float | int | str | None:
    """A decimal as a JSON number if a double holds it exactly as written, else as text."""
    if number is None or isinstance(number, int):
        return number
    shortest = float(number)
    return shortest if Decimal(repr(shortest)) == number else plain(number)


def quotient(left: Any, right: Any) -> Decimal | None:
    """To six digits, half to even, because a third has no last one; nothing by zero."""
    return EXACT.divide(left, right).quantize(MILLIONTH, context=EXACT) if right else None


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "product_of": EXACT.multiply,
    "quotient_of": quotient,
    "sum_of": EXACT.add,
    "difference_of": EXACT.subtract,
}

Holds = Callable[[Any], bool]


def text_test(method: Callable[[str, tuple[str, ...]], bool]) -> Callable[[tuple[Any, ...]], Holds]:
    return lambda values: lambda cell: cell is not None and method(str(cell), values)


OPERATORS: dict[str, Callable[[tuple[Any, ...]], Holds]] = {
    "equals": lambda values: lambda cell: cell in values,
    "in": lambda values: lambda cell: cell in values,
    "not": lambda values: lambda cell: cell not in values,
    "not_in": lambda values: lambda cell: cell not in values,
    "starts_with": text_test(lambda cell, values: cell.startswith(values)),
    "ends_with": text_test(lambda cell, values: cell.endswith(values)),
    "contains": text_test(lambda cell, values: any(value in cell for value in values)),
    "not_starts_with": text_test(lambda cell, values: not cell.startswith(values)),
    "is_empty": lambda values: lambda cell: (cell is None) is bool(values[0]),
    "above": lambda values: lambda cell: cell is not None and cell > values[0],
    "below": lambda values: lambda cell: cell is not None and cell < values[0],
}
