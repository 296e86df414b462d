"""What personal data look like in text: one set of rules for log lines and, through attune.clean.redact, for columns.

The guards are written in what Python's and Java's regular expressions share, for columns are searched for them in the JVM.
Where digits alone cannot tell, a checksum does: Luhn for cards (ISO/IEC 7812), mod 97 for IBANs (ISO 13616). A number that
is a valid ISBN-10 or EAN-13 is taken for a product. Names, postal addresses and unformatted local phone numbers look
like other words and numbers, and stay.
"""

import logging
import re
from dataclasses import dataclass
from typing import Literal

from attune.secrets import hide, hide_within

Check = Literal["card", "iban", "not_isbn"]

_ESCAPED = r"(?<=\\[bfnrt])"
"""After an escape such as ``\\n`` of JSON a word starts, although a letter stands before it."""
_LEFT = rf"(?:(?<![0-9A-Za-z_])(?<![0-9]\.)|{_ESCAPED})"
_RIGHT = r"(?![0-9A-Za-z_]|\.[0-9])"
_PHONE_LEFT = rf"(?:(?<![0-9A-Za-z_])(?<![0-9][.-])|{_ESCAPED})"
_PHONE_RIGHT = r"(?: ?(?:x|[Ee]xt\.?) ?[0-9]{1,5})?(?![0-9A-Za-z_]|[.-][0-9])"

_LETTERS = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0370-\u052f"
_AT = r"(?:[@＠]|%40|&#0{0,4}64;|&#[xX]0{0,4}40;| ?[\[({][aA][tT][\])}] ?)"
_DOT = r"(?:\.| ?[\[({][dD][oO][tT][\])}] ?)"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_HEX = "[0-9A-Fa-f]{1,4}"

_EMAIL = (
    rf"[{_LETTERS}0-9._%+-][{_LETTERS}0-9._%+'-]{{0,63}}{_AT}"
    rf"(?:(?:[{_LETTERS}0-9-]{{1,63}}{_DOT}){{1,8}}[{_LETTERS}]{{2,24}}|\[?{_IPV4}(?![0-9])\]?)"
)
# A handle starts with a letter, for `@10 each` is a price. Those that follow without a space go with the first.
_HANDLE = (
    rf"(?:(?<![{_LETTERS}0-9._%+@＠-])|{_ESCAPED})(?:[@＠][{_LETTERS}_\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]"
    rf"(?:[{_LETTERS}0-9_.\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3-]{{0,28}}"
    rf"[{_LETTERS}0-9_\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]))+"
)
_IPV6 = (
    rf"(?:(?<![0-9A-Za-z_:.])|{_ESCAPED})(?:(?:{_HEX}:){{7}}{_HEX}"  # written in full
    rf"|{_HEX}(?::{_HEX}){{1,6}}::{_HEX}(?::{_HEX}){{0,4}}|{_HEX}(?::{_HEX}){{2,6}}::"  # 2001:db8::1
    rf"|{_HEX}::{_HEX}(?::{_HEX}){{1,5}}"  # fe80::1ff:fe23:4567:890a
    rf"|(?:[23][0-9A-Fa-f]{{3}}|[Ff][CcDdEe][0-9A-Fa-f]{{2}})::(?:{_HEX})?"  # 2001::1
    rf"|::(?:[Ff]{{4}}:)?{_IPV4})(?:%[0-9A-Za-z]{{1,16}})?(?![0-9A-Za-z_:])"
)
# Not this machine (127, 0.0.0.0) nor a mask, and no version of software.
_IP = (
    rf"(?:(?<![0-9A-Za-z_])(?<![0-9][.-])(?<![Vv]ersion )(?<![Ff]irmware )|{_ESCAPED})"
    rf"(?!127\.|0\.0\.0\.0|255\.){_IPV4}(?![0-9A-Za-z_]|\.[0-9])"
)

_GAP = r"[ .\u00a0\u202f\u2010-\u2014\u2212-]{1,2}"
_FOURS = rf"[2-6][0-9]{{3}}(?:{_GAP}[0-9]{{4}})"
_CARDS = (
    rf"{_FOURS}{{3}}{_GAP}[0-9]{{1,3}}",  # 17 to 19 digits; before 16, for an expiry date may follow those
    "|".join(
        (
            rf"{_FOURS}{{3}}",
            rf"[2-6][0-9]{{3}}{_GAP}[0-9]{{6}}{_GAP}[0-9]{{4,5}}",  # 14 and 15: Diners Club, American Express
            rf"{_FOURS}{{2}}{_GAP}[0-9]{{1,3}}",
            rf"[2-6][0-9]{{7}}{_GAP}[0-9]{{8}}|[2-6][0-9]{{5}}{_GAP}[0-9]{{10,13}}",
            r"[2-6][0-9]{12,18}",
        )
    ),
)

