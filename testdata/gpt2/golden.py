"""What make_golden.py and random_configs.py share: drawing weights, calling the peer, naming its outputs."""
import torch
import transformers

CLASSES = ("GPT2Model", "GPT2LMHeadModel", "GPT2ForSequenceClassification")


def class_named(name):
    assert name in CLASSES
    return getattr(transformers, name)


def redraw(model, generator):
    """Redraws every parameter, since the default initialisation makes outputs nearly flat.

    Matrices come from N(0, 0.25^2), norm weights from 1 + N(0, 0.1^2), biases from N(0, 0.1^2).
    """
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith(".bias"):
            parameter.data = 0.1 * noise
        elif parameter.dim() == 1:
            parameter.data = 1.0 + 0.1 * noise
        else:
            parameter.data = 0.25 * noise
    model.tie_weights()
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


def call(model, tensors, **flags):
    """forward() on named input tensors; returns named output tensors. Flags that are None are left to the config."""
    arguments, past = nest_past(tensors)
    if model.dtype == torch.float64:
        arguments = {n: t.double() if t.dtype == torch.float32 else t for n, t in arguments.items()}
        past = past and tuple(tuple(t.double() for t in layer) for layer in past)
    if past is not None:
        arguments["past_key_values"] = past
    # The first call with labels would write the problem type into the config.
    before = model.config.problem_type
    with torch.no_grad():
        output = model(**arguments, **flags, return_dict=True)
    model.config.problem_type = before
    return flatten(output)


def rounding(model, tensors, want, **flags):
    """How far fp32 rounding alone moves the peer: the largest |f32 - f64| as a share of 1e-5 * (1 + |f64|)."""
    # Scores of float64 need no upcast, and the peer refuses it.
    upcast = [module for module in model.modules() if getattr(module, "reorder_and_upcast_attn", False)]
    for module in upcast:
        module.reorder_and_upcast_attn = False
    exact = call(model.double(), tensors, **flags)
    model.float()
    for module in upcast:
        module.reorder_and_upcast_attn = True
    share = 0.0
    for name, tensor in want.items():
        error = (tensor.double() - exact[name]).abs() / (1e-5 * (1 + exact[name].abs()))
        error = error[~(torch.isnan(tensor) & torch.isnan(exact[name]))]
        share = max(share, error.max().item() if error.numel() else 0.0)
    return share


def load(class_name, folder, config=None):
    """CLASS.from_pretrained(folder) with some config keys replaced; returns (model, loading info)."""
    model, info = class_named(class_name).from_pretrained(folder, output_loading_info=True, **(config or {}))
    return model.eval(), info
