"""What make_golden.py and random_configs.py share: drawing weights, calling the peer, naming its outputs."""
import torch
from transformers import BertModel


def redraw(model, generator):
    """Redraws every parameter, since the default initialisation makes outputs nearly flat.

    Matrices come from N(0, 0.25^2), norm weights from 1 + N(0, 0.1^2), biases from N(0, 0.1^2).
    """
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith(".bias"):
            parameter.data = 0.1 * noise
        elif "LayerNorm" in name:
            parameter.data = 1.0 + 0.1 * noise
        else:
            parameter.data = 0.25 * noise
    return model.eval()


def nest_past(tensors):
    """Takes the `past_key_values.L.N` entries out of a flat dict and returns (the rest, the nested tuple or None)."""
    rest = {name: tensor for name, tensor in tensors.items() if not name.startswith("past_key_values.")}
    layers = {}
    for name, tensor in tensors.items():
        if name.startswith("past_key_values."):
            layer, position = (int(part) for part in name.split(".")[1:])
            layers.setdefault(layer, {})[position] = tensor
    nested = tuple(tuple(layers[i][j] for j in range(len(layers[i]))) for i in range(len(layers)))
    return rest, nested or None


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
    """forward() on named input tensors; returns named output tensors."""
    arguments, past = nest_past(tensors)
    if model.dtype == torch.float64:
        arguments = {n: t.double() if t.dtype == torch.float32 else t for n, t in arguments.items()}
        past = past and tuple(tuple(t.double() for t in layer) for layer in past)
    if past is not None:
        arguments["past_key_values"] = past
    if use_cache is not None:  # Most classes with a head have no such argument.
        arguments["use_cache"] = use_cache
    with torch.no_grad():
        output = model(
            **arguments,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
    flat = flatten(output)
    # A decoder with cross-attention layers that is called without encoder states returns its key/value cache under
    # this name (a slip of 4.34.0); there is nothing to hold an implementation to.
    if model.config.add_cross_attention and "encoder_hidden_states" not in arguments:
        flat = {name: tensor for name, tensor in flat.items() if not name.startswith("cross_attentions.")}
    return flat


def rounding(model, tensors, want, **flags):
    """How far fp32 rounding alone moves the peer: the largest |f32 - f64| as a share of 1e-5 * (1 + |f64|)."""
    exact = call(model.double(), tensors, **flags)
    model.float()
    share = 0.0
    for name, tensor in want.items():
        error = (tensor.double() - exact[name]).abs() / (1e-5 * (1 + exact[name].abs()))
        share = max(share, error.max().item() if error.numel() else 0.0)
    return share


def load(folder, config=None, **kwargs):
    """BertModel.from_pretrained(folder) with some config keys replaced; returns (model, loading info)."""
    model, info = BertModel.from_pretrained(folder, output_loading_info=True, **(config or {}), **kwargs)
    return model.eval(), info
