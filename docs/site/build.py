"""Build the site, in both languages: `python docs/site/build.py OUT`, then open OUT/index.html.

It is made of README, docs, notebooks, diagrams, docstrings and the source itself, needs the extra `site`, and works
without a network. README.md in this folder says what it is built with, and why.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import files
from pathlib import Path

from pages import LANGUAGES, Stage

HERE = Path(__file__).parent
FRONT = """<!doctype html>
<meta charset="utf-8">
<title>minibert</title>
<meta http-equiv="refresh" content="0; url=en/index.html">
<p><a href="en/index.html">English</a> · <a href="zh/index.html">中文</a></p>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="a folder that does not exist, or an earlier site")
    options = parser.parse_args()
    if options.out.exists() and not (options.out / "en" / "searchindex.js").exists():
        sys.exit(f"{options.out}: exists and is no earlier site; name another folder, or remove it")
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "site"
        for language in LANGUAGES:
            build(language, Path(folder) / language, built / language)
        (built / "index.html").write_text(FRONT, encoding="utf-8")
        shutil.rmtree(options.out, ignore_errors=True)
        shutil.copytree(built, options.out, ignore=shutil.ignore_patterns("jupyter_execute"))  # MyST-NB's scratch
    print(f"written     {options.out}/index.html")


def build(language: str, stage: Path, out: Path) -> None:
    """One language's site. A warning, such as a link that leads nowhere, ends it."""
    Stage(stage, language).build()
    static = stage / "_static"
    static.mkdir()
    shutil.copy(HERE / "style.css", static)
    shutil.copy(mathjax(), static)
    shutil.copy(HERE / "conf.py", stage)
    shutil.copytree(HERE / "templates", stage / "templates")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-j",
        "auto",
        stage,
        out,
        "-d",
        stage / ".trees",
    ]
    environment = {**os.environ, "SITE_LANGUAGE": language}
    if subprocess.run([*map(str, command)], env=environment).returncode:
        sys.exit(f"the site in {LANGUAGES[language]} has not been built; Sphinx says above what is wrong")


def mathjax() -> Path:
    """MathJax as one file, from the package that carries it."""
    found = [path for path in files("sphinx-mathjax-offline") or [] if path.name == "tex-svg.js"]
    return Path(found[0].locate())


if __name__ == "__main__":
    main()