_COUNTRIES = {
    15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
"""Length of an IBAN by country (SWIFT, IBAN registry)."""
_IBAN = "|".join(
    rf"(?i:{'|'.join(countries.split())})[0-9]{{2}}(?:[ \u00a0.-]?[0-9A-Za-z]){{{length - 4}}}"
    for length, countries in _COUNTRIES.items()
)

_CUE = (
    rf"((?:(?:(?<![A-Za-z])|{_ESCAPED})(?i:tel|phone|telephone|call|mobile|cell|whatsapp|wechat|fax|sms|ring|text)[a-z]{{0,4}}"
    r"|(?<=[a-hj-z])(?:Phone|Mobile)|电话|手机|联系|热线|微信|客服)"
    r"(?: (?:me|us|no|number|on|at|is)){0,3}[^0-9A-Za-z+。！？]{0,6})"
)
_NO_DATE = r"(?!(?:19|20)[0-9]{2}[./-][0-9]{1,2}[./-][0-9]|[0-9]{1,2}[./-][0-9]{1,2}[./-](?:19|20)?[0-9]{2}(?![0-9]))"
_PHONES = (
    # +44 20 7946 0958, +442079460958
    r"(?:\+|%2[Bb])[1-9](?:[0-9]{7,14}|[0-9]{0,3}(?: ?\(0\))?(?:[ .()/\u00a0-]{0,3}[0-9]{2,9}){2,6})",
    r"00[1-9][0-9]{0,2}(?:[ .()/-]{1,3}[0-9]{2,8}){2,5}",  # 0044 20 7946 0958
    r"\(0?[0-9]{2,4}\)[ .-]?[0-9]{3,4}[ .-]?[0-9]{3,4}",  # (020) 7946-0958
    r"(?:1[ .-])?[2-9][0-9]{2}[ .-][0-9]{3}[ .-][0-9]{4}",  # 555-010-9999
    r"1[3-9][0-9](?:[0-9]{8}|[ -][0-9]{4}[ -][0-9]{4})",  # Chinese mobile
    r"0[1-9][0-9]{1,3}(?:[ .-][0-9]{3,4}){2}",  # 020 7946 0958
    r"0[1-9]([ .-])[0-9]{2}(?:\1[0-9]{2}){3}",  # 06 12 34 56 78
    r"0[1-9][0-9]{1,3}[ /-][0-9]{6,8}",  # 030/12345678
)


@dataclass(frozen=True)
class Rule:
    """One kind of personal data.

    ``guard``: what a text must hold for the ``patterns`` to be tried, quick to look for. With a ``check``, what they find
    is replaced only where it passes; overlapping finds are all tried. ``keep``: groups before the datum, kept.
    """

    kind: str
    guard: str
    patterns: tuple[str, ...]
    check: Check | None = None
    left: str = ""
    right: str = ""
    keep: int = 0


_SIGN = r"[@＠]|%40|&#|[\[({][aA][tT][\])}]"
_SEVEN_DIGITS = "[0-9](?:[^0-9A-Za-z]{0,4}[0-9]){6}"

RULES = (
    Rule("email", _SIGN, (_EMAIL,)),
    Rule("handle", "[@＠]", (_HANDLE,)),
    Rule("ip", ":[0-9A-Fa-f]{0,4}:", (_IPV6,)),
    Rule("ip", r"[0-9]\.[0-9]{1,3}\.[0-9]", (_IP,)),
    Rule("iban", r"[A-Za-z]{2}[0-9]{2}(?:[ \u00a0.-]?[0-9A-Za-z]){11}", (_IBAN,), "iban", _LEFT, _RIGHT),
    Rule("card", "[0-9](?:[^0-9A-Za-z]{0,2}[0-9]){12}", _CARDS, "card", _LEFT, _RIGHT),
    Rule("phone", _SEVEN_DIGITS, (rf"{_PHONE_LEFT}(?:{'|'.join(_PHONES)}){_PHONE_RIGHT}",)),
    Rule("phone", _SEVEN_DIGITS, (rf"{_CUE}{_NO_DATE}\(?[0-9](?:[ .()/-]{{0,2}}[0-9]){{6,13}}{_RIGHT}",), keep=1),
    Rule("phone", "0[1-9][0-9]{8}", (r"0[1-9][0-9]{8,9}",), "not_isbn", _PHONE_LEFT, _PHONE_RIGHT),
)

ESCAPE = r"\\u00[2-7][0-9A-Fa-f]|\\/|[０-９]"
"""ASCII characters escaped as JSON allows it, behind which an address could hide; and digits of full width."""
WIDE_DIGITS = "０１２３４５６７８９"
ESCAPED = tuple(chr(code) for code in range(0x20, 0x7F) if chr(code) not in '"\\')
"""Characters that are read where they are escaped; JSON could not be read without the escapes of the others."""
GUARD = "|".join(dict.fromkeys([rule.guard for rule in RULES] + [ESCAPE, "\ufffd"]))
"""What nearly every text lacks that has no personal data; the rules are tried only where this is found."""


def redact_text(text: str) -> str:
    """A text with its personal data replaced by their kinds; for log lines, errors and tracebacks.

    >>> redact_text("jo@example.com paid with 4111 1111 1111 1111 from 192.0.2.7, order 123456")
    '<email> paid with <card> from <ip>, order 123456'
    """
    if not _GUARD.search(text):
        return text
    plain = unescape(text)
    found = plain
    for rule in RULES:
        if re.search(rule.guard, found):
            found = _checked(found, rule) if rule.check else _replaced(found, rule)
    return text if found == plain else found


def safe_text(text: str) -> str:
    """A text that may be told anywhere: without personal data, and without the secrets that this process has read."""
    return redact_text(hide(text))


class Redacting(logging.Filter):
    """Filter of a logger or handler that takes personal data and secrets out of each message, its traceback included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; it is never left out."""
        record.msg, record.args = safe_text(record.getMessage()), None
        if fields := getattr(record, "fields", None):
            record.fields = hide_within(fields)
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = safe_text(record.exc_text)
        return True


def unescape(text: str) -> str:
    r"""Read escapes of printable ASCII characters, and digits of full width as the usual ones.

    >>> unescape(r"jo\u0040example.com \u4f60 \u0022")
    'jo@example.com \\u4f60 \\u0022'
    """
    if _ESCAPE.search(text):
        for character in ESCAPED:
            for code in (f"{ord(character):02x}", f"{ord(character):02X}"):
                text = text.replace(rf"\u00{code}", character)
        text = text.replace(r"\/", "/").translate(_NARROW)
    return text


def candidates(rule: Rule, pattern: str) -> str:
    """Pattern that finds a checked rule's candidates, also where they overlap, as group 1."""
    return f"{rule.left}(?=({pattern}){rule.right})"


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1)."""
    doubled = (int(d) if i % 2 == 0 else sum(divmod(2 * int(d), 10)) for i, d in enumerate(reversed(digits)))
    return sum(doubled) % 10 == 0


def is_ean13(digits: str) -> bool:
    """Whether 13 digits are an article number (GS1): check digit with weights 1 and 3."""
    return len(digits) == 13 and sum(int(d) * (1 + i % 2 * 2) for i, d in enumerate(digits)) % 10 == 0


def is_isbn10(digits: str) -> bool:
    """Whether 10 digits are a book number (ISO 2108, 10 digits)."""
    return len(digits) == 10 and sum(int(d) * (10 - i) for i, d in enumerate(digits)) % 11 == 0


def is_iban(text: str) -> bool:
    """Whether the check digits fit (ISO 13616): letters as 10 to 35, the first four characters last, mod 97 is 1."""
    letters = re.sub("[^0-9A-Z]", "", text.upper())
    return int("".join(str(int(c, 36)) for c in letters[4:] + letters[:4])) % 97 == 1


def _passes(check: Check | None, found: str) -> bool:
    if check == "iban":
        return is_iban(found)
    digits = re.sub("[^0-9]", "", found)
    if check == "card":
        return luhn(digits) and not is_ean13(digits)
    return not is_isbn10(digits)


def _replaced(text: str, rule: Rule) -> str:
    kept = "".join(rf"\g<{group}>" for group in range(1, rule.keep + 1))
    for pattern in _COMPILED[rule]:
        text = pattern.sub(f"{kept}<{rule.kind}>", text)
    return text


def _checked(text: str, rule: Rule) -> str:
    for pattern in _COMPILED[rule]:
        for found in pattern.findall(text):
            if _passes(rule.check, found):
                text = re.sub(f"{rule.left}{found}{rule.right}", f"<{rule.kind}>", text, flags=re.ASCII)
    return text


_GUARD = re.compile(GUARD)
_NARROW = str.maketrans(WIDE_DIGITS, "0123456789")
_ESCAPE = re.compile(ESCAPE)
_COMPILED = {
    rule: [re.compile(candidates(rule, p) if rule.check else p, re.ASCII) for p in rule.patterns] for rule in RULES
}
