"""Frames to a looping GIF, a looping WebP and an MP4, through the ffmpeg that imageio-ffmpeg brings."""

import contextlib
import errno
import os
import subprocess
import tempfile
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

LONGEST_WORDS = 300  # of ffmpeg's that are passed on: one fault can bring hundreds of lines
try:
    FFMPEG = [get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y"]
except RuntimeError as error:  # there is none; or no further process can be started
    raise OSError(errno.ENOENT, str(error)) from error
REPRODUCIBLE = ["-fflags", "+bitexact", "-flags", "+bitexact", "-map_metadata", "-1"]

# H.264 wants even sides. The colour space is stated and converted to, so that white stays white.
MP4_FILTER = (
    "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white,"
    "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int,format=yuv420p"
)
MP4 = [
    *("-c:v", "libx264", "-preset", "slow", "-crf", "18", "-movflags", "+faststart"),
    *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "iec61966-2-1"),
    *("-color_range", "tv"),
]

# Lossy, since a lossless one is larger than the GIF; its effort is where more buys few bytes for much time.
WEBP = ["-c:v", "libwebp_anim", "-quality", "80", "-compression_level", "2", "-loop", "0"]

# One palette for all frames, and error diffusion, which keeps an area's mean colour and leaves pure
# white alone; ordered dithering moves white to its neighbours in the palette.
PALETTE_FILTER = "palettegen=stats_mode=full"
GIF_FILTER = "paletteuse=dither=sierra2_4a:diff_mode=rectangle"


def encode(frames, width, height, fps, gif, webp, video):
    """Write `frames`, an iterable of (H,W,3) uint8 sRGB pictures, as a GIF and a WebP that loop and an MP4.

    The frames are taken one by one and never all in memory: they wait for the GIF's palette in a
    lossless file. A GIF counts time in 1/100 s, so its frames are shown for the nearest whole
    numbers of these. Raises OSError with the file and ffmpeg's own words.
    """
    with tempfile.TemporaryDirectory() as folder:
        lossless, palette = Path(folder, "frames.mkv"), Path(folder, "palette.png")
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps)]
        graph = f"split=4[all][seen][shown][webp];[seen]{PALETTE_FILTER}[palette];[shown]{MP4_FILTER}[mp4]"
        command = [
            *(*FFMPEG, *raw, "-i", "-", "-filter_complex", graph),
            *("-map", "[all]", "-c:v", "ffv1", "-pix_fmt", "bgr0", lossless),
            *("-map", "[palette]", "-frames:v", "1", "-update", "1", palette),
            *("-map", "[webp]", *WEBP, *REPRODUCIBLE, "-f", "webp", f"file:{webp}"),
            *("-map", "[mp4]", *MP4, *REPRODUCIBLE, "-f", "mp4", f"file:{video}"),  # or a colon ends a protocol
        ]
        _feed(command, video, frames, (height, width, 3))
        command = [
            *(*FFMPEG, "-i", lossless, "-i", palette, "-filter_complex", GIF_FILTER),
            *("-loop", "0", *REPRODUCIBLE, "-f", "gif", f"file:{gif}"),
        ]
        _feed(command, gif)


def _feed(command, output, frames=(), shape=None):
    """Run ffmpeg, which writes `output`, with the bytes of `frames` on its standard input. Raises OSError."""
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=messages)
        try:
            for frame in frames:
                if frame.shape != shape:
                    raise ValueError(f"frame of shape {frame.shape}, expected {shape}")
                try:
                    process.stdin.write(frame.tobytes())
                except BrokenPipeError:  # ffmpeg has ended: its exit code and messages say why
                    break
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        except BaseException:
            process.kill()
            raise
        finally:
            code = process.wait()
        messages.seek(0)
        if code:
            lines = messages.read(LONGEST_WORDS).decode(errors="replace").splitlines()
            words = (
                "; ".join(lines) or f"{os.strerror(-code % 256)}; its temporary files lie in {tempfile.gettempdir()}"
            )
            raise OSError(errno.EIO, f"ffmpeg: {words}", str(output))
