"""The metrics, an entry each: the tables, the protocol, the summary and the page are made from this list.

To add one, write its function, append an entry to METRICS, and raise the METHOD of the program `metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Callable, Literal

from obj2ngp.views.pictures import PSNR_OF_EQUAL_IMAGES, psnr

from .geometry import POINTS, chamfer, depth_error, f_score_1, f_score_2, normal_consistency, silhouette_iou
from .geometry import obstacle as obstacle_to_geometry
from .lpips import lpips
from .lpips import obstacle as obstacle_to_lpips
from .metrics import WINDOW, flip, ssim

SURFACES = f"{POINTS} points of each that some training view sees, the source's materials of opacity 1/2 and more"


@dataclass(frozen=True)
class Metric:
    """A number that says how near renders are to the truth.

    name      its column; lower-case letters, digits and _
    title     its name for people
    function  number of what is compared
    of        what that is: "pictures", (truth, prediction), both uint8 on white (H,W,3), or with per="object" all
              views of an object at once (V,H,W,3); "depths", the geometry.DepthPair of a view; "surfaces", the
              geometry.SurfacePair of an object. The last two need the source mesh
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
    of: Literal["pictures", "depths", "surfaces"] = "pictures"
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
    Metric(
        name="chamfer",
        title="Chamfer-L1",
        function=chamfer,
        better="lower",
        format="{:.3f}",
        protocol=f"mean distance between the surfaces, both ways, in tenths of the longest side; {SURFACES}",
        of="surfaces",
        per="object",
        obstacle=obstacle_to_geometry,
    ),
    Metric(
        name="f_score_1",
        title="F-score at 1 %",
        function=f_score_1,
        better="higher",
        format="{:.3f}",
        protocol=f"of precision and recall within 1 % of the longest side; {SURFACES}",
        of="surfaces",
        per="object",
        obstacle=obstacle_to_geometry,
    ),
    Metric(
        name="f_score_2",
        title="F-score at 2 %",
        function=f_score_2,
        better="higher",
        format="{:.3f}",
        protocol=f"of precision and recall within 2 % of the longest side; {SURFACES}",
        of="surfaces",
        per="object",
        obstacle=obstacle_to_geometry,
    ),
    Metric(
        name="normal_consistency",
        title="Normal consistency",
        function=normal_consistency,
        better="higher",
        format="{:.3f}",
        protocol=f"mean |cosine| of the normals of nearest points; {SURFACES}",
        of="surfaces",
        per="object",
        obstacle=obstacle_to_geometry,
    ),
    Metric(
        name="depth_error",
        title="Depth error",
        function=depth_error,
        better="lower",
        format="{:.2f} %",
        protocol="mean |difference| of median depth and the source's, per cent of the longest side, where both are",
        of="depths",
        obstacle=obstacle_to_geometry,
    ),
    Metric(
        name="silhouette_iou",
        title="Silhouette IoU",
        function=silhouette_iou,
        better="higher",
        format="{:.3f}",
        protocol="pixels whose median depth is finite, against those whose middle's ray meets the source's surface",
        of="depths",
        obstacle=obstacle_to_geometry,
    ),
]
