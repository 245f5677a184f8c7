"""The formula language of metrics: `(revenue.gross - revenue.refunds) / orders.count`.

Numbers, metric ids, `+ - * / ^`, parentheses and a few functions; nothing else exists, so there is nothing to escape
to. Arithmetic is decimal with 28 digits. A missing value makes the result missing, except in `coalesce`; so does a
division by zero and anything too large to write down.

    sum     = term (("+" | "-") term)*
    term    = unary (("*" | "/") unary)*
    unary   = "-" unary | power
    power   = atom ("^" whole number up to 64)?
    atom    = number | metric id | function "(" sum ("," sum)* ")" | "(" sum ")"
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

MAX_LENGTH = 2_000
MAX_NODES = 200
MAX_DEPTH = 50
MAX_POWER = 64
MAX_DIGITS = 30

Number: TypeAlias = Decimal | None


class FormulaError(ValueError):
    """The text is no formula. `position` is the 0-based character to look at; saving it again will not help."""

    def __init__(self, problem: str, text: str, position: int) -> None:
        self.problem, self.text, self.position = problem, text, position
        super().__init__(f"{problem} (character {position + 1})")

    def pointed(self) -> str:
        """The problem under the line it is in, with a caret, for terminals and the admin."""
        start = self.text.rfind("\n", 0, self.position) + 1
        line = self.text[start:].partition("\n")[0]
        return f"{line}\n{' ' * (self.position - start)}^ {self.problem}"


@dataclass(frozen=True, slots=True)
class Constant:
    value: Decimal


@dataclass(frozen=True, slots=True)
class Name:
    id: str


@dataclass(frozen=True, slots=True)
class Call:
    """An operator or function applied to its operands."""

    function: str
    operands: tuple[Node, ...]


Node: TypeAlias = Constant | Name | Call


@dataclass(frozen=True, slots=True)
class Parsed:
    """A formula ready to be evaluated; `names` are the metrics it needs, in order of appearance."""

    text: str
    root: Node
    names: tuple[str, ...]


def _divide(left: Decimal, right: Decimal) -> Number:
    return left / right if right else None


def _power(base: Decimal, exponent: Decimal) -> Number:
    return base ** int(exponent)


def _divide_or(left: Decimal, right: Decimal, otherwise: Decimal) -> Number:
    return left / right if right else otherwise


@dataclass(frozen=True, slots=True)
class Function:
    apply: Callable[..., Number]
    least: int
    most: int


OPERATORS: Mapping[str, Function] = MappingProxyType(
    {
        "+": Function(operator.add, 2, 2),
        "-": Function(operator.sub, 2, 2),
        "*": Function(operator.mul, 2, 2),
        "/": Function(_divide, 2, 2),
        "^": Function(_power, 2, 2),
        "negative": Function(operator.neg, 1, 1),
    }
)
FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        "min": Function(lambda *values: min(values), 1, 20),
        "max": Function(lambda *values: max(values), 1, 20),
        "abs": Function(abs, 1, 1),
        "divide": Function(_divide_or, 3, 3),
        "coalesce": Function(lambda *values: values[0], 1, 20),
    }
)
HELP = (
    "+ - * / ^ and parentheses; min(a, b), max(a, b), abs(a), coalesce(a, 0) for the first that is not missing, "
    "divide(a, b, 0) for a / b or 0 where b is 0"
)

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)|(?P<word>[A-Za-z_][A-Za-z0-9_.]*)|(?P<sign>[-+*/^(),]))", re.ASCII
)
_METRIC = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+\Z")
_CONTEXT = Context(prec=28, Emax=999, Emin=-999, traps=[])


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def _tokens(text: str) -> list[_Token]:
    found, position = [], 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            at = position + len(text[position:]) - len(text[position:].lstrip())
            raise FormulaError(f"{text[at]!r} means nothing here", text, at)
        kind = str(match.lastgroup)
        found.append(_Token(kind, match[kind], match.start(kind)))
        position = match.end()
    return [*found, _Token("end", "", end)]


class _Parser:
    """Recursive descent over the tokens of one text; counts nodes and depth as it goes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0
        self._nodes = 0
        self._depth = 0
        self.names: dict[str, None] = {}

    def formula(self) -> Node:
        root = self._sum()
        if self._next.kind != "end":
            raise self._error(f"expected an operator before {self._next.text!r}")
        return root

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _error(self, problem: str) -> FormulaError:
        return FormulaError(problem, self._text, self._next.position)

    def _take(self, *signs: str) -> str | None:
        token = self._next
        if token.kind != "sign" or token.text not in signs:
            return None
        self._at += 1
        return token.text

    def _expect(self, sign: str, meaning: str) -> None:
        if self._take(sign) is None:
            raise self._error(f"expected {sign!r} {meaning}")

    def _node(self, node: Node) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._error(f"longer than {MAX_NODES} parts; make a metric of its own of some of it")
        return node

    def _sum(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH}")
        left = self._chain(self._term, "+", "-")
        self._depth -= 1
        return left

    def _term(self) -> Node:
        return self._chain(self._unary, "*", "/")

    def _chain(self, operand: Callable[[], Node], *signs: str) -> Node:
        left = operand()
        while (sign := self._take(*signs)) is not None:
            left = self._node(Call(sign, (left, operand())))
        return left

    def _unary(self) -> Node:
        negations = 0
        while self._take("-") is not None:
            negations += 1
            self._node(_MINUS)
        node = self._power()
        return Call("negative", (node,)) if negations % 2 else node

    def _power(self) -> Node:
        base = self._atom()
        if self._take("^") is None:
            return base
        token = self._next
        if token.kind != "number" or not token.text.isdigit() or int(token.text) > MAX_POWER:
            raise self._error(f"the power must be a whole number up to {MAX_POWER}")
        self._at += 1
        return self._node(Call("^", (base, Constant(Decimal(token.text)))))

    def _atom(self) -> Node:
        token = self._next
        if token.kind == "number":
            return self._number(token)
        if token.kind == "word":
            return self._word(token)
        if self._take("(") is None:
            what = f"not {token.text!r}" if token.text else "but the formula ends"
            raise self._error(f"expected a number, a metric or '(', {what}")
        inner = self._sum()
        self._expect(")", "to close the parenthesis")
        return inner

    def _number(self, token: _Token) -> Node:
        if len(token.text) > MAX_DIGITS:
            raise self._error(f"a number has at most {MAX_DIGITS} digits")
        self._at += 1
        return self._node(Constant(Decimal(token.text)))

    def _word(self, token: _Token) -> Node:
        if token.text in FUNCTIONS:
            return self._call(token)
        if not _METRIC.match(token.text) or len(token.text) > 100:
            raise self._error(f"{token.text[:40]!r} is neither a function ({', '.join(FUNCTIONS)}) nor a metric id")
        self._at += 1
        self.names[token.text] = None
        return self._node(Name(token.text))

    def _call(self, token: _Token) -> Node:
        function = FUNCTIONS[token.text]
        self._at += 1
        self._expect("(", f"after {token.text}")
        operands = [self._sum()]
        while self._take(",") is not None:
            operands.append(self._sum())
        self._expect(")", f"to close {token.text}")
        if not function.least <= len(operands) <= function.most:
            raise FormulaError(f"{token.text} takes {_how_many(function)}", self._text, token.position)
        return self._node(Call(token.text, tuple(operands)))


