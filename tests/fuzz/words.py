"""Words that the formats are made of, and some that they must not be: what mutations put together."""

WORDS = [
    *(b'"', b"\\", b"\\u0000", b"\\ud800", b"\\udc00", b"{", b"}", b"[", b"]", b":", b",", b"null", b"true"),
    *(
        b"1e400",
        b"1e-400",
        b"-0",
        b"NaN",
        b"Infinity",
        b"9" * 40,
        b"[" * 16,
        b'{"":' * 4,
        b"T23:59:60Z",
        b"../",
    ),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\xf4\x90"),
    *(
        b"user_id",
        b"item_id",
        b"event_id",
        b"occurred_at",
        b"updated_at",
        b"context",
        b"title",
        b"genres",
        b"plot",
    ),
    *(b"F32", b"F64", b"dtype", b"shape", b"data_offsets", b"__metadata__"),
    *(b"sha256", b"bytes", b"files", b"towers", b"width", b"item_ids", b"values", b"edges"),
]


def dictionary() -> str:
    """As libFuzzer reads them."""
    return "".join('"{}"\n'.format("".join(f"\\x{byte:02x}" for byte in word)) for word in WORDS)
