"""From .obj files to trained NeRFs, metrics and turntables: the rooms are environments, see CONTRIBUTING.md."""

__version__ = "0.1.0"
