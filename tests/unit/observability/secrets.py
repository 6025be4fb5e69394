"""Secrets as they are written, none of them real; and what looks like one but is none."""

import base64

LETTERS = "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vW1xY"
PASSWORD = "c0rrect-h0rse"
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{LETTERS}"
SEED = "SUA" + "B" * 55

KEYS = (
    f"sk-{LETTERS}",
    f"sk-ant-api03-{LETTERS}-{LETTERS}AA",
    f"sk-proj-{LETTERS}_{LETTERS}",
    f"sk-or-v1-{'0af1' * 16}",
    f"sk_live_{LETTERS}",
    f"AIzaSy{LETTERS}",
    f"ya29.a0{LETTERS}",
    f"GOCSPX-{LETTERS}",
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    f"ABSK{LETTERS}{LETTERS}=",
    f"bedrock-api-key-{LETTERS}",
    f"gsk_{LETTERS}{LETTERS}",
    f"xai-{LETTERS}{LETTERS}",
    f"hf_{LETTERS}",
    f"pplx-{LETTERS}{LETTERS}",
    f"nvapi-{LETTERS}-x",
    f"csk-{'a1b2' * 12}",
    f"tgp_v1_{LETTERS}",
    f"fw_{LETTERS}",
    f"r8_{LETTERS}abcd",
    f"jina_{LETTERS}{LETTERS}",
    "dapi" + "0123456789abcdef" * 2,
    f"ghp_{LETTERS}abcd",
    f"github_pat_{LETTERS}_{LETTERS}",
    f"glpat-{LETTERS}",
    f"xoxb-123456789012-{LETTERS}",
    JWT,
    SEED,
)
"""They tell themselves, wherever they stand."""

CREDENTIALS = (
    (f"Authorization: Bearer {LETTERS}", LETTERS),
    (f"bearer {PASSWORD}", PASSWORD),
    (f"Basic {base64.b64encode(b'a:secret').decode()}", "YTpzZWNyZXQ="),
    *(
        (f"nats://service:{PASSWORD}@nats-0:4222", PASSWORD),
        (f"nats://{PASSWORD}@nats-0:4222", PASSWORD),
        (f"postgresql+psycopg://u:{PASSWORD}@h/db", PASSWORD),
    ),
    (f"https://host/v1beta/models?key={PASSWORD}&alt=sse", PASSWORD),
    (f"https://h/o?api-version=2024-10-21&api-key={PASSWORD}", PASSWORD),
    (f"host=db user=u password={PASSWORD} dbname=x", PASSWORD),
    (f"Endpoint=sb://x;AccountKey={PASSWORD};", PASSWORD),
    (f"x-api-key: {PASSWORD}", PASSWORD),
    (f"AWS_SECRET_ACCESS_KEY={PASSWORD}", PASSWORD),
    (f"{{'password': '{PASSWORD}'}}", PASSWORD),
    (f'{{"client_secret": "{PASSWORD}"}}', PASSWORD),
    (f'api_key="{PASSWORD}"', PASSWORD),
    (f"token={PASSWORD}", PASSWORD),
    (f'{{"refresh_token":"{PASSWORD}"}}', PASSWORD),
    (f"Cookie: {PASSWORD}", PASSWORD),
    (f"-----BEGIN EC PRIVATE KEY-----\n{LETTERS}\n-----END EC PRIVATE KEY-----", LETTERS),
    (f"-----BEGIN USER NKEY SEED-----\n{SEED}\n------END USER NKEY SEED------", SEED),
)
"""A text, and the secret that its surroundings tell."""

INNOCENT = (
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "550e8400-e29b-41d4-a716-446655440000",
    *(
        "_INBOX.mEBjVcxR6ZzMJyGPyV3YKl.mEBjVcxR6ZzMJyGPyV3YO0",
        "$JS.ACK.CALLS.adapters.1.42.7.1732217052123456789.3",
        "task-0123456789abcdef0123456789",
        "disk-01234567890123456789",
    ),
    *(
        "acme/task-550e8400-e29b-41d4-a716-446655440000/12",
        "llm.v1.call.openai.standard.acme.job-1.1",
        "seq-1732217052123456789",
        "0.000081",
        "1732217052.123456",
    ),
    *(
        "claude-sonnet-4-5-20250929",
        "gpt-4o-mini-2024-07-18",
        "pplx-70b-online",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "claude-sonnet-4@20250514",
        "hf_small",
        "xai-mirror",
    ),
    *(
        "genai-prices@0.2.3",
        "msg_011CSHoEeqs5C35K2UUqR7Fy",
        "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "req_011CSHoEeqs5C35K2UUqR7Fy",
        "2026-11-21T19:30:12.123456+00:00",
    ),
    *(
        "nats://127.0.0.1:4222",
        "https://api.openai.com/v1/chat/completions?api-version=2024-10-21",
        "sqlite:////data/ledger.sqlite",
        "cannot connect to host 10.0.0.3:443",
    ),
    *(
        '"input_tokens":1234,"output_tokens":5',
        "max_tokens: 4096 is too large",
        "set ANTHROPIC_API_KEY or remove provider 'anthropic'",
        "api_key: ${OPENAI_API_KEY}",
    ),
    *(
        "providers.0.api_key: a literal key may not be stored on the bus",
        "basic authentication is refused",
        "the token is refused",
        "secret: not found",
        "password=None",
    ),
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
)