_MINUS = Constant(Decimal(-1))


def _how_many(function: Function) -> str:
    if function.least == function.most:
        return f"{function.least} value{'s' if function.least > 1 else ''}"
    return f"{function.least} to {function.most} values"


@lru_cache(maxsize=2048)
def parse(text: str) -> Parsed:
    """The formula of the text. Raises FormulaError, which points at the character."""
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"longer than {MAX_LENGTH} characters", text, MAX_LENGTH)
    parser = _Parser(text)
    return Parsed(text, parser.formula(), tuple(parser.names))


def evaluate(formula: Parsed, values: Mapping[str, Number]) -> Number:
    """The number that the formula makes of the values of its metrics; KeyError when one was not given."""
    with localcontext(_CONTEXT):
        return _finite(_evaluate(formula.root, values))


def _evaluate(node: Node, values: Mapping[str, Number]) -> Number:
    if isinstance(node, Constant):
        return node.value
    if isinstance(node, Name):
        return values[node.id]
    operands = [_finite(_evaluate(operand, values)) for operand in node.operands]
    known = [operand for operand in operands if operand is not None]
    if len(known) < len(operands) and not (node.function == "coalesce" and known):
        return None
    return (FUNCTIONS.get(node.function) or OPERATORS[node.function]).apply(*known)


def _finite(value: Number) -> Number:
    return value if value is not None and value.is_finite() else None
