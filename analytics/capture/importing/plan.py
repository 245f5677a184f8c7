"""A compiled mapping: rows in, events or problems out. Nothing is written; the same rows give the same events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from typing import Any

from analytics.contracts import CapturedEvent

from .cells import Cell, cell_reader
from .drafts import Draft, Setting, compile_draft, rehashed
from .expressions import ORDINAL, Cells, Compiler, Getter, Path, Test
from .groups import MAX_LISTED, Group, GroupStore
from .mapping import Column, LoadedMapping, ParentRule, RowRule
from .mapping import Mapping as MappingFile
from .problems import RowProblem, nearest, shown
from .times import zone_named

Raw = Sequence[Any]
Rows = Iterable[tuple[int, Raw | RowProblem]]
Result = CapturedEvent | RowProblem | None


@dataclass(frozen=True)
class CompiledRule:
    """One rule of `rows` (or of `parents`, where `lines` are the names that make it)."""

    tests: Sequence[Test]
    name: Getter
    draft: Draft | None
    lines: frozenset[str] = frozenset()

    def holds(self, cells: Sequence[Any]) -> bool:
        return all(test(cells) for test in self.tests)


@dataclass(frozen=True)
class Plan:
    """What to do with a row. `columns` are those the mapping uses, in the order in which a reader shall give them."""

    columns: tuple[str, ...]
    cells: Sequence[Cell]
    rules: Sequence[CompiledRule]
    parents: Sequence[CompiledRule]
    group: Getter | None

    def typed(self, raw: Raw, ordinal: int, line: int) -> list[Any]:
        """The cells of a row with its two counters. Raises RowProblem."""
        cells = [read(value) for read, value in zip(self.cells, raw, strict=True)]
        cells += (ordinal, line)
        return cells

    def rule_of(self, cells: Sequence[Any]) -> CompiledRule:
        """The first rule that holds. Raises RowProblem when none does."""
        for rule in self.rules:
            if rule.holds(cells):
                return rule
        remedy = "add a rule without `when` at the end of rows: `skip: true`, or an event"
        raise RowProblem("no_rule", "no rule of the mapping holds for this row", remedy=remedy)

    def event_of(self, cells: Sequence[Any]) -> CapturedEvent | None:
        """The event of a row, None when the mapping skips it. Raises RowProblem."""
        rule = self.rule_of(cells)
        return rule.draft.build(rule.name(cells), cells) if rule.draft else None

    def key_of(self, raw: Raw) -> str | None:
        """The group of a row, even of one that cannot be read otherwise; None when nothing tells it."""
        if self.group is None:
            return None
        cells: list[Any] = []
        for read, value in zip(self.cells, raw, strict=True):
            try:
                cells.append(read(value))
            except RowProblem:
                cells.append(None)
        key = self.group([*cells, 0, 0])
        return key if key is None else str(key)

    # --- first pass: what parents need to know of their lines

    def survey(self, rows: Rows, groups: GroupStore) -> Iterator[int]:
        """Walk all rows once and fill the groups; yields each line, for whoever shows the progress."""
        for line, raw in rows:
            if not isinstance(raw, RowProblem):
                self.survey_row(line, raw, groups)
            yield line

    def survey_row(self, line: int, raw: Raw, groups: GroupStore) -> None:
        """Count a row into its group, whether it can be read or not."""
        try:
            cells = self.typed(raw, 0, line)
        except RowProblem:
            if (key := self.key_of(raw)) is not None:
                groups.get(key).rows += 1
            return
        key = self.group(cells) if self.group else None
        if key is None:
            return
        group = groups.get(key)
        group.rows += 1
        cells[ORDINAL] = group.rows
        try:
            if not group.first_line:
                self.choose_parent(group, cells, line)
            self.add_line(group, cells)
        except RowProblem:
            note_refused(group, line)

    def choose_parent(self, group: Group, cells: Cells, line: int) -> None:
        """The parent as its group's first row makes it; its aggregates come with the lines."""
        group.first_line = line
        for index, rule in enumerate(self.parents):
            if rule.holds(cells) and rule.draft:
                group.rule = index
                group.numbers = [None] * len(rule.draft.aggregates)
                group.texts = [None] * len(rule.draft.aggregates)
                group.event = rule.draft.build(rule.name(cells), cells)
                return

    def add_line(self, group: Group, cells: Cells) -> None:
        """Add a row to the aggregates of its group's parent, if it is one of the lines that make it."""
        if group.rule < 0:
            return
        rule, parent = self.rule_of(cells), self.parents[group.rule]
        if not rule.draft or not parent.draft or rule.name(cells) not in parent.lines:
            return
        group.counted += 1
        for index, aggregate in enumerate(parent.draft.aggregates):
            value = aggregate.get(cells)
            if value is None:
                continue
            so_far: list[Any] = group.numbers if aggregate.is_number else group.texts
            if aggregate.is_number:
                value = Decimal(value)
            before = so_far[index]
            so_far[index] = value if before is None else aggregate.combine(before, value)

    # --- second pass: the events

    def events(self, rows: Rows, groups: GroupStore) -> Iterator[tuple[int, Result, Raw]]:
        """(line, event or problem or None for a skipped row, row); a parent follows its group's last row."""
        for line, raw in rows:
            if isinstance(raw, RowProblem):
                yield line, raw, ()
                continue
            result, group = self.result_of(line, raw, groups)
            yield line, result, raw
            if group is not None and group.seen == group.rows and has_parent(group):
                yield line, self.parent_of(group), ()

    def result_of(self, line: int, raw: Raw, groups: GroupStore) -> tuple[Result, Group | None]:
        """What becomes of one row, and the group that it counts in."""
        group: Group | None = None
        try:
            cells = self.typed(raw, 0, line)
            if self.group and (key := self.group(cells)) is not None:
                group = groups.get(key)
                group.seen += 1
                cells[ORDINAL] = group.seen
            event = self.event_of(cells)
        except RowProblem as problem:
            if group is None and (key := self.key_of(raw)) is not None:
                # A refused row keeps its ordinal, so that the ids of its neighbours never change.
                group = groups.get(key)
                group.seen += 1
            if group is not None:
                note_refused(group, line)
            return problem, group
        if event is not None and self.parents and not (group is not None and has_parent(group)):
            event.parent_id = None
        return event, group

    def parent_of(self, group: Group) -> Result:
        """The event of a whole group; held back while one of its lines is refused, because its sums would be wrong."""
        draft = self.parents[group.rule].draft
        if group.event is None or draft is None:
            return None
        if group.refused:
            lines = ", ".join(f"{line:,}" for line in group.refused)
            message = f"{group.event.name} {shown(group.event.event_id)} is held back: its line {lines} was refused"
            return RowProblem("incomplete_group", message, remedy="correct that line and import the file again")
        changed: dict[str, Any] = {}
        try:
            for index, aggregate in enumerate(draft.aggregates):
                if not aggregate.is_number:
                    changed[aggregate.column] = group.texts[index]
                elif aggregate.column != "amount":
                    number = group.numbers[index]
                    changed[aggregate.column] = None if number is None else float(number)
                else:
                    draft.set_money(changed, group.numbers[index], group.event.currency)
        except RowProblem as problem:
            return problem
        return rehashed(group.event, changed)


