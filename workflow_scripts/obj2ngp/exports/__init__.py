"""Trained fields and their views as files that other programs open: `registry.FORMATS` lists them."""
