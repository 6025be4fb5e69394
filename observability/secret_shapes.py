"""What secrets look like: the keys of providers, tokens, passwords in addresses and assignments; and what names a person. Data for `redaction`."""

import re
from typing import NamedTuple

HIDDEN = "***"


class Shape(NamedTuple):
    """A pattern, and the words (in lower case) without one of which it cannot match: looking for these costs a tenth."""

    anchors: tuple[str, ...]
    pattern: re.Pattern[str]
    shown: str = HIDDEN


_KEYS = (
    r"sk-[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic (sk-ant-), OpenRouter (sk-or-), DeepSeek, Moonshot …
    r"[srp]k_(?:live|test)_[A-Za-z0-9]{16,}",
    r"AIza[A-Za-z0-9_-]{30,}",
    r"ya29\.[A-Za-z0-9._-]{20,}",
    r"GOCSPX-[A-Za-z0-9_-]{20,}",
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])",
    r"ABSK[A-Za-z0-9+/=]{40,}",
    r"bedrock-api-key-[A-Za-z0-9+/=_-]{20,}",
    r"gsk_[A-Za-z0-9]{20,}",
    r"xai-[A-Za-z0-9]{20,}",
    r"hf_[A-Za-z0-9]{20,}",
    r"pplx-[A-Za-z0-9]{30,}",
    r"nvapi-[A-Za-z0-9_-]{20,}",
    r"csk-[a-z0-9]{30,}",
    r"tgp_v1_[A-Za-z0-9_-]{20,}",
    r"fw_[A-Za-z0-9]{20,}",
    r"r8_[A-Za-z0-9]{30,}",
    r"jina_[A-Za-z0-9]{30,}",
    r"dapi[0-9a-f]{32}",
    r"gh[pousr]_[A-Za-z0-9]{30,}",
    r"github_pat_[A-Za-z0-9_]{30,}",
    r"glpat-[A-Za-z0-9_-]{20,}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"S[AOU]A[A-Z2-7]{55}(?![A-Za-z0-9])",  # seeds of NATS accounts, operators and users
)
_KEY_ANCHORS = (
    *("sk-", "k_live_", "k_test_", "aiza", "ya29.", "gocspx-", "akia", "asia", "abia", "acca", "absk", "bedrock-api-key-", "gsk_", "xai-", "hf_", "pplx-"),
    *("nvapi-", "tgp_v1_", "fw_", "r8_", "jina_", "dapi", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "saa", "soa", "sua"),
)
_NAMES = (
    r"passw(?:or)?d|passphrase|pwd|secret|credentials?|signature|cookie|authorization|tokens?_?secret"
    r"|(?:api|access|private|account|secret|shared_?access)[_-]?key(?:[_-]id)?|token"
)
NAME_ANCHORS = (
    *("passw", "passph", "pwd", "secret", "credential", "signature", "cookie", "authorization", "api_key", "api-key", "apikey", "access_key", "access-key"),
    *("accesskey", "private_key", "private-key", "privatekey", "account_key", "account-key", "accountkey", 'token"', "token'", "token=", "token:", "token\\"),
)
_QUERY = r"key|api[-_]?key|access[-_]?key|(?:[a-z]+[-_])?token|sig|signature|secret|password|auth|x-amz-(?:credential|signature|security-token)"
SECRET_PARAMETER = re.compile(rf"(?i)(?:{_QUERY})")
"""The name of a part of a URL's query that is a secret; `api-version` is none."""

SECRETS = (
    Shape(_KEY_ANCHORS, re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(_KEYS)})")),
    Shape(("eyj",), re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?")),
    Shape(("bearer ", "basic "), re.compile(r"\b((?i:bearer|basic)) +(?=[A-Za-z._~+/-]*[A-Z0-9=])[A-Za-z0-9._~+/-]{6,}=*"), rf"\1 {HIDDEN}"),
    Shape(("://",), re.compile(r"(?<=://)[^\s/?#\"'\\<>]+@"), f"{HIDDEN}@"),
    Shape(("?", "&"), re.compile(rf"(?i)([?&](?:{_QUERY})=)[^\s&#\"'\\<>]+"), rf"\1{HIDDEN}"),
    Shape(
        ("-----begin ",),
        re.compile(r"(-----BEGIN (?:[A-Z ]*PRIVATE KEY|[A-Z ]*NKEY SEED|NATS USER JWT)-----)(?:[A-Za-z0-9+/=.:,_\s]|-(?!--)|\\+[nr])+"),
        rf"\1{HIDDEN}",
    ),
    Shape(  # name: "value" and name="value", in JSON and in Python
        NAME_ANCHORS,
        re.compile(rf"""(?i)((?:{_NAMES})["']?\s*[:=]\s*(["']))(?!\$\{{|\*\*\*)(?:\\.|(?!\2)[^\\])+(?=\2)""", re.DOTALL),
        rf"\g<1>{HIDDEN}",
    ),
    Shape(  # the same in a text within JSON
        NAME_ANCHORS,
        re.compile(rf"""(?i)((?:{_NAMES})(?:\\+["'])?\s*[:=]\s*(\\+["']))(?!\$\{{|\*\*\*).+?(?=(?<!\\)\2)""", re.DOTALL),
        rf"\g<1>{HIDDEN}",
    ),
    Shape(  # name=value
        NAME_ANCHORS,
        re.compile(rf"""(?i)((?:{_NAMES})=)(?!\$\{{|\*\*\*|(?:none|null|true|false)\b)[^\s"'\\,;&)\]}}]+"""),
        rf"\1{HIDDEN}",
    ),
    Shape(  # name: value, where the value can be no word of a sentence
        NAME_ANCHORS,
        re.compile(rf"""(?i)((?:{_NAMES}): ?)(?=[^\s"'\\,;]*\d)(?!\$\{{|\*\*\*)[^\s"'\\,;]{{8,}}"""),
        rf"\1{HIDDEN}",
    ),
)

WORDLESS = re.compile("|".join((*_KEYS, r"eyJ[A-Za-z0-9_-]{8,}\.")))
"""Finds whatever of SECRETS may stand in a text without blanks and punctuation: ids and names, as most fields of a log line are."""
PUNCTUATED = re.compile(r"""[\s=:"'\\]""")
"""What a text must have for all the other shapes."""

PERSONS = (
    Shape(("@",), re.compile(r"(?<![\w.+/-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,}(?![\w-])"), "[email]"),
    Shape(("+",), re.compile(r"(?<![\w+])\+[1-9]\d{0,2}(?:[ ().-]{0,2}\d){7,12}(?!\d)"), "[phone]"),
    Shape(("-",), re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])"), "[number]"),
)
CARD = re.compile(r"(?<![\w.-])[3-6]\d{3}(?:[ -]?\d){9,15}(?![\w.-])")
"""Digits that may be a payment card's; Luhn's sum tells."""
