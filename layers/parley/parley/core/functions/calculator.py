"""Arithmetic for a model, by walking the expression's syntax tree: nothing is executed.

The bounds are there because an expression comes from whoever chats: `9**9**9` or
`factorial(10**9)` would take a runner's time and memory. They are checked before a number is
made, not after; where two small numbers cannot make a large one, after.
"""

import ast
import math
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from parley.core.functions.spec import BadArguments, Results, failed, quoted

CHARACTERS = 500
NODES = 200
DEPTH = 40
# A whole number of so many bits has 1233 digits, within what Python writes as text.
BITS = 4096
FACTORIAL_OF = 500
CHOOSE_FROM = 1000
ROUNDED_DIGITS = 300

Number = int | float
TOO_LARGE = "the result is too large"

CONSTANTS: Mapping[str, Number] = {"pi": math.pi, "e": math.e, "tau": math.tau}
# The rest of `math` answers no number, takes lists, or is handled below.
OF_MATH = (
    "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh degrees erf erfc exp exp2 "
    "expm1 fabs floor fmod gamma gcd hypot isqrt lcm ldexp lgamma log log10 log1p log2 nextafter "
    "radians remainder sin sinh sqrt tan tanh trunc ulp"
)


def calculator(arguments: Mapping[str, Any]) -> Results:
    """`[{"result": number}]` for `{"expression": text}`, or an error as data."""
    try:
        return [{"result": evaluate(arguments.get("expression"))}]
    except BadArguments as error:
        return failed(str(error))


def evaluate(expression: object) -> Number:
    """The value, a whole number or a finite float; raises BadArguments."""
    if not isinstance(expression, str) or not expression.strip():
        raise BadArguments("expression must be a text such as 2 * (3 + 4)")
    if len(expression) > CHARACTERS:
        raise BadArguments(f"expression must have at most {CHARACTERS} characters")
    try:
        with warnings.catch_warnings():
            # `1if 2else 3` is bad style to the parser; to us it is no arithmetic.
            warnings.simplefilter("ignore")
            tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise BadArguments("expression is not well-formed arithmetic") from None
    _bound(tree)
    try:
        return _checked(_value(tree))
    except ZeroDivisionError:
        raise BadArguments("a division by zero") from None
    except OverflowError:
        raise BadArguments(TOO_LARGE) from None
    except ValueError:
        raise BadArguments("a function has no value there, as the root of -1 has none") from None
    except TypeError:
        raise BadArguments("a function was given arguments that it does not take") from None


def _bound(tree: ast.expr) -> None:
    """Refuse what is too deep to walk by recursion, or too much."""
    level: list[ast.AST] = [tree]
    nodes = 0
    for _ in range(DEPTH):
        nodes += len(level)
        if not level or nodes > NODES:
            break
        level = [child for node in level for child in _children(node)]
    if level:
        raise BadArguments("the expression is too complicated: work it out in steps")


def _children(node: ast.AST) -> Iterator[ast.expr]:
    return (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))


def _value(node: ast.expr) -> Number:
    if isinstance(node, ast.Constant):
        # `True` is an int to Python.
        if type(node.value) not in (int, float):
            raise BadArguments(f"a number was expected, not {quoted(node.value)}")
        return _checked(node.value)
    if isinstance(node, ast.Name):
        if node.id not in CONSTANTS:
            raise BadArguments(f"unknown name {quoted(node.id)}")
        return CONSTANTS[node.id]
    if isinstance(node, ast.UnaryOp) and type(node.op) in UNARY:
        return _checked(UNARY[type(node.op)](_value(node.operand)))
    if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        return _checked(BINARY[type(node.op)](_value(node.left), _value(node.right)))
    if isinstance(node, ast.Call):
        return _checked(_call(node))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
        raise BadArguments("a power is written **, as in 2 ** 3")
    if isinstance(node, ast.Tuple):
        raise BadArguments("numbers are written without commas, as 1000000")
    raise BadArguments("only numbers, + - * / % **, parentheses and functions can be used")


def _call(node: ast.Call) -> Any:
    if not isinstance(node.func, ast.Name) or node.func.id not in CALLABLE:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        raise BadArguments(f"unknown function {quoted(name)}")
    if node.keywords:
        raise BadArguments("functions take their arguments without names")
    return CALLABLE[node.func.id](*map(_value, node.args))


def _checked(value: Any) -> Number:
    """A number that JSON has and that is small enough to go on with."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadArguments(TOO_LARGE)
        return value
    if isinstance(value, int):
        if value.bit_length() > BITS:
            raise BadArguments(TOO_LARGE)
        return value
    raise BadArguments("the result is not a real number")


def _power(base: Number, exponent: Number) -> Any:
    whole = isinstance(base, int) and isinstance(exponent, int)
    # So many bits the result has at least: those of (2^(n-1))^exponent.
    if whole and exponent > 0 and (int(base).bit_length() - 1) * exponent > BITS:
        raise BadArguments(TOO_LARGE)
    return base**exponent


def _round(value: Number, digits: Number = 0) -> Number:
    if not isinstance(digits, int) or abs(digits) > ROUNDED_DIGITS:
        raise BadArguments(f"round takes at most {ROUNDED_DIGITS} digits, a whole number")
    return round(value, digits) if digits else round(value)


def _factorial(n: Number) -> int:
    return math.factorial(_whole(n, FACTORIAL_OF))


def _comb(n: Number, k: Number) -> int:
    return math.comb(_whole(n, CHOOSE_FROM), _whole(k, CHOOSE_FROM))


def _perm(n: Number, k: Number | None = None) -> int:
    return math.perm(_whole(n, CHOOSE_FROM), None if k is None else _whole(k, CHOOSE_FROM))


def _whole(value: Number, most: int) -> int:
    if value != int(value) or not 0 <= value <= most:
        raise BadArguments(f"it takes a whole number from 0 to {most}")
    return int(value)


UNARY: Mapping[type[ast.unaryop], Callable[[Number], Number]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
BINARY: Mapping[type[ast.operator], Callable[[Number, Number], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
CALLABLE: Mapping[str, Callable[..., Any]] = {
    **{name: getattr(math, name) for name in OF_MATH.split()},
    "abs": abs,
    "comb": _comb,
    "factorial": _factorial,
    "max": max,
    "min": min,
    "perm": _perm,
    "pow": _power,
    "round": _round,
}
