"""Trained models that people turn in a browser: a page that holds the model itself, and a window on this machine."""
