"""An interactive window of a model in the browser: pictures are rendered on this machine and streamed.

For models of any size, by the backend's own renderer; the page of obj2ngp.viewer.page renders in the browser instead.
"""

import threading
import time

import numpy as np

from obj2ngp.common.files import UserError
from obj2ngp.ngp import load_model
from obj2ngp.ngp.rendering import Renderer, on_white
from obj2ngp.ngp.threads import set_threads

FIRST_POSITION = (0.81, 1.15, 0.51)  # edges of the unit cube from its middle: where the turntable begins
FRAME = 0.15  # seconds that a picture may take while the camera moves
COARSEST, FINEST = 32, 2048  # pixels along a picture's height
FIRST_HEIGHT = 96  # of the very first picture


def serve(path, backend, threads, host, port, seconds=None):
    """Show the model in the file `path` for so many seconds, or until Ctrl-C. Raises UserError."""
    set_threads(threads)
    window = Window(load_model(path), backend, host, port)
    print("{}: open {} (Ctrl-C ends it)".format(path, window.address), flush=True)
    try:
        time.sleep(seconds or threading.TIMEOUT_MAX)
    except KeyboardInterrupt:
        print("ended")
    finally:
        window.close()


class Window:
    """A viser server that shows `model`, rendered by `backend`, to every browser that connects.

    Raises UserError where viser is not installed or the port is taken.
    """

    def __init__(self, model, backend="auto", host="127.0.0.1", port=8080):
        try:
            import viser
        except ImportError as error:
            raise UserError("the window needs viser: pip install viser") from error
        self.model = model
        self.moving, self.resting = Renderer(model, backend, 1), Renderer(model, backend, 2)
        self.center, self.unit = (0.5 - model.offset.numpy()) / model.scale, 1 / model.scale
        self.rendering = threading.Lock()  # a renderer has one set of buffers
        try:
            self.server = viser.ViserServer(host, port, verbose=False)
        except OSError as error:
            raise UserError("port {}: {}".format(port, error.strerror)) from error
        self.server.scene.set_up_direction("+z")
        self.server.on_client_connect(self._welcome)

    @property
    def address(self):
        """Where the window opens."""
        return "http://{}:{}".format(self.server.get_host(), self.server.get_port())

    def close(self):
        """Ends the server."""
        self.server.stop()

    def _welcome(self, client):
        client.camera.look_at = tuple(self.center)
        client.camera.position = tuple(self.center + self.unit * np.array(FIRST_POSITION))
        client.camera.up_direction = (0.0, 0.0, 1.0)
        moved = threading.Event()
        client.camera.on_update(lambda _: moved.set())
        depth = client.gui.add_checkbox("depth", False)
        largest = client.gui.add_slider("pixels", min=64, max=FINEST, step=32, initial_value=512)
        for control in (depth, largest):
            control.on_update(lambda _: moved.set())
        threading.Thread(target=self._serve, args=(client, moved, depth, largest), daemon=True).start()

    def _serve(self, client, moved, depth, largest):
        """Sends pictures to a client until it leaves: coarse ones while its camera moves, then the finest."""
        height = FIRST_HEIGHT
        while client.client_id in self.server.get_clients():
            if not moved.wait(1.0):
                continue
            moved.clear()
            begin = time.perf_counter()
            self._send(client, self.moving, min(height, largest.value), depth.value)
            spent = max(time.perf_counter() - begin, 1e-3)
            height = int(np.clip(height * np.sqrt(FRAME / spent), COARSEST, FINEST))
            if not moved.wait(0.2):
                self._send(client, self.resting, largest.value, depth.value)

    def _send(self, client, renderer, height, depth):
        camera = client.camera
        picture = self.picture(renderer, camera.position, camera.wxyz, camera.fov, camera.aspect, height, depth)
        client.scene.set_background_image(picture, format="jpeg", jpeg_quality=90)

    def picture(self, renderer, position, wxyz, fov, aspect, height, depth=False):
        """(H,W,3) uint8 that a camera of viser's sees: OpenCV axes, `wxyz` a quaternion, `fov` vertical in radians."""
        w, x, y, z = wxyz
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        pose = np.column_stack([rotation * [1, -1, -1], position])  # from OpenCV's axes to OpenGL's
        width, focal = max(1, round(height * aspect)), 0.5 * height / np.tan(0.5 * fov)
        with self.rendering:
            [(rgb, opacity, distance)] = renderer.render_views([pose], width, height, focal)
        if not depth:
            return on_white(rgb, opacity)
        away = np.linalg.norm(np.asarray(position) - self.center)
        shade = np.clip(1 - (distance - away + 0.5 * self.unit) / self.unit, 0, 1) * opacity
        return on_white(np.repeat(shade[..., None], 3, axis=-1), opacity)
