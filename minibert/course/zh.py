"""The course, in Chinese: what the Chinese notebooks import instead of `minibert.course`."""

from typing import Any

from minibert.course import asking


def check(name: str, answer: Any) -> None:
    """批改一个答案：对了没有；不对的话，错在哪里。

    name：习题的名字，笔记本里写着。
    answer：函数，或者一个数；None 表示还没有写。
    """
    asking.check(name, answer, "zh")


def task(name: str) -> None:
    """打印题目：一段可以接着往下写的代码。"""
    asking.task(name, "zh")


def hint(name: str) -> None:
    """打印提示：从哪里入手。"""
    asking.hint(name, "zh")


def solution(name: str) -> None:
    """打印答案：能通过检查的代码。"""
    asking.solution(name, "zh")
