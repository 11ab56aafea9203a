"""Stand-in for torch-scatter's `segment_csr` of one-dimensional sources."""

import checked
import torch


def segment_csr(src, indptr, out=None, reduce="sum"):
    """Sums of src[indptr[i]:indptr[i+1]]; `indptr` never falls and stays within `src`."""
    if out is not None or reduce != "sum":
        raise NotImplementedError("only sums into a new tensor")
    checked.tensor("src", src, (None,), src.dtype)
    checked.tensor("indptr", indptr, (None,), torch.int64)
    if len(indptr) < 1 or bool((indptr[1:] < indptr[:-1]).any()):
        raise RuntimeError("indptr must not fall")
    if int(indptr[0]) < 0 or int(indptr[-1]) > len(src):
        raise RuntimeError("indptr reaches beyond src")
    total = torch.cat([torch.zeros_like(src[:1], dtype=torch.float64), src.double().cumsum(0)])
    return (total[indptr[1:]] - total[indptr[:-1]]).to(src.dtype)
