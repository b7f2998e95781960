"""What make_golden.py and random_configs.py share: drawing weights, calling the peer, naming its inputs and outputs."""
import contextlib

import torch
from transformers import T5EncoderModel, T5ForConditionalGeneration, T5Model
from transformers.modeling_outputs import BaseModelOutput
from transformers.modeling_utils import ModuleUtilsMixin
from transformers.models.t5 import modeling_t5
from transformers.models.t5.modeling_t5 import T5Stack

CLASSES = {c.__name__: c for c in (T5Model, T5ForConditionalGeneration, T5EncoderModel)}
# 4.34.0 cannot find the warning that it wants to give when `head_mask` stands for `decoder_head_mask` too: Python mangles
# its name, and the call is a NameError. With the name in place it does what its documentation says.
for name in CLASSES:
    setattr(modeling_t5, f"_{name}__HEAD_MASK_WARNING_MSG", "head_mask serves the decoder too")


def redraw(model, generator):
    """Redraws every parameter, since the default initialisation makes outputs nearly flat.

    Matrices come from N(0, 0.25^2), norm weights from 1 + N(0, 0.1^2).
    """
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = 1.0 + 0.1 * noise if "layer_norm" in name else 0.25 * noise
    return model.eval()


def nest(tensors, name):
    """Takes the `NAME.I.J` entries out of a flat dict; returns (the rest, {I: (tensor J = 0, ..), ..})."""
    rest = {n: t for n, t in tensors.items() if not n.startswith(name + ".")}
    found = {}
    for key, tensor in tensors.items():
        if key not in rest:
            first, second = (int(part) for part in key[len(name) + 1:].split("."))
            found.setdefault(first, {})[second] = tensor
    return rest, {i: tuple(found[i][j] for j in sorted(found[i])) for i in sorted(found)}


def arguments_of(tensors):
    """forward()'s arguments from tensors by name: past_key_values.L.N, encoder_outputs.0, encoder_outputs.1.N and .2.N."""
    arguments, past = nest(tensors, "past_key_values")
    if past:
        arguments["past_key_values"] = tuple(past.values())
    states = arguments.pop("encoder_outputs.0", None)
    arguments, others = nest(arguments, "encoder_outputs")
    if states is not None:
        arguments["encoder_outputs"] = BaseModelOutput(states, others.get(1), others.get(2))
    return arguments


def flatten(output):
    """A ModelOutput as {name: tensor}; the N-th of a tuple is `name.N`, of a nested tuple `name.N.M`."""
    flat = {}

    def visit(name, value):
        if isinstance(value, torch.Tensor):
            flat[name] = value.detach().contiguous().clone()
        elif isinstance(value, (tuple, list)):
            for index, item in enumerate(value):
                visit(f"{name}.{index}", item)

    for name, value in output.items():
        visit(name, value)
    return flat


def call(model, tensors, use_cache=False, output_hidden_states=True, output_attentions=True):
    """forward() on named input tensors; returns named output tensors. A flag that is None is left to the config."""
    if model.dtype == torch.float64:
        tensors = {n: t.double() if t.dtype == torch.float32 else t for n, t in tensors.items()}
    flags = {"output_hidden_states": output_hidden_states, "output_attentions": output_attentions}
    if not isinstance(model, T5EncoderModel):
        flags["use_cache"] = use_cache
    with torch.no_grad():
        return flatten(model(**arguments_of(tensors), **flags, return_dict=True))


@contextlib.contextmanager
def masks_of_float32():
    """Makes masks as float32 does, also in a model of float64.

    The peer's softmax is float32's whatever the model is, and float64's lowest value is -infinity there.
    """
    extend = ModuleUtilsMixin.get_extended_attention_mask
    T5Stack.get_extended_attention_mask = lambda self, mask, shape: extend(self, mask, shape, dtype=torch.float32)
    T5Stack.invert_attention_mask = lambda self, mask: extend(
        self, mask if mask.dim() == 3 else mask[:, None], None, dtype=torch.float32)
    try:
        yield
    finally:
        del T5Stack.get_extended_attention_mask, T5Stack.invert_attention_mask


def rounding(model, tensors, want, tolerance, **flags):
    """How far fp32 rounding alone moves the peer: the largest |f32 - f64| as a share of tolerance * (1 + |f64|)."""
    with masks_of_float32():
        exact = call(model.double(), tensors, **flags)
    model.float()
    share = 0.0
    for name, tensor in want.items():
        error = (tensor.double() - exact[name]).abs() / (tolerance * (1 + exact[name].abs()))
        share = max(share, error.max().item() if error.numel() else 0.0)
    return share


def load(class_name, folder, config=None):
    """from_pretrained(folder) with some config keys replaced; returns (model, loading info)."""
    model, info = CLASSES[class_name].from_pretrained(folder, output_loading_info=True, **(config or {}))
    return model.eval(), info
