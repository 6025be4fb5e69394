"""The words of a question, and the place in a text that shows them."""

import re
import unicodedata

WORD = re.compile(r"\w+")
MAX_WORDS = 32
SNIPPET_CHARS = 240
LEAD_CHARS = 60
"""So much is shown before the first word that was found."""


def words_of(question: str) -> list[str]:
    """The words that are looked for, each once, in their order; a long question is cut off."""
    return list(dict.fromkeys(word.casefold() for word in WORD.findall(question)))[:MAX_WORDS]


def snippet(text: str, words: list[str]) -> str:
    """Some hundred characters around the first of the words, on one line."""
    wanted = {bare(word) for word in words}
    first = next((found.start() for found in WORD.finditer(text) if bare(found.group()) in wanted), 0)
    start = 0 if first <= LEAD_CHARS else text.rfind(" ", 0, first - LEAD_CHARS) + 1
    shown = " ".join(text[start : start + SNIPPET_CHARS].split())
    return f"{'… ' if start else ''}{shown}{' …' if start + SNIPPET_CHARS < len(text) else ''}"


def bare(word: str) -> str:
    """Without case and accents, as the index compares words."""
    return "".join(each for each in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(each))
