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

# Which of docs/images/diagrams stands at the top of which page of source.
DIAGRAMS = {
    "minibert/model/embeddings.py": "embedding-sum",
    "minibert/model/attention.py": "attention-heads",
    "minibert/model/encoder.py": "residual-stream",
    "minibert/model/bert.py": "architecture",
    "minibert/model/tasks.py": "pretrain-finetune",
    "minibert/model/config.py": "parameters",
    "minibert/model/packing.py": "padded-packed",
    "minibert/text/masking.py": "pairs-and-masking",
}

# What stands around the pages: (English, Chinese).
WORDS = {
    "Read along": ("Read along", "伴读"),
    "The book: BERT in its source": ("The book: BERT in its source", "书：源码里的 BERT"),
    "The other rooms": ("The other rooms", "其他房间"),
    "Reference": ("Reference", "参考"),
    "The Python interface": ("The Python interface", "Python 接口"),
    "source": ("Source", "源码"),
    "equations": ("Equations", "公式"),
    "papers": ("Papers", "论文"),
    "notebooks": ("Notebooks", "课程"),
    "run": ("Run it in Colab", "在 Colab 中运行"),
    "not translated": ("", "本页还没有中文版，以下是英文原文。"),
    "comments": ("", "代码中的注释和文档字符串均为英文。"),
    "docstrings": ("From the docstrings of the code.", "取自代码中的文档字符串，均为英文。"),
}
