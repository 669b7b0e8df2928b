"""What the site has to be told: where things are on the web, what it says around the pages, and the papers."""

# Where this repository is on the web, such as "https://github.com/OWNER/minibert"; links to Colab and to files that
# are no page of the site follow from it. Empty: there are none.
REPOSITORY = ""
BRANCH = "main"

# The papers that the pages cite, by the words they are cited with.
PAPERS = {
    "Ba, Kiros and Hinton 2016": "https://arxiv.org/abs/1607.06450",
    "Devlin et al. 2019": "https://arxiv.org/abs/1810.04805",
    "Hendrycks and Gimpel 2016": "https://arxiv.org/abs/1606.08415",
    "Hendrycks & Gimpel 2016": "https://arxiv.org/abs/1606.08415",
    "Loshchilov and Hutter 2019": "https://arxiv.org/abs/1711.05101",
    "Vaswani et al. 2017": "https://arxiv.org/abs/1706.03762",
}

# What stands around the pages: (English, Chinese).
WORDS = {
    "minibert": ("minibert", "minibert"),
    "Read along": ("Read along", "跟着读"),
    "The book: BERT in its source": ("The book: BERT in its source", "书：源码里的 BERT"),
    "What makes it robust and fast": ("What makes it robust and fast", "让它可靠而快速的部分"),
    "The other rooms": ("The other rooms", "其他房间"),
    "Reference": ("Reference", "参考"),
    "The Python interface": ("The Python interface", "Python 接口"),
    "source": ("Source", "源码"),
    "equations": ("Equations", "公式"),
    "papers": ("Papers", "论文"),
    "notebooks": ("Notebooks", "笔记本"),
    "run": ("Run it in Colab", "在 Colab 中运行"),
    "whole file": (
        "The whole file is one page: words on the left, code on the right.",
        "整个文件一页：左边文字，右边代码。",
    ),
    "not translated": ("", "本页还没有中文版，以下是英文原文。"),
    "docstrings": ("From the docstrings of the code.", "取自代码中的文档字符串，均为英文。"),
}
