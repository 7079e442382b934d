"""Samplers: functions `random.Random -> str` that draw inputs. Some are made here, others from a grammar or samples."""

from urlseq.samplers.grammar import Grammar
from urlseq.samplers.like import Like as like
from urlseq.samplers.makers import arguments, dates, mixture, numbers, text, urls
from urlseq.samplers.strategies import StrategySampler, matching
from urlseq.samplers.url_grammar import symbol

__all__ = ["Grammar", "StrategySampler", "arguments", "dates", "like", "matching", "mixture", "numbers", "symbol",
           "text", "urls"]  # fmt: skip
