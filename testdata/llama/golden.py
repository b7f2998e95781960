"""What make_golden.py and random_configs.py share: drawing weights, calling the peer, naming its outputs."""
import contextlib

import torch
import transformers
from transformers.models.llama import modeling_llama


def redraw(model, generator):
    """Redraws every parameter, since the default initialisation makes outputs nearly flat.

    Matrices come from N(0, 0.25^2), norm weights from 1 + N(0, 0.1^2), biases from N(0, 0.1^2).
    """
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith(".bias"):
            parameter.data = 0.1 * noise
        elif "norm" in name:
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
    nested = tuple((layers[i][0], layers[i][1]) for i in range(len(layers)))
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


def call(model, tensors, **flags):
    """forward() on named input tensors; returns named output tensors."""
    arguments, past = nest_past(tensors)
    if model.dtype == torch.float64:
        arguments = {n: t.double() if t.dtype == torch.float32 else t for n, t in arguments.items()}
        past = past and tuple(tuple(t.double() for t in layer) for layer in past)
    with torch.no_grad():
        output = model(**arguments, past_key_values=past, return_dict=True, **flags)
    return flatten(output)


def load(folder, class_name, config=None, before=None, **kwargs):
    """CLASS.from_pretrained(folder) with some config keys replaced, and a first call made; (model, loading info)."""
    model, info = getattr(transformers, class_name).from_pretrained(folder, output_loading_info=True, **(config or {}), **kwargs)
    if before:
        call(model.eval(), before)
    return model.eval(), info


@contextlib.contextmanager
def masks_of_float32():
    """Makes masks as float32 does, also in a model of float64.

    The peer's softmax is float32's whatever the model is, and float64's lowest value is -infinity there.
    """
    makers = {name: getattr(modeling_llama, name) for name in ("_make_causal_mask", "_expand_mask")}
    for name, make in makers.items():
        setattr(modeling_llama, name, lambda first, dtype, make=make, **kwargs: make(first, torch.float32, **kwargs).to(dtype))
    try:
        yield
    finally:
        for name, make in makers.items():
            setattr(modeling_llama, name, make)


def rounding(folder, class_name, config, before, tensors, want, **flags):
    """How far fp32 rounding alone moves the peer: the largest |f32 - f64| as a share of 1e-5 * (1 + |f64|)."""
    model, _ = load(folder, class_name, config, before)
    model.config.problem_type = (config or {}).get("problem_type")
    with masks_of_float32():
        exact = call(model.double(), tensors, **flags)
    share = 0.0
    for name, tensor in want.items():
        error = (tensor.double() - exact[name].double()).abs() / (1e-5 * (1 + exact[name].double().abs()))
        assert not error.isnan().any(), name
        share = max(share, error.max().item() if error.numel() else 0.0)
    return share
