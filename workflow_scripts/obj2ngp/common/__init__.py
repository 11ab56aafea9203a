"""What every room shares: files, settings, cameras. Standard library and numpy, Python 3.7."""
