"""Sphinx's settings for the site; build.py says how it is called, and README.md why it is Sphinx."""

import logging
import os

from sphinx.application import Sphinx
from sphinx.search.zh import SearchChinese

logging.getLogger("jieba").setLevel(logging.WARNING)  # it tells how it loads its dictionary

LANGUAGES = {"en": "en", "zh": "zh_CN"}

project = "minibert"
language = LANGUAGES[os.environ["SITE_LANGUAGE"]]
extensions = ["myst_nb", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # the outputs are those in the repository
suppress_warnings = ["mystnb.unknown_mime_type", "myst.header"]

html_theme = "furo"
html_title = "minibert"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_show_search_summary = False  # it would be fetched, which browsers refuse where pages are files
html_static_path = ["_static"]
html_css_files = ["style.css"]
mathjax_path = "tex-svg.js"  # one file without fonts, so that formulas need no network
templates_path = ["templates"]
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "languages.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_context = {"site_language": os.environ["SITE_LANGUAGE"]}
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1b3a5c", "color-brand-content": "#2a6496"},
    "dark_css_variables": {"color-brand-primary": "#9cc0e4", "color-brand-content": "#d9a066"},
}


class ChineseSearch(SearchChinese):
    """Sphinx's, put right on the side of the browser.

    It brings the English stemmer and calls for a Chinese one, which does not exist; and it looks for a query as one
    word, where the index has what jieba cuts. The browser cuts much like jieba; single characters are not in the index.
    """

    language_name = "English"
    js_splitter_code = """
var splitQuery = (query) => {
  const pieces = [...new Intl.Segmenter("zh", { granularity: "word" }).segment(query)];
  const words = pieces.filter((piece) => piece.isWordLike && piece.segment.length > 1);
  return words.length ? words.map((piece) => piece.segment) : [query];
};
"""


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_search_language(ChineseSearch)
