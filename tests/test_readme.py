"""The READMEs keep their word: files and their line counts, links that lead somewhere, the same in both languages.

`python tests/test_readme.py` brings the line counts up to date.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = [
    *READMES,
    CONTRIBUTING,
    ROOT / "CHANGELOG.md",
    ROOT / "notebooks" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]

# [text](target), and within a link's text an image's.
LINK = re.compile(r"\]\(([^)\s]+)\)")
# A row of the table of files: linked files, what they are about, how many lines each has.
ROW = re.compile(r"^\| (\[`.*\)) \| (.*) \| ([\d,+ ]*) \|$", re.MULTILINE)
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?(?:e-\d+)?")

# How many rows of the table are the book, to be read in their order.
BOOK = 5


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def without_code(page: str) -> str:
    return re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)


# --- the table of files


def count_lines(path: Path) -> int:
    """As `wc -l` does; of a folder, the sum over the Python files in it."""
    files = path.rglob("*.py") if path.is_dir() else [path]
    return sum(file.read_bytes().count(b"\n") for file in files)


def counts(files: str) -> str:
    """What the last column has to say of the files that the first one links."""
    return " + ".join(f"{count_lines(ROOT / target):,}" for target in LINK.findall(files))


def with_counts(page: str) -> str:
    return ROW.sub(lambda row: f"| {row[1]} | {row[2]} | {counts(row[1])} |", page)


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_line_counts(readme):
    wrong = [f"{files}: {counts(files)}" for files, _, shown in ROW.findall(read(readme)) if shown != counts(files)]
    assert not wrong, f"`python tests/test_readme.py` corrects these line counts: {'; '.join(wrong)}"


def row_of(name: str) -> str:
    """What the table calls the place of a module: "pairs" of the room `text` is in "text", a file of `model/` alone."""
    return name.removeprefix("model.").split(".")[0]


def rooms_in_order() -> list[set[str]]:
    """Of each row, the modules and folders of the package that it links."""
    return [{Path(target).stem for target in LINK.findall(files)} for files, _, _ in ROW.findall(read(READMES[0]))]


def test_no_file_is_left_out():
    modules = {path.stem for folder in ("minibert", "minibert/model") for path in (ROOT / folder).glob("*.py")}
    folders = {path.parent.name for path in (ROOT / "minibert").glob("*/__init__.py")} - {"model"}
    shown = Counter(room for row in rooms_in_order() for room in row)
    assert shown == Counter({*modules, *folders, "scripts"} - {"__init__"})


def test_the_book_is_read_from_top_to_bottom():
    from test_architecture import FILES, own_imports  # here: counting lines needs no package

    known: set[str] = set()
    for row in rooms_in_order()[:BOOK]:
        known |= row
        for name in [f"model.{file}" for file in row]:
            assert name in FILES
            below = {row_of(other) for other in own_imports(name)} & set().union(*rooms_in_order()[:BOOK]) - known
            assert not below, f"{name} imports what the README explains further down"


def test_the_book_has_about_as_many_lines_as_the_readmes_say():
    files = [file for row in rooms_in_order()[:BOOK] for file in row]
    lines = sum(count_lines(ROOT / "minibert" / "model" / f"{file}.py") for file in files)
    (said,) = {int(re.search(r"(\d+)\s(?:lines|行)", read(readme).split("__init__.py")[0])[1]) for readme in READMES}
    assert abs(lines - said) <= 10


# --- links


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = [target.split("#")[0] for target in LINK.findall(without_code(read(page))) if "://" not in target]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing, f"{page.name} links what is not there"


# --- CONTRIBUTING.md


def test_contributing_has_every_room_and_no_other():
    table = read(CONTRIBUTING).partition("## Where things go")[2].partition("\n\n|")[2].partition("\n\n")[0]
    rooms = {path.name for path in (ROOT / "minibert").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert set(re.findall(r"`(\w+)/`", table)) == rooms


def test_what_contributing_tells_to_run_is_there():
    files = re.findall(r"(?:python|pytest) ([\w/]+\.py)", read(CONTRIBUTING))
    assert len(files) > 5 and [file for file in files if not (ROOT / file).is_file()] == []


# --- both languages


def sections(page: str) -> list[str]:
    """Cut at the headings, which are not the lines with a # in a block of code."""
    cut, in_code = [""], False
    for line in page.splitlines(keepends=True):
        if line.startswith("#") and not in_code:
            cut.append("")
        cut[-1] += line
        in_code ^= line.startswith("```")
    return cut


def code_blocks(section: str) -> list[str]:
    return re.findall(r"^```.*?^```$", section, flags=re.MULTILINE | re.DOTALL)


def names(section: str) -> Counter[str]:
    """What stands between backticks; a line break there is a space."""
    return Counter(" ".join(name.split()) for name in re.findall(r"`([^`]+)`", without_code(section)))


def links(section: str) -> Counter[str]:
    """Without those from one language to the other; each leads to what is in its own."""
    own = re.sub(r"(docs|notebooks)/zh\b", r"\1", without_code(section).replace(".zh.svg", ".svg"))
    targets = [target.split("#")[0] for target in LINK.findall(own)]
    return Counter(targets) - Counter(path.name for path in READMES)


def numbers(section: str) -> Counter[str]:
    """Those in digits, in any order: sentences are built differently. Words ("nine") are the translator's."""
    return Counter(NUMBER.findall(LINK.sub("]", without_code(section))))


ENGLISH, CHINESE = (sections(read(readme)) for readme in READMES)


def test_both_have_the_same_sections():
    english, chinese = ([section.split(" ")[0] for section in page[1:]] for page in (ENGLISH, CHINESE))
    assert english == chinese


def test_each_links_the_other():
    assert "(README.zh-CN.md)" in ENGLISH[1] and "(README.md)" in CHINESE[1]


@pytest.mark.parametrize("what", [code_blocks, names, links, numbers])
@pytest.mark.parametrize("index", range(1, len(ENGLISH)), ids=lambda index: ENGLISH[index].splitlines()[0].strip("# "))
def test_both_say_the_same(index, what):
    assert what(CHINESE[index]) == what(ENGLISH[index])


if __name__ == "__main__":
    for readme in READMES:
        readme.write_text(with_counts(read(readme)), encoding="utf-8")
