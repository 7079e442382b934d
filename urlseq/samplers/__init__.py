"""Samplers: functions `random.Random -> str` that draw inputs. Some are made here, others from a grammar."""

from urlseq.samplers.grammar import Grammar
from urlseq.samplers.makers import arguments, dates, mixture, numbers, text, urls
from urlseq.samplers.url_grammar import symbol

__all__ = ["Grammar", "arguments", "dates", "mixture", "numbers", "symbol", "text", "urls"]
