"""What make_golden.py and random_configs.py share beside ../golden_decoders.py: the classes, and float64."""
import contextlib
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from golden_decoders import call, redraw  # noqa: E402,F401  (of testdata)

CLASSES = ["DistilBertModel", "DistilBertForMaskedLM", "DistilBertForSequenceClassification", "DistilBertForMultipleChoice",
           "DistilBertForTokenClassification", "DistilBertForQuestionAnswering"]


@contextlib.contextmanager
def float64_by_default():
    """For calls of a model of float64: the lowest value that hides keys is made a tensor of the default dtype.

    Of float32 it would be -infinity, and a row that sees nothing NaN.
    """
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
