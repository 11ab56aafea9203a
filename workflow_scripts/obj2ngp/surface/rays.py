"""Rays that meet triangle meshes, traced by Embree (Wald et al. 2014) in single precision."""

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

NEAR_ENOUGH = 1e-3  # of the mesh's longest side: a point this far behind the first hit is still that hit


def pixel_rays(pose, focal, center, rows, columns):
    """Rays through the middles of the pixels (rows, columns), each (N,), of a camera; see common/cameras.py.

    Returns origins (N,3) and directions (N,3) of length 1, float64.
    """
    across = (np.asarray(columns) + 0.5 - center[0]) / focal
    up = (center[1] - np.asarray(rows) - 0.5) / focal
    directions = np.stack([across, up, -np.ones_like(across)], axis=1) @ np.asarray(pose)[:3, :3].T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.broadcast_to(np.asarray(pose)[:3, 3], directions.shape), directions


def picture_planes(cameras, pose):
    """(3,4) planes through the camera of PosedImages that has the `pose`, one for each edge of its picture.

    What lies in the picture is on their fronts: no product of its direction from the camera with them is negative.
    """
    (height, width), (x, y), focal = cameras.rgba.shape[1:3], cameras.center, cameras.focal
    return pose[:3, :3] @ np.array([[focal, -focal, 0, 0], [0, 0, -focal, focal], [-x, x - width, -y, y - height]])


class Triangles:
    """A triangle mesh to shoot rays at: vertices (V,3) and faces (F,3) of indices into them; at least one face."""

    def __init__(self, vertices, faces):
        self.vertices, self.faces = vertices, faces
        corners = np.ascontiguousarray(vertices[faces], np.float32)
        self.longest_side = float(np.ptp(corners.reshape(-1, 3), axis=0).max())
        self._scene = EmbreeScene(robust=True)
        self._mesh = TriangleMesh(self._scene, corners)

    def first_hit(self, origins, directions):
        """Where rays (R,3), (R,3) first meet the mesh, from either side.

        Returns the distance (R,) float32 in lengths of the directions, inf where nothing is met, and the face (R,),
        -1 there.
        """
        hit = self._scene.run(
            np.ascontiguousarray(origins, np.float32), np.ascontiguousarray(directions, np.float32), output=True
        )
        face = np.asarray(hit["primID"])
        return np.where(face < 0, np.inf, hit["tfar"]).astype(np.float32), face

    def seen(self, points, cameras, normals=None):
        """Whether some of `cameras` (PosedImages in the mesh's coordinates) sees each of `points` (P,3): (P,) bool.

        A camera sees a point that lies within its picture and behind no more than NEAR_ENOUGH of the first hit. Each
        point asks the camera first that its normal (P,3), if given, faces most: that spares most of the others.
        """
        points, poses = np.asarray(points, np.float32), np.asarray(cameras.pose, np.float64)
        seen = np.zeros(len(points), bool)
        if normals is not None:
            eyes = poses[:, :3, 3] - points.mean(axis=0)
            faced = np.argmax(normals @ (eyes / np.linalg.norm(eyes, axis=1, keepdims=True)).T, axis=1)
            for index, pose in enumerate(poses):
                asking = np.flatnonzero(faced == index)
                seen[asking] = self._sees(points[asking], cameras, pose)
        for pose in poses:
            asking = np.flatnonzero(~seen)
            seen[asking] = self._sees(points[asking], cameras, pose)
        return seen

    def _sees(self, points, cameras, pose):
        """Whether the camera with the `pose` sees each of `points` (P,3) float32, see `seen`."""
        eye, planes = pose[:3, 3].astype(np.float32), picture_planes(cameras, pose).astype(np.float32)
        ray = points - eye
        inside = np.flatnonzero((planes.T @ ray.T >= 0).all(axis=0))
        ray = ray[inside]
        ends = 1 - NEAR_ENOUGH * self.longest_side / np.sqrt(np.einsum("ij,ij->i", ray, ray))
        hidden = self._scene.run(np.broadcast_to(eye, ray.shape), ray, ends, query="OCCLUDED") >= 0
        seen = np.zeros(len(points), bool)
        seen[inside[~hidden]] = True
        return seen
