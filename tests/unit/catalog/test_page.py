"""The table of provider types in the documentation is what the catalog says."""

import pytest

from catalog.kinds import kind_of, kinds
from catalog.page import BEGIN, END, main, row, written


def test_the_committed_table_is_what_the_catalog_says() -> None:
    assert main(["--check"]) == 0, "run: python -m catalog.page"
    assert main(["--chek"]) == 2


def test_an_outdated_table_is_replaced_and_nothing_else() -> None:
    page = written(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    assert page.startswith(f"above\n{BEGIN}\n")
    assert page.endswith(f"{END}\nbelow\n")
    assert "old" not in page
    assert all(f"| `{name}` |" in page for name in kinds())
    assert written(page) == page


def test_a_page_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        written("nothing here")


@pytest.mark.parametrize(
    ("type_name", "facts"),
    [
        ("azure", {"`resource`, `api_version`", "api-key"}),
        ("bedrock", {"`region`, `profile`", "`headrace[aws]`", "explicit", "none"}),
        ("vertex", {"`project`, `location`, `credentials_file`, `access_token`", "`headrace[google]`", "250 a call"}),
        ("anthropic", {"x-api-key", "no", "`/v1/models?limit=1`"}),
        ("ollama", {"Authorization: Bearer, if there is one", "`host:/api/tags`"}),
    ],
)
def test_a_line_tells_what_an_operator_needs(type_name: str, facts: set[str]) -> None:
    assert facts <= set(row(kind_of(type_name)))
