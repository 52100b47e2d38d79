"""Who a webhook comes from: HubSpot's signatures and our own token, judged on raw bytes in constant time.

https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Sequence

MOST_AGE_MS = 300_000
# Synchronised clocks are within a second of each other; that of a machine just woken or moved may be some
# seconds off until it is set. Each millisecond allowed here is one more in which a request can be replayed.
MOST_AHEAD_MS = 30_000

DECODED = {b"3A": b":", b"2F": b"/", b"3F": b"?", b"40": b"@", b"21": b"!", b"24": b"$", b"27": b"'",
           b"28": b"(", b"29": b")", b"2A": b"*", b"2C": b",", b"3B": b";"}  # fmt: skip
ENCODED = re.compile(b"%(" + b"|".join(DECODED) + b")", re.IGNORECASE)


def sign_v3(secret: bytes, method: bytes, url: bytes, body: bytes, timestamp: bytes) -> bytes:
    """``url`` as HubSpot was given it, of which only the twelve documented characters are decoded."""
    signed = method + decode_url(url) + body + timestamp
    return b64encode(hmac.digest(secret, signed, "sha256"))


def sign_v2(secret: bytes, method: bytes, url: bytes, body: bytes) -> bytes:
    """It has no time in it: whoever saw such a request can play it again."""
    return hashlib.sha256(secret + method + url + body).hexdigest().encode()


def decode_url(url: bytes) -> bytes:
    return ENCODED.sub(lambda found: DECODED[found[1].upper()], url) if b"%" in url else url


def is_timely(timestamp: bytes, now_ms: int) -> bool:
    """``timestamp`` in ms since the epoch: at most five minutes old, and 30 s ahead of our clock."""
    if not timestamp.isdigit() or len(timestamp) > 15:
        return False
    return -MOST_AHEAD_MS <= now_ms - int(timestamp) <= MOST_AGE_MS


def check_v3(
    secret: bytes, method: bytes, url: bytes, body: bytes, timestamp: bytes, given: bytes, now_ms: int
) -> bool:
    if not is_timely(timestamp, now_ms):
        return False
    return hmac.compare_digest(sign_v3(secret, method, url, body, timestamp), given)


def check_v2(secret: bytes, method: bytes, url: bytes, body: bytes, given: bytes) -> bool:
    return hmac.compare_digest(sign_v2(secret, method, url, body), given)


def check_token(tokens: Sequence[bytes], given: bytes) -> bool:
    """Any of ``tokens``, so that one can be replaced without a gap. All are compared, whichever fits."""
    fits = [hmac.compare_digest(token, given) for token in tokens]
    return any(fits)
