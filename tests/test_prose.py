"""The documentation is plain: few long sentences, and none of the phrases that the style page names."""

from pathlib import Path

import pytest

from docs.prose import ALLOWED, AVOID, LONG, main, measure
from tests.pages import PAGES, ROOT

#: Pages that are still to be rewritten. None may be added.
STIFF = {
    "docs/how-to/evaluate.md",
    "docs/how-to/predict.md",
    "docs/how-to/ray.md",
    "docs/how-to/serve.md",
    "docs/how-to/tune.md",
}
PLAIN = [page for page in PAGES if str(page.relative_to(ROOT)) not in STIFF]


@pytest.mark.parametrize("page", [*PLAIN, ROOT / "CONTRIBUTING.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_plain(page: Path) -> None:
    found = measure(page.read_text())
    assert found.avoid == []
    assert found.share <= ALLOWED, "\n".join(found.long)


def test_a_stiff_page_is_found() -> None:
    long = " ".join(["word"] * (LONG + 1))
    found = measure(f"# Title\n\nA short one. Then {long}.\n\n- an item\n- {AVOID[0]}\n\n```console\n$ {long}\n```\n")
    assert [len(one.split()) for one in found.long] == [LONG + 2]
    assert found.avoid == [AVOID[0]]
    assert found.sentences == 4  # a heading of one word is none


def test_code_and_links_count_as_one_word() -> None:
    found = measure(f"See [two words](https://example.org/{'a/' * 50}) and `{'x ' * 50}` here.")
    assert found.long == []
    assert found.sentences == 1


def test_the_command_names_long_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"Short enough. {'Word ' * (LONG + 1)}.")
    main([str(page)])
    printed = capsys.readouterr().out
    assert f"{page}: 2 sentences, 50.0% over {LONG} words" in printed
    assert "  Word Word" in printed
