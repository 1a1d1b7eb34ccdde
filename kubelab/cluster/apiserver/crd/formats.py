"""The string formats that a schema of a custom resource can ask for.

Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/validation/formats.go (which),
k8s.io/kube-openapi/pkg/validation/strfmt (what they mean); asaskevich/govalidator's patterns. A format that
is not one of these, or not of the field's type, is ignored, as upstream does.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date
from email.utils import parseaddr
from urllib.parse import urlsplit

from kubelab.cluster.apiserver.crd.structural import INT_OR_STRING, Schema

_NUMBER_FORMATS = {"integer": ("int32", "int64"), "number": ("float", "double")}
_HEX4 = "[0-9a-f]{4}"
_UUID = f"(?i)[0-9a-f]{{8}}-?{_HEX4}-?%s-?%s-?[0-9a-f]{{12}}"
_VARIANT = "[89ab][0-9a-f]{3}"
_SYMBOLS_AND_LETTERS = r"a-zA-Z0-9\u00a1-\U0010ffff"
_HOSTNAME = (  # Not compiled until it is asked for: that takes 30 ms, and most labs never ask.
    rf"([{_SYMBOLS_AND_LETTERS}]((-?[{_SYMBOLS_AND_LETTERS}]{{0,62}})?)"
    rf"|([{_SYMBOLS_AND_LETTERS}](([-{_SYMBOLS_AND_LETTERS}]{{0,61}}[{_SYMBOLS_AND_LETTERS}])?)\.)+"
    r"[a-zA-Z\u00a1-\U0010ffff]{2,63})"
)
_CREDIT_CARD = (
    "(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}"
    r"|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})"
)
_RGB_PART = r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*"
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DURATION_UNITS = "ns|nanos?|us|µs|micros?|ms|millis?|s|secs?|m|mins?|h|hrs?|hours?|d|days?|w|wks?|weeks?"
_GO_DURATION = re.compile(r"[-+]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME_OF_DAY = re.compile(r"(\d\d):(\d\d):(\d\d)(.\d+)?(z|[+-]\d\d:\d\d)")

Format = Callable[[str], bool]


def _matching(pattern: str) -> Format:
    return lambda text: re.fullmatch(pattern, text) is not None


def _parses(parse: Callable[[str], object]) -> Format:
    def check(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return check


def _unpadded(text: str) -> str:
    """Return an address without leading zeros, which upstream still takes."""
    return re.sub(r"(?<![\da-fA-F:])0+(?=\d)", "", text)


def _is_ipv4(text: str) -> bool:
    return "." in text and _parses(lambda each: ipaddress.ip_address(_unpadded(each)))(text)


def _is_ipv6(text: str) -> bool:
    return ":" in text and _parses(ipaddress.IPv6Address)(text)


def _is_cidr(text: str) -> bool:
    return text.count("/") == 1 and _parses(lambda each: ipaddress.ip_network(_unpadded(each), strict=False))(
        text
    )


def _is_uri(text: str) -> bool:
    try:
        return bool(text) and (text.startswith("/") or bool(urlsplit(text).scheme)) and " " not in text
    except ValueError:
        return False


def _is_email(text: str) -> bool:
    _, address = parseaddr(text)
    local, at, domain = address.rpartition("@")
    return bool(local and at and domain and " " not in address)


def _is_hostname(text: str) -> bool:
    return (
        len(text) <= 255 and bool(re.fullmatch(_HOSTNAME, text)) and all(len(p) < 64 for p in text.split("."))
    )


def _is_mac(text: str) -> bool:
    pairs = "([0-9a-fA-F]{2}[:-]){%d}[0-9a-fA-F]{2}"
    quads = r"([0-9a-fA-F]{4}\.){%d}[0-9a-fA-F]{4}"
    forms = [pairs % 5, pairs % 7, pairs % 19, quads % 2, quads % 3, quads % 9]
    return any(re.fullmatch(form, text) for form in forms)


def _digits(text: str) -> str:
    return text.replace("-", "").replace(" ", "")


def _is_isbn10(text: str) -> bool:
    digits = _digits(text)
    if not re.fullmatch(r"\d{9}[\dX]", digits):
        return False
    total = sum((i + 1) * (10 if digit == "X" else int(digit)) for i, digit in enumerate(digits))
    return total % 11 == 0


def _is_isbn13(text: str) -> bool:
    digits = _digits(text)
    if not re.fullmatch(r"\d{13}", digits):
        return False
    return sum((3 if index % 2 else 1) * int(digit) for index, digit in enumerate(digits)) % 10 == 0


def _is_credit_card(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    if not re.fullmatch(_CREDIT_CARD, digits):
        return False
    doubled = [int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits))]
    return sum(each - 9 if each > 9 else each for each in doubled) % 10 == 0


def _is_base64(text: str) -> bool:
    try:
        return bool(text) and bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False


def _is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None and _parses(date.fromisoformat)(text)


def _is_date_time(text: str) -> bool:
    day, _, time = text.lower().partition("t")
    match = _TIME_OF_DAY.fullmatch(time)
    return _is_date(day) and match is not None and match[1] <= "23" and match[2] <= "59" and match[3] <= "59"


def _is_duration(text: str) -> bool:
    if _GO_DURATION.fullmatch(text):
        return True
    return re.search(rf"\d+\s*({_DURATION_UNITS})\b", text) is not None


FORMATS: Mapping[str, Format] = {
    "bsonobjectid": _matching("[0-9a-fA-F]{24}"),
    "uri": _is_uri,
    "email": _is_email,
    "hostname": _is_hostname,
    "ipv4": _is_ipv4,
    "ipv6": _is_ipv6,
    "cidr": _is_cidr,
    "mac": _is_mac,
    "uuid": _matching(_UUID % (_HEX4, _HEX4)),
    "uuid3": _matching(_UUID % ("3[0-9a-f]{3}", _HEX4)),
    "uuid4": _matching(_UUID % ("4[0-9a-f]{3}", _VARIANT)),
    "uuid5": _matching(_UUID % ("5[0-9a-f]{3}", _VARIANT)),
    "isbn": lambda text: _is_isbn10(text) or _is_isbn13(text),
    "isbn10": _is_isbn10,
    "isbn13": _is_isbn13,
    "creditcard": _is_credit_card,
    "ssn": _matching(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _matching("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _matching(rf"rgb\({_RGB_PART},{_RGB_PART},{_RGB_PART}\)"),
    "byte": _is_base64,
    "password": lambda _: True,
    "date": _is_date,
    "duration": _is_duration,
    "datetime": _is_date_time,
    "k8sshortname": lambda text: len(text) <= 63 and re.fullmatch(_LABEL, text) is not None,
    "k8slongname": lambda text: (
        len(text) <= 253 and re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", text) is not None
    ),
}


def supported(schema: Schema) -> str:
    """Return the format that values of *schema* must have, "" if none that is known."""
    format_, type_ = schema.get("format") or "", schema.get("type") or ""
    if type_ in {"", "string"} or schema.get(INT_OR_STRING):
        return format_ if format_.replace("-", "") in FORMATS else ""
    return format_ if format_ in _NUMBER_FORMATS.get(type_, ()) else ""


def check(format_: str) -> Format | None:
    """Return what tells whether a string has *format_*."""
    return FORMATS.get(format_.replace("-", ""))
