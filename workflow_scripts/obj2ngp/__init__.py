"""From .obj files to trained NeRFs, metrics and turntables: the rooms are environments, see CONTRIBUTING.md."""

__version__ = "0.2.0"
