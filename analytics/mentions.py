"""Taking the ids of an erased person out of what members wrote: names, notes, filters, addresses of questions.

Such texts are prose, so an id is found in them only where it cannot be anything else: as a whole word, and long enough
(or an e-mail address). A short id ("42", "bob") is taken out only where it stands for itself: as the whole value of a
condition on a column of ids. The rest of the text stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, quote_plus

from django.db import IntegrityError, models, transaction

ERASED: Final = "(erased)"
TELLING: Final = 6
"""Characters from which an id is taken out of prose."""
MANY: Final = 2000
OF_IDS: Final = re.compile(
    r"(^|[._$-])(user|person|customer|email|phone|(distinct|user|person|[a-z]+)_id|id)s?$|[a-z]Id$"
)


@dataclass(frozen=True, slots=True)
class Written:
    """A table whose columns members write in. `unique`: a column whose values differ, so a taken-out one is numbered.

    `version`: a number that rises with each change, so that nobody saves an older copy over it.
    """

    model: type[models.Model]
    columns: tuple[str, ...]
    unique: str = ""
    version: str = ""


class Names:
    """The ids of one person, as they may stand in a text."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(name for name in names if name)
        telling = sorted((name for name in self.names if len(name) >= TELLING or "@" in name), key=len, reverse=True)
        shapes = dict.fromkeys(shape for name in telling for shape in _shapes(name))
        pattern = "|".join(map(re.escape, sorted(shapes, key=len, reverse=True)))
        self._pattern = re.compile(rf"(?<![\w@.+-])(?:{pattern})(?![\w@+-]|\.\w)") if shapes else None

    def text(self, text: str) -> str:
        """Without the ids that are words of it. In an address "(erased)" is as good as in prose."""
        return self._pattern.sub(ERASED, text) if self._pattern and text else text

    def value(self, value: Any, *, is_id: bool = False) -> Any:
        """JSON without them. `is_id`: the value of a condition on a column of ids, where short ones go too."""
        if isinstance(value, str):
            return ERASED if is_id and value in self.names else self.text(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return ERASED if is_id and str(value) in self.names else value
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, list | tuple):
            return [self.value(each, is_id=is_id) for each in value]
        return value

    def _mapping(self, value: Mapping[str, Any]) -> dict[str, Any]:
        is_condition = "field" in value and OF_IDS.search(str(value["field"])) is not None
        return {
            self.text(str(name)): self.value(
                part, is_id=(is_condition and name == "value") or OF_IDS.search(str(name)) is not None
            )
            for name, part in value.items()
        }


def _shapes(name: str) -> Iterable[str]:
    """As it is, as JSON writes it, and as addresses do, once and twice over."""
    shapes = [name, *(json.dumps(name, ensure_ascii=style)[1:-1] for style in (True, False))]
    for shape in tuple(shapes):
        quoted = (quote(shape, safe=""), quote(shape), quote_plus(shape))
        shapes += [*quoted, *(quote_plus(each) for each in quoted)]
    return shapes


def mentions_forget(tables: Sequence[Written], *, tenant_id: int, names: Iterable[str], using: str = "default") -> int:
    """Take the ids out of the tables of the tenant that is set; how many rows changed. Safe to repeat."""
    wanted = Names(names)
    return sum(_forget(table, wanted, tenant_id, using) for table in tables)


def _forget(table: Written, names: Names, tenant_id: int, using: str) -> int:
    rows = table.model._default_manager.using(using).filter(tenant_id=tenant_id)
    changed = 0
    for row in rows.only("pk", *table.columns).order_by("pk").iterator(chunk_size=MANY):
        before = {column: getattr(row, column) for column in table.columns}
        after = {column: _without(value, names) for column, value in before.items()}
        if told := {column: value for column, value in after.items() if value != before[column]}:
            _save(table, rows.filter(pk=row.pk), told, str(row.pk))
            changed += 1
    return changed


def _without(value: Any, names: Names) -> Any:
    return names.text(value) if isinstance(value, str) else names.value(value)


def _save(table: Written, row: Any, told: dict[str, Any], key: str) -> None:
    for name, value in told.items():
        longest = getattr(table.model._meta.get_field(name), "max_length", None)
        told[name] = value[:longest] if longest and isinstance(value, str) else value
    if table.version:
        told[table.version] = models.F(table.version) + 1
    try:
        with transaction.atomic(using=row.db):
            row.update(**told)
    except IntegrityError:
        if table.unique not in told:
            raise
        row.update(**{**told, table.unique: f"{told[table.unique][:150]} {key}"})
