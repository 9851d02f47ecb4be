"""Lets the scenarios beside it, which are scripts, find jvpn_lab; its scenario.py has all that they share."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lab"))

from jvpn_lab.scenario import *  # noqa: E402,F403