def has_parent(group: Group) -> bool:
    """Whether the group's rows have a parent event."""
    return group.rule >= 0 and group.counted > 0


def note_refused(group: Group, line: int) -> None:
    """Remember a few of the lines that keep a parent back."""
    if len(group.refused) < MAX_LISTED and line not in group.refused:
        group.refused.append(line)


# --- compiling


def compile_plan(loaded: LoadedMapping, setting: Setting) -> Plan:
    """Check a mapping against itself and make its plan. Raises ImportProblem."""
    mapping = loaded.mapping
    zone = mapping.zone or setting.tenant.zone
    columns = {name: column_of(loaded, name, spec) for name, spec in mapping.columns.items()}
    compiler = Compiler(loaded, columns, zone_of(loaded, zone, ("zone",)))
    if not mapping.rows:
        raise loaded.problem("there are no rules", ("rows",), "write rows: with one event at least")
    group = compiler.text(mapping.group, ("group",)) if mapping.group else None
    rules = [compile_rule(compiler, rule, index, mapping, setting) for index, rule in enumerate(mapping.rows)]
    parents = [compile_parent(compiler, rule, index, mapping, setting) for index, rule in enumerate(mapping.parents)]
    if (parents or compiler.uses_ordinal) and group is None:
        remedy = 'write group: "{Column}"'
        raise loaded.problem("parents and {ordinal} need to know what belongs together", ("group",), remedy)
    cells = [cell_of(loaded, compiler.columns.get(name, Column()), name, zone) for name in compiler.used]
    return Plan(tuple(compiler.used), cells, rules, parents, group)


def column_of(loaded: LoadedMapping, name: str, spec: Column | str) -> Column:
    """`Price: decimal` is short for `Price: {type: decimal}`."""
    if isinstance(spec, Column):
        return spec
    if spec not in COLUMN_TYPES:
        raise loaded.problem(f"{shown(spec)} is no type of column", ("columns", name), nearest(spec, COLUMN_TYPES))
    return Column(type=spec)  # type: ignore[arg-type]


def cell_of(loaded: LoadedMapping, column: Column, name: str, zone: str) -> Cell:
    """How a column is read; its own zone wins."""
    path = ("columns", name, "zone") if column.zone else ("zone",)
    found = zone_of(loaded, column.zone or zone, path)
    return cell_reader(name, column, loaded.mapping.file, found, column.zone or zone)


def zone_of(loaded: LoadedMapping, name: str, path: Path) -> tzinfo:
    """An IANA zone by its name."""
    try:
        return zone_named(name)
    except LookupError:
        remedy = "write an IANA name such as Europe/Zurich"
        raise loaded.problem(f"{shown(name)} is no time zone", path, remedy) from None


def compile_rule(compiler: Compiler, rule: RowRule, index: int, mapping: MappingFile, setting: Setting) -> CompiledRule:
    """One rule of `rows`."""
    path = ("rows", index)
    if rule.skip == (rule.event is not None):
        raise compiler.problem("a rule names an event or skips the row", path, "write event: name, or skip: true")
    tests = compiler.tests(rule.when, (*path, "when"))
    if rule.skip:
        return CompiledRule(tests, compiler.text(None, path), None)
    draft = compile_draft(compiler, rule.set, mapping.every_row, (*path, "set"), setting)
    return CompiledRule(tests, compiler.text(rule.event, (*path, "event")), draft)


def compile_parent(
    compiler: Compiler, rule: ParentRule, index: int, mapping: MappingFile, setting: Setting
) -> CompiledRule:
    """One rule of `parents`; its `lines` must be events that rows become."""
    path = ("parents", index)
    made = {row.event for row in mapping.rows if row.event}
    for name in rule.lines:
        if name not in made and not any("{" in event for event in made):
            raise compiler.problem(f"no rule makes {shown(name)}", (*path, "lines"), nearest(name, made))
    draft = compile_draft(compiler, rule.set, None, (*path, "set"), setting)
    tests = compiler.tests(rule.when, (*path, "when"))
    return CompiledRule(tests, compiler.text(rule.event, (*path, "event")), draft, frozenset(rule.lines))


COLUMN_TYPES = ("text", "integer", "decimal", "time")
