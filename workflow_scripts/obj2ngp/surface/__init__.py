"""From a field's density on a lattice to a triangle mesh, and rays that meet meshes. No torch."""
