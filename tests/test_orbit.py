"""The turntable: closed, evenly spaced, looking at the object; GIF and MP4 true to the frames."""

import subprocess
import sys
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from door_helpers import assert_refused, turns
from obj2ngp.common.files import UserError
from obj2ngp.common.settings import from_mapping
from obj2ngp.ngp.settings import OrbitSettings
from obj2ngp.ngp.turntable import orbit_poses, render_orbit, write_orbit
from obj2ngp.ngp.video import FFMPEG, encode
from obj2ngp.views.pictures import psnr


@given(
    frames=st.integers(2, 40),
    elevation=st.floats(-80, 80),
    radius=st.floats(0.5, 5),
    center=st.tuples(*[st.floats(-1, 1)] * 3),
)
def test_cameras_stand_evenly_on_a_circle_and_look_at_its_middle(frames, elevation, radius, center):
    poses = orbit_poses(OrbitSettings(frames=frames, elevation=elevation, radius=radius), center)
    rotation, position = poses[:, :3, :3], poses[:, :3, 3]
    np.testing.assert_allclose(rotation @ rotation.transpose(0, 2, 1), np.tile(np.eye(3), (frames, 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(rotation), 1)
    # OpenGL: the camera looks along -z, x is level and y points up.
    np.testing.assert_allclose(position - radius * rotation[:, :, 2], np.tile(center, (frames, 1)), atol=1e-9)
    assert np.abs(rotation[:, 2, 0]).max() < 1e-9 and (rotation[:, 2, 1] > 0).all()
    np.testing.assert_allclose(position[:, 2] - center[2], radius * np.sin(np.radians(elevation)), atol=1e-9)
    # Every step is as long as the one over the seam, which is not zero.
    steps = np.linalg.norm(position - np.roll(position, 1, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps[0])
    assert steps[0] > 1e-3


def test_a_turntable_that_needs_more_memory_than_there_is_is_refused_with_the_figure(monkeypatch, tmp_path):
    monkeypatch.setattr("obj2ngp.common.memory.memory_limit", lambda: 10**9)
    words = "orbit.size: frames of 2048x2048: 2.5 GB of memory needed, 1.0 GB are there"
    with pytest.raises(UserError, match=words):
        write_orbit(None, "cpu", OrbitSettings(size=2048), *(tmp_path / name for name in "abc"))


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_the_radius_counts_edges_of_the_model_s_cube(monkeypatch, scale):
    """Where the cube is 1 / scale wide in the world, the camera stands so much farther off."""
    seen = {}

    class Cameras:
        def __init__(self, model, backend, supersampling):
            pass

        def render_views(self, poses, width, height, focal):
            seen["poses"] = poses
            return iter(())

    monkeypatch.setattr("obj2ngp.ngp.turntable.Renderer", Cameras)
    model = SimpleNamespace(scale=scale, offset=np.array([0.5, 0.25, 0.5]))
    assert not list(render_orbit(model, "auto", OrbitSettings(frames=8, radius=2.0)))
    center = np.array([0.0, 0.25, 0.0]) / scale
    distance = np.linalg.norm(seen["poses"][:, :3, 3] - center, axis=1)
    np.testing.assert_allclose(distance, 2.0 / scale)


def spinning_ball(frames, size):
    """Frames of a shaded ball, almost white on one side, that turns once, on white."""
    y, x = np.mgrid[:size, :size] / (size - 1) * 2.4 - 1.2
    inside = x**2 + y**2 < 1
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, 1))
    for index in range(frames):
        angle = 2 * np.pi * index / frames
        turned = x * np.cos(angle) + z * np.sin(angle)
        light = (0.55 + 0.45 * turned)[..., None]
        color = np.array([0.1, 0.5, 0.6]) + light * np.array([0.89, 0.49, 0.39])
        yield (np.where(inside[..., None], color, 1).clip(0, 1) * 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Frames, and paths of the GIF, the WebP and the MP4 made of them."""
    folder = tmp_path_factory.mktemp("films")
    frames = np.array(list(spinning_ball(24, 97)))  # an odd size, which H.264 cannot have
    encode(iter(frames), 97, 97, 25, *(files := [folder / f"ball.{kind}" for kind in ("gif", "webp", "mp4")]))
    return frames, *files


def gif_frames(file):
    with Image.open(file) as image:
        shots = []
        for index in range(image.n_frames):
            image.seek(index)
            shots.append((np.array(image.convert("RGB")), image.info["duration"]))
        return shots, image.info.get("loop")


def test_gif_loops_and_keeps_frames_and_time(films):
    frames, gif, *_ = films
    shots, loop = gif_frames(gif)
    assert loop == 0  # for ever
    assert len(shots) == len(frames)
    assert {duration for _, duration in shots} == {40}  # milliseconds: 25 frames a second
    assert gif.stat().st_size < 300_000


def test_gif_colours_are_close_and_white_is_white(films):
    frames, gif, *_ = films
    shown = np.array([shot for shot, _ in gif_frames(gif)[0]]).astype(int)
    assert (shown[:, :6] == 255).all()
    assert (shown[(frames == 255).all(axis=-1)] == 255).mean() > 0.999  # errors diffuse off the rim
    error = np.abs(shown - frames)
    assert error.mean() < 2 and np.quantile(error, 0.999) < 16
    # No bands: averaged over 5x5 pixels, as an eye does, dithered colours are right.
    blocks = (shown - frames)[:, 1:-1, 1:-1].reshape(len(frames), 19, 5, 19, 5, 3).mean(axis=(2, 4))
    assert np.abs(blocks).max() < 8 and np.abs(blocks).mean() < 1


def test_seam_is_a_step_like_any_other(films):
    _, gif, *_ = films
    shown = np.array([shot for shot, _ in gif_frames(gif)[0]]).astype(float)
    steps = np.abs(shown - np.roll(shown, 1, axis=0)).mean(axis=(1, 2, 3))  # the first is the seam
    assert 0.5 * np.median(steps[1:]) < steps[0] < 2 * np.median(steps[1:])


def test_video_is_h264_for_every_player(films):
    frames, _, _, video = films
    shown = iio.imread(video)
    assert shown.shape == (24, 98, 98, 3)
    assert (shown[:, -1] > 250).all()  # the row added for the even size is white
    assert np.abs(shown[:, :97, :97].astype(int) - frames).mean() < 2
    details = iio.immeta(video)
    assert details["codec"] == "h264" and details["pix_fmt"].startswith("yuv420p")
    assert details["fps"] == 25
    index, data = video.read_bytes().find(b"moov"), video.read_bytes().find(b"mdat")
    assert 0 < index < data  # playable before it is wholly loaded
    assert video.stat().st_size < 200_000


def test_webp_loops_and_is_near_and_small(films):
    frames, gif, webp, _ = films
    shots, loop = gif_frames(webp)
    assert loop == 0 and len(shots) == len(frames) and {duration for _, duration in shots} == {40}
    shown = np.array([shot for shot, _ in shots])
    assert psnr(shown, frames) > 35 and shown[:, :6].min() >= 253
    assert webp.stat().st_size < gif.stat().st_size


def test_same_frames_same_files(films, tmp_path):
    frames, *files = films
    again = [tmp_path / file.name for file in files]
    encode(iter(frames), 97, 97, 25, *again)
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in files]


def test_frames_are_taken_one_by_one(tmp_path):
    alive = 0

    class Frame(np.ndarray):
        def __del__(self):
            nonlocal alive
            alive -= 1

    def counted():
        nonlocal alive
        for frame in spinning_ball(12, 32):
            alive += 1
            assert alive <= 2
            yield frame.view(Frame)

    encode(counted(), 32, 32, 10, tmp_path / "a.gif", tmp_path / "a.webp", tmp_path / "a.mp4")


def test_failures_are_told(tmp_path):
    frame = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(OSError, match="ffmpeg: .*nowhere"):
        encode([frame] * 3, 16, 16, 10, *(tmp_path / "nowhere" / f"a.{kind}" for kind in ("gif", "webp", "mp4")))
    with pytest.raises(ValueError, match="frame of shape"):
        encode([frame[:8]], 16, 16, 10, tmp_path / "a.gif", tmp_path / "a.webp", tmp_path / "a.mp4")


def test_the_bundled_ffmpeg_can_do_it():
    encoders = subprocess.run([*FFMPEG, "-encoders"], capture_output=True, text=True).stdout
    assert "libx264" in encoders and "ffv1" in encoders and " gif " in encoders and "libwebp_anim" in encoders


@pytest.mark.parametrize("bad", [{"fps": 60}, {"frames": 0}, {"elevation": 90.0}, {"fov": 180.0}])
def test_impossible_turntables_are_refused(bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        from_mapping(OrbitSettings, bad)


def test_that_there_is_no_ffmpeg_is_told_in_a_line(scene, monkeypatch):
    def find():
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", find)
    for module in ("obj2ngp.ngp.video", "obj2ngp.ngp.turntable"):
        monkeypatch.delitem(sys.modules, module)
    assert_refused(turns(scene), scene, "model.safetensors", "No ffmpeg exe could be found.")


def test_a_reader_that_goes_away_ends_the_turntable(tmp_path):
    """What the frames print meets a broken pipe, which is not ffmpeg's: it waited for further frames for ever."""

    def frames():
        yield np.zeros((16, 16, 3), np.uint8)
        raise BrokenPipeError(32, "Broken pipe", "standard output")

    with pytest.raises(BrokenPipeError):
        encode(frames(), 16, 16, 10, tmp_path / "o.gif", tmp_path / "o.webp", tmp_path / "o.mp4")
