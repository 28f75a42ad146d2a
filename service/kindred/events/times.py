"""Times of the event contract: RFC 3339 text or epoch milliseconds, to and from integer microseconds.

https://www.rfc-editor.org/rfc/rfc3339#section-5.6. Digits beyond the microsecond are cut off. A leap
second (23:59:60 in UTC) is the first second of the next day, as in POSIX and Postgres.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from kindred.events.rejected import Rejected, shown
from kindred.events.schema import Reason, Record

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000
_FIRST_US = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
# Postgres multiplies an interval as a double: the last microseconds would be a year that Python has not.
_LAST_US = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)

# Epoch seconds of the years 1973 to 2286 read as milliseconds fall into the first months of 1970.
_LIKELY_SECONDS = range(100_000_000, 10_000_000_000)

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:(\d\d)(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
).fullmatch


def to_us(value: object, name: str) -> int:
    """Microseconds since the Unix epoch of a JSON value. Raises Rejected, naming the field."""
    if type(value) is str:
        time_us = _from_text(value, name)
    elif type(value) is int or (type(value) is float and value.is_integer()):
        time_us = _from_milliseconds(int(value), name)
    elif value is None:
        raise Rejected(Reason.MISSING_FIELD, f"{name} is missing")
    else:
        reason = Reason.INVALID_TIME if type(value) is float else Reason.WRONG_TYPE
        raise Rejected(reason, f"{name} must be RFC 3339 text or epoch milliseconds, not {shown(value)}")
    if not _FIRST_US <= time_us <= _LAST_US:
        raise Rejected(
            Reason.INVALID_TIME, f"{name} is before the year 1 or after 9999-12-31: {shown(value)}"
        )
    return time_us


def not_ahead(time_us: int, record: Record, max_skew_us: int, name: str) -> int:
    """`time_us` itself. Raises Rejected if it is later than the record's timestamp plus the skew.

    Compared with the record, not with the clock: a worker whose clock jumped back would refuse everything.
    """
    ahead_us = time_us - record.timestamp_ms * 1_000
    if ahead_us > max_skew_us:
        detail = f"{name} is {ahead_us // 1_000_000} s after the record's own timestamp"
        raise Rejected(Reason.TIME_AHEAD, f"{detail}; {max_skew_us // 1_000_000} s are allowed")
    return time_us


def of_record(record: Record) -> int:
    """The record's own timestamp, the time of a tombstone. Raises Rejected if no calendar holds it."""
    time_us = record.timestamp_ms * 1_000
    if not 0 <= time_us <= _LAST_US:
        raise Rejected(Reason.INVALID_TIME, f"the record's timestamp is {record.timestamp_ms} ms")
    return time_us


def to_text(time_us: int) -> str:
    """RFC 3339 in UTC, with microseconds only where there are any."""
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")


def _from_text(text: str, name: str) -> int:
    match = _RFC3339(text)
    if match is None:
        raise Rejected(Reason.INVALID_TIME, f"{name} is no RFC 3339 time with offset: {shown(text)}")
    if match[1] == "60":
        return _leap_second(text, name)
    try:
        since_epoch = datetime.fromisoformat(text.upper()) - _EPOCH
    except ValueError as error:
        raise Rejected(Reason.INVALID_TIME, f"{name} is no time: {shown(text)} ({error})") from None
    return (since_epoch.days * 86_400 + since_epoch.seconds) * 1_000_000 + since_epoch.microseconds


def _leap_second(text: str, name: str) -> int:
    time_us = _from_text(text[:17] + "59" + text[19:], name) + 1_000_000
    if time_us % _DAY_US >= 1_000_000:
        raise Rejected(Reason.INVALID_TIME, f"{name} has second 60 within a day: {shown(text)}")
    return time_us


def _from_milliseconds(milliseconds: int, name: str) -> int:
    if milliseconds in _LIKELY_SECONDS:
        raise Rejected(
            Reason.INVALID_TIME, f"{name} looks like epoch seconds: {milliseconds}; send milliseconds"
        )
    return milliseconds * 1_000
