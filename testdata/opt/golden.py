"""What make_golden.py and random_configs.py share beside ../golden_decoders.py: masks of a model of float64."""
import contextlib
import pathlib
import sys

import torch
from transformers.models.opt.modeling_opt import OPTDecoder

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from golden_decoders import call, redraw  # noqa: E402,F401  (of testdata)

CLASSES = ("OPTModel", "OPTForCausalLM", "OPTForSequenceClassification", "OPTForQuestionAnswering")


@contextlib.contextmanager
def masks_of_float32():
    """Makes masks as float32 does, also in a model of float64, where the peer fails to.

    Scores that are hidden twice, by the order of tokens and by the mask, are float32's lowest value there, like those hidden once.
    """
    make = OPTDecoder._prepare_decoder_attention_mask

    def make_in_float32(self, mask, shape, embeds, past):
        made = make(self, mask, shape, embeds.float(), past)
        return made if made is None else made.clamp(min=torch.finfo(torch.float32).min).to(embeds.dtype)

    OPTDecoder._prepare_decoder_attention_mask = make_in_float32
    try:
        yield
    finally:
        OPTDecoder._prepare_decoder_attention_mask = make
