"""One command for a machine with a GPU: `python -m benchmarks.gpu`; on a CPU, `--size tiny` runs it end to end.

It needs torch, transformers and this package, no network, no data and no weights, and it ends within its time: what no
longer fits is left out and named. Correctness comes first; a table comes last; everything else goes to files.
"""
