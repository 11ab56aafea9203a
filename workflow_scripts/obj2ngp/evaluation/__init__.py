"""How good the pictures are: runs in the report environment."""
