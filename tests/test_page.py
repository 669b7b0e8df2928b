"""The page about a model: what stands on it, in both forms, and that no text becomes markup."""

import json
import re

import pytest

import minibert
from minibert.pretraining.page import check_page, write_page
from minibert.text.packed import PackedCorpus
from minibert.text.tokenizer import BertTokenizer

SCORES = [("MLM", "loss 1.234, accuracy 56.7%"), ("a|b", "<b>*")]


@pytest.fixture(scope="module")
def parts():
    model, tokenizer = (kind.from_pretrained("minibert-tiny") for kind in (minibert.BertForPreTraining, BertTokenizer))
    text = [
        ["The statement raises an exception.", "Return the value of the argument."] * 4,
        ["Open the file now for reading."] * 3,
    ]
    return model, tokenizer, PackedCorpus.from_documents(text, tokenizer)


def test_html(parts, tmp_path):
    rows = [{"step": i, "seconds": 6.0 * i, "loss": 3.0, "mlm_loss": 2.0, "nsp_loss": 1.0} for i in range(1, 4)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_page(tmp_path / "new" / "page.html", str(tmp_path), *parts, SCORES, seed=1)
    page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,iVBOR") == 2  # the curves and the heads
    assert "<td>a|b</td><td>&lt;b&gt;*</td>" in page and "2 layers × 128" in page
    filled = re.findall(r"<tr><td>[^<]*\[MASK\][^<]*</td><td>\w+</td><td>\w+ \d+%, ", page)
    assert 8 <= len(filled) <= 10  # a sentence whose first guess is a stop does not match
    assert re.search(r"\d of 8 heads \(\d+%\) look at a neighbour", page)
    assert 'src="http' not in page and "href" not in page  # it stands alone


def test_markdown(parts, tmp_path):
    write_page(tmp_path / "page.md", "minibert-tiny", *parts, SCORES, seed=1)
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "There is no metrics.jsonl beside this checkpoint" in page
    assert page.count("](data:image/png;base64,iVBOR") == 1
    assert "| a\\|b | \\<b>\\* |" in page
    assert re.search(r"^\| argument \| \w+, \w+", page, re.MULTILINE)


def test_what_would_fail_later_is_told_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"--report .*file/page\.md: nothing can be written to .*file \("):
        check_page(tmp_path / "file" / "page.md", "none")
    (tmp_path / "a.md").mkdir()
    with pytest.raises(ValueError, match=r"a\.md: is a folder"):
        check_page(tmp_path / "a.md", "none")
    (tmp_path / "metrics.jsonl").write_text("garbage\n")
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 1: expected"):
        check_page(tmp_path / "page.md", str(tmp_path))
    assert not (tmp_path / "page.md").exists()


def test_sentences_of_one_token(parts, tmp_path):
    model, tokenizer, _ = parts
    corpus = PackedCorpus.from_documents([["exception"], ["value"]], tokenizer)
    write_page(tmp_path / "page.md", "minibert-tiny", model, tokenizer, corpus, SCORES, seed=1)
    assert "No sentence of the text has two tokens" in (tmp_path / "page.md").read_text()


def test_another_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"--report must end in .html or .md, got page.pdf"):
        check_page(tmp_path.relative_to(tmp_path) / "page.pdf", "none")
