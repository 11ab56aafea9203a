"""Stand-in for NVIDIA's apex: only the fused Adam."""
