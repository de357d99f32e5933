"""The documents for readers keep to what exists: links and pictures, commands (parsed, not run), and the words of the page in both languages."""

import re
import shlex
from pathlib import Path

import pytest

from financial_model.cli.arguments import build_parser
from financial_model.text import LANGUAGES, catalogue

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
GUIDES = {"en": [DOCS / "guide.md", DOCS / "troubleshooting.md"], "zh": [DOCS / "guide.zh.md", DOCS / "troubleshooting.zh.md"]}
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:python -m financial_model|\./start\.sh run|\bkairos) ([a-z].*)")


def prose(path: Path) -> str:
    return FENCE.sub("", path.read_text("utf-8"))


def anchors(path: Path) -> set[str]:
    """The names GitHub gives to headings."""
    titles = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(path: Path) -> list[str]:
    """Every command line for Kairos: whole lines of code blocks, and code inside sentences."""
    text = path.read_text("utf-8")
    lines = [line for block in FENCE.findall(text) for line in block.splitlines()[1:-1]]
    spans = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    found = [(match[1] if match else "") for match in map(COMMAND.match, (line.strip() for line in [*lines, *spans]))]
    return [line for line in found if line]


def test_the_documents_are_found():
    assert len(DOCUMENTS) > 10 and all(path.is_file() for paths in GUIDES.values() for path in paths)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_and_picture_exists(path):
    for target in LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists() and file.is_relative_to(ROOT), f"{path.name}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{path.name}: {target}"


@pytest.mark.parametrize("path", [ROOT / "README.md", *GUIDES["en"], *GUIDES["zh"]], ids=lambda path: path.name)
def test_every_command_parses(path):
    parser, found = build_parser(), commands(path)
    assert found, "a document without commands has lost them"
    for line in found:
        words = shlex.split(line, comments=True)
        assert parser.parse_args(words).command == words[0], line


def test_both_guides_show_the_same_commands_and_tell_the_same_story():
    for english, chinese in zip(GUIDES["en"], GUIDES["zh"], strict=True):
        bare = [[shlex.split(line, comments=True) for line in commands(path)] for path in (english, chinese)]
        assert bare[0] == bare[1]
        levels = [re.findall(r"^(#+) ", prose(path), re.MULTILINE) for path in (english, chinese)]
        assert levels[0] == levels[1]
        pictures = [re.findall(r"\(images/([\w-]+)-(en|zh)\.png\)", path.read_text("utf-8")) for path in (english, chinese)]
        assert [name for name, _ in pictures[0]] == [name for name, _ in pictures[1]]
        assert {language for _, language in pictures[0]} <= {"en"} and {language for _, language in pictures[1]} <= {"zh"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_bold_words_of_the_guide_stand_on_the_page(language):
    """What stands at the beginning of a troubleshooting paragraph or of a numbered point is a question or a headline, not a label."""
    texts = {entry[language] for entry in catalogue().values()}
    for path in GUIDES[language]:
        lines = [re.sub(r"^(?:\d+\. )?\*\*[^*]+[.。？?”…]\*\*", "", line) for line in prose(path).splitlines()]
        labels = re.findall(r"\*\*([^*]+)\*\*", "\n".join(lines))
        assert len(labels) > 8
        assert [label for label in labels if " ".join(label.split()) not in texts] == []
