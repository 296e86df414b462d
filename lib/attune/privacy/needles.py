"""What a user's id looks like wherever it may be written: as it is, escaped for JSON, a URL or HTML, inside other text.

An id stands alone where no letter, digit or underscore touches it: u1 is not in u12. Ids that hold a digit and are long
enough to be told from other words (``is_telling``) are looked for everywhere. Others, such as 16014 or anna, also are
counts, prices, items or words, so they are looked for only where ids of users stand: in columns of users, after a JSON key
with ``user`` in it, first on a line of CSV, alone in an element of HTML, and as a word in rows that were refused.
"""

import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, quote_plus

MARK = "<user>"
"""What an id that stands in text of others is replaced with."""
_WORD = "0-9A-Za-z_"
_ESCAPES = r"\\[bfnrt]|%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}"
"""After these a word starts, although a letter or digit stands before it."""
_LEFT = re.compile(rf"(?:^|[^{_WORD}]|{_ESCAPES})\Z".encode())
_LEFT_BYTES = 6


def is_telling(text: str) -> bool:
    """Whether a text is hardly ever anything but this id.

    >>> [is_telling(text) for text in ("u0000017", "jo@x.org", "16014", "anna", "20260301")]
    [True, False, False, False, True]
    """
    digits, letters = any(c.isdigit() for c in text), any(c.isalpha() for c in text)
    return digits and (len(text) >= 8 or (len(text) >= 5 and letters))


def spellings(text: str) -> set[str]:
    """How a text is written in plain text, in JSON (and JSON in JSON), in URLs and in HTML.

    >>> sorted(spellings("a/b"))
    ['a%2Fb', 'a%2fb', 'a/b', 'a\\\\/b', 'a\\\\\\\\/b']
    """
    once = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    once |= {written.replace("/", "\\/") for written in once}
    twice = {json.dumps(written)[1:-1] for written in once}
    urls = {quote(text, safe=""), quote_plus(text), quote(text)}
    lower = {re.sub("%..", lambda found: found[0].lower(), url) for url in urls}
    upper = {re.sub(r"\\u....", lambda found: "\\u" + found[0][2:].upper(), escaped) for escaped in once | twice}
    return {text, *once, *twice, *upper, *urls, *lower, html.escape(text), html.escape(text, quote=False)}


@dataclass(frozen=True)
class Needles:
    """Ids of users and their pseudonyms, to be looked for together. Travels to Spark's tasks."""

    ids: frozenset[str]
    everywhere: bool = False
    """Whether ids that are not telling count wherever they stand as a word, too."""

    @staticmethod
    def of(ids: Iterable[str], everywhere: bool = False) -> "Needles":
        """Needles of ids; the spaces around an id are no part of it."""
        return Needles(frozenset(text.strip() for text in ids), everywhere)

    @property
    def telling(self) -> list[str]:
        """Ids that are looked for everywhere, long ones first."""
        return _long_first(text for text in self.ids if self.everywhere or is_telling(text))

    @property
    def others(self) -> list[str]:
        """Ids that are looked for only where ids of users stand."""
        return _long_first(self.ids - set(self.telling))

    @cached_property
    def words(self) -> str | None:
        """RE2 pattern of a telling id in a string, which may be escaped; None where there is no such id."""
        return self._bounded(self.telling)

    @cached_property
    def all_words(self) -> str:
        """RE2 pattern of any id in a string."""
        return self._bounded(self.ids) or ""

    @cached_property
    def keyed_words(self) -> str | None:
        """RE2 pattern of an id that is not telling after a JSON key that names users; None where there is no such id."""
        forms = _any_of(self.others)
        return _after_key(forms) if forms else None

    def _bounded(self, ids: Iterable[str]) -> str | None:
        forms = _any_of(ids)
        return rf"(?s)(^|[^{_WORD}]|{_ESCAPES})(?:{forms})($|[^{_WORD}])" if forms else None

    def found_in(self, content: "bytes | memoryview") -> bool:
        """Whether bytes of any kind hold an id."""
        return next(self.places(content), None) is not None

    def masked(self, content: bytes) -> bytes:
        """Bytes with ``MARK`` in place of each id."""
        places = sorted(self.places(content))
        kept, last = [], 0
        for start, end in places:
            if start >= last:
                kept += [content[last:start], MARK.encode()]
                last = end
        return b"".join([*kept, content[last:]])

    def places(self, content: "bytes | memoryview") -> Iterator[tuple[int, int]]:
        """Where ids start and end in bytes."""
        if self._free is not None:
            at = 0
            while found := self._free.search(content, at):
                start = found.start()
                if _LEFT.search(bytes(content[max(0, start - _LEFT_BYTES) : start])):
                    yield found.span()
                at = start + 1
        for pattern in self._placed:
            for found in pattern.finditer(content):
                yield found.span(1)

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest form with what must stand around it: how far two pieces of a stream must overlap."""
        return max((len(form.encode()) for text in self.ids for form in spellings(text)), default=0) + 200

    @cached_property
    def _free(self) -> "re.Pattern[bytes] | None":
        # What stands before is checked afterwards: a pattern that begins with plain bytes is found much faster.
        forms = _any_of(self.telling)
        return re.compile(rf"(?:{forms})(?![{_WORD}])".encode()) if forms else None

    @cached_property
    def _placed(self) -> "list[re.Pattern[bytes]]":
        forms = _any_of(self.others)
        if not forms:
            return []
        first_field = rf'(?m:^)"?({forms})"?[,;|\t]'
        element = rf">\s{{0,80}}({forms})\s{{0,80}}<"
        return [re.compile(pattern.encode()) for pattern in (_after_key(forms), first_field, element)]

    def __getstate__(self) -> dict[str, object]:
        return {"ids": self.ids, "everywhere": self.everywhere}  # compiled patterns are made anew where they are needed

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)


def _after_key(forms: str) -> str:
    return rf'(?i:user(?:[_ -]?ids?|s)?)\\*"\s{{0,4}}:\s{{0,4}}\\*"({forms})\\*"'


def _long_first(texts: Iterable[str]) -> list[str]:
    return sorted(texts, key=lambda text: (-len(text), text))


def _any_of(ids: Iterable[str]) -> str:
    """Alternatives of a pattern in bytes or RE2: all spellings of all ids."""
    forms = {form for text in ids for form in spellings(text)}
    return "|".join(re.escape(form) for form in _long_first(forms))
