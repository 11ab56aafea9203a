"""The metrics, an entry each: the tables, the protocol, the summary and the page are made from this list.

To add one, write its function, append an entry to METRICS, and raise the METHOD of the program `metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Callable, Literal

from obj2ngp.views.pictures import PSNR_OF_EQUAL_IMAGES, psnr

from .lpips import lpips
from .lpips import obstacle as obstacle_to_lpips
from .metrics import WINDOW, flip, ssim


@dataclass(frozen=True)
class Metric:
    """A number that says how near renders are to the truth.

    name      its column; lower-case letters, digits and _
    title     its name for people
    function  number of (truth, prediction), both uint8 on white: pictures (H,W,3), or with per="object" all
              views of an object at once (V,H,W,3)
    better    "higher" or "lower": where the better values are
    format    how a value is shown, for str.format
    protocol  a line that says how it is computed
    per       "view", or "object" for one number over all its views
    package   distribution whose version belongs to the protocol
    low, high  the least and the greatest value that it can have
    obstacle  function that gives the reason why this machine cannot compute it, or None; a metric that has
              such a function may be absent from tables
    """

    name: str
    title: str
    function: Callable
    better: Literal["higher", "lower"]
    format: str
    protocol: str
    per: Literal["view", "object"] = "view"
    package: str | None = None
    low: float = -1e9
    high: float = 1e9
    obstacle: Callable[[], str | None] | None = None

    @property
    def summary(self):
        """Its columns in the summary: name -> function over the values in an object's table."""
        if self.per == "object":
            return {self.name: fmean}  # the same number in every row
        worst = min if self.better == "higher" else max
        return {self.name: fmean, f"{self.name}_{worst.__name__}": worst}


METRICS = [
    Metric(
        name="psnr",
        title="PSNR",
        function=psnr,
        better="higher",
        format="{:.2f} dB",
        protocol=f"dB, over all pixels and channels; at most {PSNR_OF_EQUAL_IMAGES:g}, also for equal images",
        low=0,
        high=PSNR_OF_EQUAL_IMAGES,
    ),
    Metric(
        name="ssim",
        title="SSIM",
        function=ssim,
        better="higher",
        format="{:.3f}",
        protocol=f"Wang et al. 2004: Gaussian window of {WINDOW} pixels, sigma 1.5, mean over RGB channels",
        package="scikit-image",
        low=-1,
        high=1,
    ),
    Metric(
        name="flip",
        title="FLIP",
        function=flip,
        better="lower",
        format="{:.3f}",
        protocol="LDR-FLIP (Andersson et al. 2020), mean over pixels, 67 pixels per degree; 0 is best",
        package="flip-evaluator",
        low=0,
        high=1,
    ),
    Metric(
        name="lpips",
        title="LPIPS",
        function=lpips,
        better="lower",
        format="{:.3f}",
        protocol="AlexNet, version 0.1; 0 is best",
        package="lpips",
        low=0,
        obstacle=obstacle_to_lpips,
    ),
]
