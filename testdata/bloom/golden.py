"""What make_golden.py and random_configs.py share beside ../golden_decoders.py: softmax of a model of float64."""
import contextlib
import pathlib
import sys

import torch
from transformers.models.bloom import modeling_bloom

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from golden_decoders import call, redraw  # noqa: E402,F401  (of testdata)

CLASSES = ("BloomModel", "BloomForCausalLM", "BloomForSequenceClassification", "BloomForTokenClassification",
           "BloomForQuestionAnswering")


class WithoutSoftmaxOfFloat32:
    """torch.nn.functional, but that softmax of float64 is computed in float64, whatever is asked for."""

    def __getattr__(self, name):
        return getattr(torch.nn.functional, name)

    @staticmethod
    def softmax(x, dim, dtype=None):
        return torch.nn.functional.softmax(x, dim=dim, dtype=torch.float64 if x.dtype == torch.float64 else dtype)


@contextlib.contextmanager
def softmax_of_float64():
    """Lets a model of float64 compute all of itself in float64; in the peer, its lowest value is -infinity to the softmax."""
    modeling_bloom.F = WithoutSoftmaxOfFloat32()
    try:
        yield
    finally:
        modeling_bloom.F = torch.nn.functional
