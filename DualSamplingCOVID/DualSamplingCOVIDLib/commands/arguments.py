"""Kinds of numbers that the command line takes; argparse tells a person what is wrong with another."""

import argparse
import math


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return _whole(text, 1)


def resamples(text: str) -> int:
    """A whole number of at least 40: of fewer, 2.5 % are less than one, and the extremes alone make an interval."""
    return _whole(text, 40)


def seed(text: str) -> int:
    """A whole number of at least 0."""
    return _whole(text, 0)


def rate(text: str) -> float:
    """A number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: a number above 0 is needed")
    return number


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text}: a whole number of at least {least} is needed")
    return int(text)
