"""Personal data in a column replaced by their kinds, in the JVM: the rules of ``attune.redaction`` as Spark expressions."""

from collections.abc import Callable, Iterable
from functools import reduce
from typing import TYPE_CHECKING

from attune.redaction import ESCAPE, ESCAPED, GUARD, RULES, WIDE_DIGITS, Check, Rule, candidates

if TYPE_CHECKING:
    from pyspark.sql import Column


def redact(column: "Column") -> "Column":
    """``attune.redaction.redact_text`` as a Spark expression, without Python workers.

    A text that holds none of the rules' guards, as nearly all do, costs one scan. Where one is found, bytes that are not
    UTF-8 become U+FFFD.
    """
    from pyspark.sql import functions as F

    return F.when(column.rlike(GUARD), _let(column, _redacted)).otherwise(column)


def _redacted(text: "Column") -> "Column":
    from pyspark.sql import functions as F

    valid = F.decode(F.encode(text, "UTF-8"), "UTF-8")
    return _let(valid, lambda valid: _let(_unescaped(valid), lambda plain: _if_found(valid, plain)))


def _if_found(text: "Column", plain: "Column") -> "Column":
    """A text in which nothing is found stays as it was written, escapes included."""
    from pyspark.sql import functions as F

    found = plain
    for rule in RULES:
        found = _let(found, _applied(rule))
    return _let(found, lambda found: F.when(found == plain, text).otherwise(found))


def _applied(rule: Rule) -> "Callable[[Column], Column]":
    from pyspark.sql import functions as F

    apply = _checked if rule.check else _replaced
    return lambda text: F.when(text.rlike(rule.guard), apply(text, rule)).otherwise(text)


def _let(value: "Column", body: "Callable[[Column], Column]") -> "Column":
    """An expression of a value that is computed once, however often the expression names it."""
    from pyspark.sql import functions as F

    return F.transform(F.array(value), body)[0]


def _unescaped(text: "Column") -> "Column":
    from pyspark.sql import functions as F

    def read(text: "Column", code: "Column") -> "Column":
        escape = F.concat(F.lit(r"\u00"), F.lower(F.hex(code)))
        upper = F.concat(F.lit(r"\u00"), F.hex(code))
        return F.replace(F.replace(text, escape, F.char(code)), upper, F.char(code))

    codes = F.array(*(F.lit(ord(character)).cast("bigint") for character in ESCAPED))
    plain = F.aggregate(codes, text, read)
    return F.when(
        text.rlike(ESCAPE), F.translate(F.replace(plain, F.lit(r"\/"), F.lit("/")), WIDE_DIGITS, "0123456789")
    ).otherwise(text)


def _replaced(text: "Column", rule: Rule) -> "Column":
    from pyspark.sql import functions as F

    kept = "".join(f"${group}" for group in range(1, rule.keep + 1))
    for pattern in rule.patterns:
        text = F.regexp_replace(text, pattern, f"{kept}<{rule.kind}>")
    return text


def _checked(text: "Column", rule: Rule) -> "Column":
    from pyspark.sql import functions as F

    assert rule.check is not None
    passes = _CHECKS[rule.check]

    def replace(text: "Column", found: "Column") -> "Column":
        pattern = F.concat(F.lit(rule.left), found, F.lit(rule.right))
        return F.when(passes(found), F.regexp_replace(text, pattern, F.lit(f"<{rule.kind}>"))).otherwise(text)

    def each(pattern: str) -> "Callable[[Column], Column]":
        regex = F.lit(candidates(rule, pattern))
        return lambda text: F.aggregate(F.regexp_extract_all(text, regex, F.lit(1)), text, replace)

    for pattern in rule.patterns:
        text = _let(text, each(pattern))
    return text


def _is_card(found: "Column") -> "Column":
    from pyspark.sql import functions as F

    digits = _digits(found)
    return F.call_function("luhn_check", digits) & ~(
        (F.length(digits) == 13) & (_weighted(digits, [1, 3] * 6 + [1]) % 10 == 0)
    )


def _is_no_isbn(found: "Column") -> "Column":
    from pyspark.sql import functions as F

    digits = _digits(found)
    return ~((F.length(digits) == 10) & (_weighted(digits, range(10, 0, -1)) % 11 == 0))


def _is_iban(found: "Column") -> "Column":
    """Letters as 10 to 35, the first four characters last; the remainder by 97 is carried from digit to digit."""
    from pyspark.sql import functions as F

    letters = F.regexp_replace(F.upper(found), "[^0-9A-Z]", "")
    moved = F.concat(F.substr(letters, F.lit(5)), F.left(letters, F.lit(4)))

    def carry(remainder: "Column", character: "Column") -> "Column":
        code = F.ascii(character)
        return F.when(code < ord("A"), remainder * 10 + code - ord("0")).otherwise(remainder * 100 + code - 55) % 97

    characters = F.filter(F.split(moved, ""), lambda character: character != "")
    return F.aggregate(characters, F.lit(0), carry) == 1


def _digits(found: "Column") -> "Column":
    from pyspark.sql import functions as F

    return F.regexp_replace(found, "[^0-9]", "")


def _weighted(digits: "Column", weights: Iterable[int]) -> "Column":
    """Sum of the digits, each times its weight; a missing digit counts as nothing."""
    from pyspark.sql import functions as F

    place = (
        F.coalesce(F.try_to_number(F.substring(digits, i, 1), F.lit("9")).cast("int"), F.lit(0)) * weight
        for i, weight in enumerate(weights, 1)
    )
    return reduce(lambda total, term: total + term, place)


_CHECKS: "dict[Check, Callable[[Column], Column]]" = {
    "iban": _is_iban,
    "card": _is_card,
    "not_isbn": _is_no_isbn,
}
