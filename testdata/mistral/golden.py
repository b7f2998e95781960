"""What make_golden.py and random_configs.py share beside ../golden_decoders.py: masks of a model of float64."""
import contextlib
import pathlib
import sys

import torch
from transformers.models.mistral import modeling_mistral

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from golden_decoders import call, redraw  # noqa: E402,F401  (of testdata)


@contextlib.contextmanager
def masks_of_float32():
    """Makes masks as float32 does, also in a model of float64.

    The peer's softmax is float32's whatever the model is, and float64's lowest value is -infinity there.
    """
    make = modeling_mistral._expand_mask
    modeling_mistral._expand_mask = lambda mask, dtype, **kwargs: make(mask, torch.float32, **kwargs).to(dtype)
    try:
        yield
    finally:
        modeling_mistral._expand_mask = make
